import type { ServedHost, ServedNamespace, ServedNvme, ServedNvmePort, ServedSubsystem } from '../nvme-server.ts';
import type { ConfigStep } from './configfs-shell.ts';
import { HOSTS, MARK, PORTS, type StandingNvme, type StandingPort, type StandingSubsystem, SUBSYSTEMS } from './nvmet-standing.ts';

const MODEL = 'TrueNAS NVMe';

/**
 * The steps from what stands to what is wanted. A group fails for itself alone. Subsystems that somebody made by hand, and the ports
 * and hosts that only they use, are left alone. A subsystem gets onto its ports when it is complete.
 */
export function nvmetPlan(wanted: ServedNvme, now: StandingNvme): ConfigStep[][] {
  const gone = [...now.subsystems.values()].filter((one) => one.own && !wanted.subsystems.some(({ nqn }) => nqn === one.nqn));
  const foreign = [...now.subsystems.values()].filter((one) => !one.own);
  const ports = new Map(wanted.ports.filter((one) => one.subsystems.length > 0).map((one) => [one.index, one]));
  const isForeign = (port: StandingPort): boolean => port.subsystems.some((nqn) => foreign.some((one) => one.nqn === nqn));
  const stalePorts = [...now.ports.values()].filter((port) => !isForeign(port) && !samePort(ports.get(port.index), port, now));
  const staleHosts = wanted.hosts.filter((one) => now.hosts.has(one.nqn) && !sameHost(one, now)).map((one) => one.nqn);
  const allowed = new Set(wanted.subsystems.flatMap((one) => one.hosts ?? []));
  const left = [...now.subsystems.values()].flatMap((one) => (one.own ? one.hosts : [])).filter((nqn) => !allowed.has(nqn));
  const unused = new Set([...left, ...staleHosts].filter((nqn) => !foreign.some((one) => one.hosts.includes(nqn))));
  const fresh: StandingNvme = {
    ...now,
    ports: new Map([...now.ports].filter(([, port]) => !stalePorts.includes(port))),
    hosts: new Set([...now.hosts].filter((nqn) => !unused.has(nqn))),
  };
  return [
    ...stalePorts.map((port) => portRemoval(port)),
    ...[...fresh.ports.values()].map((port) => unshown(port, ports.get(port.index), now)),
    ...gone.map(subsystemRemoval),
    ...wanted.subsystems.map((one) => disallowed(one, now.subsystems.get(one.nqn), unused)),
    ...[...unused].map((nqn): ConfigStep[] => [['rmdir', `${HOSTS}/${nqn}`]]),
    ...wanted.hosts.filter((one) => allowed.has(one.nqn) && !fresh.hosts.has(one.nqn)).map(hostCreation),
    ...wanted.subsystems.map((one) => subsystemSteps(one, now, unused)),
    ...[...ports.values()].map((port) => portSteps(port, fresh)),
  ];
}

/** The steps by which hosts see that these namespaces have grown (RP-30). */
export function revalidation(grown: readonly (readonly [nqn: string, nsid: number])[]): ConfigStep[][] {
  return grown.map(([nqn, nsid]): ConfigStep[] => [['write', `${SUBSYSTEMS}/${nqn}/namespaces/${nsid}/revalidate_size`, '1']]);
}

function address({ address: ip, port }: ServedNvmePort): Record<string, string> {
  return { addr_trtype: 'tcp', addr_adrfam: ip.includes(':') ? 'ipv6' : 'ipv4', addr_traddr: ip, addr_trsvcid: String(port) };
}

/** Whether the file below `path` says this. */
function says({ files }: StandingNvme, path: string, values: Readonly<Record<string, string>>): boolean {
  return Object.entries(values).every(([name, value]) => (files.get(`${path}/${name}`) ?? '') === value);
}

function samePort(wanted: ServedNvmePort | undefined, port: StandingPort, now: StandingNvme): boolean {
  return wanted !== undefined && says(now, port.path, { ...address(wanted), ...wanted.attributes });
}

function sameHost(wanted: ServedHost, now: StandingNvme): boolean {
  return says(now, `${HOSTS}/${wanted.nqn}`, hostValues(wanted));
}

function hostValues({ key, controllerKey, hash, group }: ServedHost): Record<string, string> {
  return { dhchap_hash: hash, dhchap_dhgroup: group, dhchap_key: key ?? '', dhchap_ctrl_key: controllerKey ?? '' };
}

/** A key cannot be taken away from a host, so one with other keys is made anew. */
function hostCreation(host: ServedHost): ConfigStep[] {
  const path = `${HOSTS}/${host.nqn}`;
  const values = Object.entries(hostValues(host)).filter(([, value]) => value !== '');
  return [['mkdir', path], ...values.map(([name, value]): ConfigStep => ['write', `${path}/${name}`, value])];
}

