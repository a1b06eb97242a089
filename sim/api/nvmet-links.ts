import * as z from 'zod';
import { type ArrayCore, pause } from '../state/array-core.ts';
import type { HostSubsystemRecord, PortSubsystemRecord } from '../state/nvmet/records.ts';
import type { SimMethod } from './contract.ts';
import { crudMethods } from './crud.ts';
import { integer, param, Problems } from './method.ts';
import { hostEntry, NVMET_RELEASES, overlaid, portEntry, referenced, ROLE_PREFIX, subsystemEntry } from './nvmet-models.ts';

const hostLink = z.strictObject({ host_id: integer, subsys_id: integer });
const portLink = z.strictObject({ port_id: integer, subsys_id: integer });

/** nvmet.host_subsys.*: which host may use which subsystem (truenas-api 12). */
export function nvmetHostLinkMethods(core: ArrayCore): SimMethod[] {
  const { nvmet } = core;
  const links = nvmet.hostSubsystems;
  const validate = (schema: string, host: number, subsystem: number, old: HostSubsystemRecord | null): void => {
    const problems = new Problems();
    if (nvmet.hosts.get(host) === undefined) problems.add(`${schema}.host_id`, `No host with ID ${host}`);
    if (nvmet.subsystems.get(subsystem) === undefined) problems.add(`${schema}.subsys_id`, `No subsystem with ID ${subsystem}`);
    if (links.find((one) => one.host_id === host && one.subsys_id === subsystem && one.id !== old?.id) !== undefined) {
      problems.add(`${schema}.host_id`, `This record already exists (Host ID: ${host}/Subsystem ID: ${subsystem})`);
    }
    problems.check();
  };
  return crudMethods<HostSubsystemRecord>({
    core,
    namespace: 'nvmet.host_subsys',
    verboseName: 'NVMetHostSubsys',
    rolePrefix: ROLE_PREFIX,
    releases: NVMET_RELEASES,
    rows: () => links.all(),
    get: (id) => links.get(id),
    entry: (row, context) => ({
      id: row.id,
      host: hostEntry(core, referenced(nvmet.hosts.get(row.host_id), `host ${row.host_id}`), context),
      subsys: subsystemEntry(core, referenced(nvmet.subsystems.get(row.subsys_id), `subsystem ${row.subsys_id}`)),
    }),
    createParam: () => param('nvmet_host_subsys_create', hostLink),
    updateParam: () => param('nvmet_host_subsys_update', hostLink.partial()),
    deleteParams: [],
    async create(data) {
      const wanted = hostLink.parse(data);
      validate('nvmet_host_subsys_create', wanted.host_id, wanted.subsys_id, null);
      await pause();
      const row = links.insert({ id: links.nextId(), ...wanted });
      await core.reloadNvmet();
      return row;
    },
    async update(row, data) {
      const next = overlaid(row, hostLink.partial().parse(data));
      validate('nvmet_host_subsys_update', next.host_id, next.subsys_id, row);
      await pause();
      links.update(next);
      await core.reloadNvmet();
      return next;
    },
    async remove(row) {
      links.remove(row.id);
      await core.reloadNvmet();
    },
  });
}

/** nvmet.port_subsys.*: on which port a subsystem is to be had (truenas-api 12). */
export function nvmetPortLinkMethods(core: ArrayCore): SimMethod[] {
  const { nvmet } = core;
  const links = nvmet.portSubsystems;
  const validate = (schema: string, port: number, subsystem: number, old: PortSubsystemRecord | null): void => {
    const problems = new Problems();
    if (nvmet.ports.get(port) === undefined) problems.add(`${schema}.port_id`, `No port with ID ${port}`);
    if (nvmet.subsystems.get(subsystem) === undefined) problems.add(`${schema}.subsys_id`, `No subsystem with ID ${subsystem}`);
    if (links.find((one) => one.port_id === port && one.subsys_id === subsystem && one.id !== old?.id) !== undefined) {
      // TrueNAS says "Host ID" here, too
      problems.add(`${schema}.port_id`, `This record already exists (Host ID: ${port}/Subsystem ID: ${subsystem})`);
    }
    problems.check();
  };
  return crudMethods<PortSubsystemRecord>({
    core,
    namespace: 'nvmet.port_subsys',
    verboseName: 'NVMetPortSubsys',
    rolePrefix: ROLE_PREFIX,
    releases: NVMET_RELEASES,
    rows: () => links.all(),
    get: (id) => links.get(id),
    entry: (row) => ({
      id: row.id,
      port: portEntry(referenced(nvmet.ports.get(row.port_id), `port ${row.port_id}`)),
      subsys: subsystemEntry(core, referenced(nvmet.subsystems.get(row.subsys_id), `subsystem ${row.subsys_id}`)),
    }),
    createParam: () => param('nvmet_port_subsys_create', portLink),
    updateParam: () => param('nvmet_port_subsys_update', portLink.partial()),
    deleteParams: [],
    async create(data) {
      const wanted = portLink.parse(data);
      validate('nvmet_port_subsys_create', wanted.port_id, wanted.subsys_id, null);
      await pause();
      const row = links.insert({ id: links.nextId(), ...wanted });
      await core.reloadNvmet();
      return row;
    },
    async update(row, data) {
      const next = overlaid(row, portLink.partial().parse(data));
      validate('nvmet_port_subsys_update', next.port_id, next.subsys_id, row);
      await pause();
      links.update(next);
      await core.reloadNvmet();
      return next;
    },
    async remove(row) {
      links.remove(row.id);
      await core.reloadNvmet();
    },
  });
}
