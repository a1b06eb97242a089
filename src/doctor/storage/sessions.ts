import type { StorageConfig } from '../../config/storage-config.ts';
import type { Deadline } from '../../core/ports.ts';
import { canonicalAddress, portalText } from '../../host/addresses.ts';
import { readSessions, type Session } from '../../host/kernel/sessions.ts';
import type { SysFiles } from '../../host/sys-files.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import { type IscsiTimes, judgeTimes } from '../node/iscsid.ts';
import type { DoctorPorts } from '../ports.ts';

const LINKS = '/dev/pve-truenas';
/** More volumes than these are looked at, and not told one by one. */
const SHOWN = 5;

type Ports = Pick<DoctorPorts, 'sys' | 'network'>;
type Looked = Pick<StorageConfig, 'id' | 'initiator' | 'target' | 'portals' | 'multipath'>;

/** This node's iSCSI sessions to the storage's portals, as the kernel has them, and their timeouts. */
export async function checkSessions(ports: Ports, config: Looked, failFast: boolean, deadline: Deadline): Promise<readonly Finding[]> {
  const name = 'sessions';
  if (config.initiator === 'qemu')
    return [skipped(name, 'truenas-initiator is qemu: each guest has sessions of its own, and this node none')];
  if ((await ports.sys.kind('/sys')) === null) return [skipped(name, '/sys cannot be read')];
  const ours = (await readSessions(ports.sys)).filter(({ iqn }) => iqn === config.target || iqn.endsWith(`:${config.target}`));
  const standing: Session[] = [];
  const dead: string[] = [];
  const missing: string[] = [];
  for (const portal of config.portals) {
    const addresses = await ports.network.resolve(portal.host, deadline).catch(() => []);
    const wanted = addresses.map((address) => `${canonicalAddress(address)}:${portal.port}`);
    const session = ours.find(({ portals }) => portals.some((one) => wanted.includes(one)));
    if (session === undefined) missing.push(portalText(portal));
    else if (session.state === 'LOGGED_IN') standing.push(session);
    else dead.push(`${portalText(portal)} (${session.state})`);
  }
  if (standing.length + dead.length === 0) return [ok(name, 'none; none is needed until a volume is used on this node')];
  const parts = [
    `${standing.length} of ${config.portals.length} portals have a session that is logged in`,
    ...(dead.length === 0 ? [] : [`lost: ${dead.join(', ')}`]),
    ...(missing.length === 0 ? [] : [`none: ${missing.join(', ')}`]),
  ];
  const seen = parts.join('; ');
  const cure = 'the network to that portal; iscsiadm -m session -P 1; the next use of a volume logs in again';
  const finding =
    standing.length === 0
      ? error(name, seen, cure)
      : dead.length > 0 || (config.multipath && missing.length > 0)
        ? warning(name, seen, cure)
        : ok(name, seen);
  const [first] = standing;
  if (first === undefined) return [finding];
  const times = await timesOf(ports.sys, first);
  const how = 'a session keeps its values until it is logged in anew';
  return [
    finding,
    times === null
      ? skipped('session timeouts', '/sys does not tell them')
      : judgeTimes('session timeouts', times, { wanted: config.multipath, failFast }, how),
  ];
}

/** Of a session that stands; null where the kernel does not tell all of them. */
async function timesOf(sys: SysFiles, { id }: Session): Promise<IscsiTimes | null> {
  const number = async (path: string): Promise<number | null> => {
    const text = await sys.read(path).catch(() => null);
    return text !== null && /^-?\d{1,7}$/.test(text) ? Number(text) : null;
  };
  const connection = `/sys/class/iscsi_connection/connection${id}:0`;
  const [replacement, noopInterval, noopTimeout] = await Promise.all([
    number(`/sys/class/iscsi_session/session${id}/recovery_tmo`),
    number(`${connection}/recv_tmo`),
    number(`${connection}/ping_tmo`),
  ]);
  return replacement === null || noopInterval === null || noopTimeout === null ? null : { replacement, noopInterval, noopTimeout };
}

