import * as z from 'zod';
import type { NvmeLook } from '../look.ts';
import { subsystemName } from '../marks.ts';
import { make } from '../requests.ts';
import { type Change, type Context, deletion, learnId, type Part } from './part.ts';
import { serves } from './iscsi.ts';

/** Port of NVMe/TCP, as TrueNAS proposes it. */
export const NVME_PORT = 4420;

/**
 * Subsystem, hosts and ports. NVMe-oF objects have no comment: the subsystem is known by its name, hosts and ports are anybody's and
 * are used as they are.
 */
export function nvmeParts(context: Context): readonly Part[] {
  const { nvme } = context.look;
  if (nvme === null) {
    context.problems.push('TrueNAS 25.04 has no NVMe-oF; it needs 25.10 or newer');
    return [];
  }
  return [subsystemPart(context, nvme), hostPart(context, nvme), portPart(context, nvme)];
}

function subsystemPart({ owner, ids }: Context, nvme: NvmeLook): Part {
  const name = subsystemName(owner);
  const what = `NVMe subsystem ${name}`;
  const there = nvme.subsystems.find((one) => one.name === name);
  ids['subsystem'] = there?.id ?? '<id of the new subsystem>';
  if (there !== undefined) return { what, changes: [] };
  const made: Change = {
    what: `make ${what}`,
    request: () => make('nvmet.subsys.create', [{ name, allow_any_host: false }], `make ${what}`, z.unknown()),
    learn: learnId('subsystem'),
    undo: (known) => deletion('nvmet.subsys.delete', [known['subsystem'], { force: false }], `delete ${what}`),
  };
  return { what, changes: [made] };
}

function hostPart({ answers: { hosts }, ids }: Context, nvme: NvmeLook): Part {
  const wanted = [...new Set(Object.values(hosts))].sort();
  const changes = wanted.flatMap((nqn) => {
    const there = nvme.hosts.find((one) => one.hostnqn === nqn);
    const key = `host ${nqn}`;
    ids[key] = there?.id ?? `<id of the new host ${nqn}>`;
    const made: Change = {
      what: `make NVMe host ${nqn}`,
      request: () => make('nvmet.host.create', [{ hostnqn: nqn }], `make NVMe host ${nqn}`, z.unknown()),
      learn: learnId(key),
      undo: (known) => deletion('nvmet.host.delete', [known[key], { force: false }], `delete NVMe host ${nqn}`),
    };
    const linked = nvme.hostLinks.some((one) => one.host.id === ids[key] && one.subsys.id === ids['subsystem']);
    const admitted: Change = {
      what: `admit NVMe host ${nqn}`,
      request: (known) =>
        make('nvmet.host_subsys.create', [{ host_id: known[key], subsys_id: known['subsystem'] }], `admit NVMe host ${nqn}`, z.unknown()),
      learn: learnId(`link ${key}`),
      undo: (known) => deletion('nvmet.host_subsys.delete', [known[`link ${key}`]], `no longer admit NVMe host ${nqn}`),
    };
    return [...(there === undefined ? [made] : []), ...(linked ? [] : [admitted])];
  });
  return { what: `NVMe host${wanted.length === 1 ? '' : 's'} ${wanted.join(', ')}`, changes };
}

function portPart({ answers: { portals }, ids, problems }: Context, nvme: NvmeLook): Part {
  const changes = portals.flatMap((address) => {
    const there = nvme.ports.find(({ addr_trtype, addr_traddr }) => addr_trtype === 'TCP' && serves(addr_traddr, address));
    if (there === undefined && !nvme.addresses.includes(address)) {
      problems.push(`TrueNAS has no address ${address} for NVMe/TCP; it has ${nvme.addresses.join(', ')}`);
      return [];
    }
    const key = `port ${address}`;
    ids[key] = there?.id ?? `<id of the new port ${address}>`;
    const data = { addr_trtype: 'TCP', addr_traddr: address, addr_trsvcid: NVME_PORT };
    const made: Change = {
      what: `make NVMe port ${address}`,
      request: () => make('nvmet.port.create', [data], `make NVMe port ${address}`, z.unknown()),
      learn: learnId(key),
      undo: (known) => deletion('nvmet.port.delete', [known[key], { force: false }], `delete NVMe port ${address}`),
    };
    const linked = nvme.portLinks.some((one) => one.port.id === ids[key] && one.subsys.id === ids['subsystem']);
    const offered: Change = {
      what: `offer the subsystem at ${address}`,
      request: (known) =>
        make('nvmet.port_subsys.create', [{ port_id: known[key], subsys_id: known['subsystem'] }], `offer it at ${address}`, z.unknown()),
      learn: learnId(`link ${key}`),
      undo: (known) => deletion('nvmet.port_subsys.delete', [known[`link ${key}`]], `no longer offer the subsystem at ${address}`),
    };
    return [...(there === undefined ? [made] : []), ...(linked ? [] : [offered])];
  });
  return { what: `NVMe port${portals.length === 1 ? '' : 's'} ${portals.join(', ')}`, changes };
}