function portRemoval({ path, subsystems }: StandingPort): ConfigStep[] {
  return [...subsystems.map((nqn): ConfigStep => ['unlink', `${path}/subsystems/${nqn}`]), ['rmdir', path]];
}

function unshown({ path, subsystems }: StandingPort, wanted: ServedNvmePort | undefined, now: StandingNvme): ConfigStep[] {
  const leaving = subsystems.filter((nqn) => now.subsystems.get(nqn)?.own === true && wanted?.subsystems.includes(nqn) !== true);
  return leaving.map((nqn) => ['unlink', `${path}/subsystems/${nqn}`]);
}

function subsystemRemoval({ path, hosts, nsids }: StandingSubsystem): ConfigStep[] {
  return [
    ...nsids.flatMap((nsid) => namespaceRemoval(path, nsid)),
    ...hosts.map((nqn): ConfigStep => ['unlink', `${path}/allowed_hosts/${nqn}`]),
    ['rmdir', path],
  ];
}

function namespaceRemoval(path: string, nsid: number): ConfigStep[] {
  return [
    ['write', `${path}/namespaces/${nsid}/enable`, '0'],
    ['rmdir', `${path}/namespaces/${nsid}`],
  ];
}

function disallowed(wanted: ServedSubsystem, now: StandingSubsystem | undefined, unused: ReadonlySet<string>): ConfigStep[] {
  const leaving = (now?.hosts ?? []).filter((nqn) => wanted.hosts?.includes(nqn) !== true || unused.has(nqn));
  return leaving.map((nqn) => ['unlink', `${SUBSYSTEMS}/${wanted.nqn}/allowed_hosts/${nqn}`]);
}

function subsystemSteps(wanted: ServedSubsystem, now: StandingNvme, unused: ReadonlySet<string>): ConfigStep[] {
  const path = `${SUBSYSTEMS}/${wanted.nqn}`;
  const there = now.subsystems.get(wanted.nqn);
  const values: Record<string, string> = {
    attr_firmware: MARK,
    attr_model: MODEL,
    attr_serial: wanted.serial,
    attr_allow_any_host: wanted.hosts === null ? '1' : '0',
    ...wanted.attributes,
  };
  const changed = Object.entries(values).filter(([name, value]) => now.files.get(`${path}/${name}`) !== value);
  const hosts = (wanted.hosts ?? []).filter((nqn) => unused.has(nqn) || there?.hosts.includes(nqn) !== true);
  const known = new Map(wanted.namespaces.map((one) => [one.nsid, one]));
  const stale = (there?.nsids ?? []).filter((nsid) => !sameNamespace(path, known.get(nsid), now));
  const made = wanted.namespaces.filter((one) => stale.includes(one.nsid) || there?.nsids.includes(one.nsid) !== true);
  return [
    ...(there === undefined ? [['mkdir', path] as const] : []),
    // open to everybody only once no host is named: the kernel refuses it before
    ...changed.map(([name, value]): ConfigStep => ['write', `${path}/${name}`, value]),
    ...stale.flatMap((nsid) => namespaceRemoval(path, nsid)),
    ...made.flatMap((one) => namespaceCreation(path, one)),
    ...hosts.map((nqn): ConfigStep => ['link', `${HOSTS}/${nqn}`, `${path}/allowed_hosts/${nqn}`]),
  ];
}

function namespaceValues({ device, uuid, nguid }: ServedNamespace): Record<string, string> {
  return { device_path: device, device_uuid: uuid, device_nguid: nguid, enable: '1' };
}

function sameNamespace(path: string, wanted: ServedNamespace | undefined, now: StandingNvme): boolean {
  return wanted !== undefined && says(now, `${path}/namespaces/${wanted.nsid}`, namespaceValues(wanted));
}

function namespaceCreation(path: string, namespace: ServedNamespace): ConfigStep[] {
  const at = `${path}/namespaces/${namespace.nsid}`;
  return [
    ['mkdir', at],
    ...Object.entries(namespaceValues(namespace)).map(([name, value]): ConfigStep => ['write', `${at}/${name}`, value]),
  ];
}

function portSteps(wanted: ServedNvmePort, now: StandingNvme): ConfigStep[] {
  const path = `${PORTS}/${wanted.index}`;
  const there = now.ports.get(wanted.index);
  const values = there === undefined ? { ...address(wanted), ...wanted.attributes } : {};
  const shown = wanted.subsystems.filter((nqn) => there?.subsystems.includes(nqn) !== true);
  return [
    ...(there === undefined ? [['mkdir', path] as const] : []),
    ...Object.entries(values).map(([name, value]): ConfigStep => ['write', `${path}/${name}`, value]),
    ...shown.map((nqn): ConfigStep => ['link', `${SUBSYSTEMS}/${nqn}`, `${path}/subsystems/${nqn}`]),
  ];
}