interface VolumePaths {
  readonly volume: string;
  /** Block names of its paths: one, or those of its map. */
  readonly paths: readonly string[];
  readonly isMap: boolean;
  /** Paths that are not `running`, with their state. */
  readonly bad: readonly string[];
  readonly access: readonly string[];
}

/** The paths of the volumes that are attached here: how many, in which state, and what ALUA says of them. */
export async function checkPaths(ports: Pick<DoctorPorts, 'sys'>, config: Looked): Promise<Finding> {
  const name = 'paths';
  if (config.initiator === 'qemu') return skipped(name, 'truenas-initiator is qemu: volumes are no devices on this node');
  const links = (await ports.sys.list(`${LINKS}/${config.id}`)).filter((link) => !link.startsWith('.'));
  if (links.length === 0) return ok(name, 'no volume is attached on this node');
  const volumes = await Promise.all(links.map((link) => pathsOf(ports.sys, `${LINKS}/${config.id}/${link}`, link)));
  return judgePaths(name, volumes, config);
}

async function pathsOf(sys: SysFiles, link: string, volume: string): Promise<VolumePaths> {
  const device = await sys.resolve(link);
  const block = device === null ? null : /^\/dev\/([a-z0-9-]+)$/.exec(device)?.[1];
  if (block === null || block === undefined) return { volume, paths: [], isMap: false, bad: [], access: [] };
  const isMap = block.startsWith('dm-');
  const paths = isMap ? await sys.list(`/sys/class/block/${block}/slaves`) : [block];
  const bad: string[] = [];
  const access = new Set<string>();
  for (const path of paths) {
    const state = await sys.read(`/sys/class/block/${path}/device/state`).catch(() => null);
    if (state !== 'running') bad.push(`${path} ${state ?? 'gone'}`);
    const said = await sys.read(`/sys/class/block/${path}/device/access_state`).catch(() => null);
    if (said !== null && said !== '') access.add(said);
  }
  return { volume, paths, isMap, bad, access: [...access] };
}

export function judgePaths(name: string, volumes: readonly VolumePaths[], config: Pick<StorageConfig, 'multipath' | 'portals'>): Finding {
  const told = (list: readonly VolumePaths[], what: (one: VolumePaths) => string): string =>
    `${list.slice(0, SHOWN).map(what).join(', ')}${list.length > SHOWN ? `, and ${list.length - SHOWN} more` : ''}`;
  const access = [...new Set(volumes.flatMap((one) => one.access))];
  const alua = access.length === 0 ? 'no ALUA state' : `ALUA: ${access.join(', ')}`;
  const gone = volumes.filter(({ paths }) => paths.length === 0);
  if (gone.length > 0)
    return error(
      name,
      `${gone.length} of ${volumes.length} attached volumes have no device any more: ${told(gone, ({ volume }) => volume)}`,
      'pve-truenas orphans; start the guest anew',
    );
  const dead = volumes.filter(({ paths, bad }) => bad.length >= paths.length);
  if (dead.length > 0)
    return error(
      name,
      `no path works: ${told(dead, ({ volume, bad }) => `${volume} (${bad.join(', ')})`)}`,
      'the network to the portals; iscsiadm -m session -P 3',
    );
  const weak = volumes.filter(({ bad }) => bad.length > 0);
  if (weak.length > 0)
    return warning(
      name,
      `paths do not work: ${told(weak, ({ volume, bad }) => `${volume} (${bad.join(', ')})`)}`,
      'the network to that portal; multipath -ll',
    );
  const alone = config.multipath ? volumes.filter(({ isMap, paths }) => !isMap || paths.length < config.portals.length) : [];
  if (alone.length > 0)
    return warning(
      name,
      `fewer paths than portals (${config.portals.length}): ${told(alone, ({ volume, paths, isMap }) => `${volume} (${paths.length}${isMap ? '' : ', no multipath map'})`)}`,
      'multipath -ll; deactivate and activate the volume, for example by stopping and starting the guest',
    );
  const count = volumes.reduce((sum, { paths }) => sum + paths.length, 0);
  return ok(name, `${volumes.length} attached volumes with ${count} paths, all running; ${alua}`);
}
