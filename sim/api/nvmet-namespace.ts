import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { type ArrayCore, pause } from '../state/array-core.ts';
import { zvolOfPath } from '../state/iscsi/exports.ts';
import type { NamespaceRecord } from '../state/nvmet/records.ts';
import { PythonError, type SimMethod } from './contract.ts';
import { crudMethods } from './crud.ts';
import { integer, nonEmpty, notModelled, param, Problems } from './method.ts';
import { NVMET_RELEASES, overlaid, referenced, ROLE_PREFIX, subsystemEntry } from './nvmet-models.ts';

const nsid = integer.min(1).max(0xff_ff_ff_fe).nullable();
const fields = {
  nsid,
  device_type: z.enum(['ZVOL', 'FILE']),
  device_path: nonEmpty,
  filesize: integer.nullable(),
  enabled: z.boolean(),
  subsys_id: integer,
};
const createModel = z.strictObject({
  ...fields,
  nsid: nsid.default(null),
  filesize: fields.filesize.default(null),
  enabled: z.boolean().default(true),
});
const updateModel = z.strictObject(fields).partial();
const deleteOptions = z.strictObject({ remove: z.boolean().default(false) });

/** nvmet.namespace.* for zvols (truenas-api 12); delete does not look whether anybody uses it. */
export function nvmetNamespaceMethods(core: ArrayCore): SimMethod[] {
  const { nvmet } = core;
  const { namespaces } = nvmet;

  const checkPath = (problems: Problems, schema: string, path: string, old: NamespaceRecord | null): void => {
    const at = `${schema}.device_path`;
    if (!path.startsWith('zvol/')) problems.add(at, `ZVOL device_path must start with "zvol/": ${path}`);
    else if (!core.deviceExists(path)) problems.add(at, `ZVOL device_path must be a block device: ${path}`);
    const other = namespaces.find((one) => one.device_path === path && one.id !== old?.id);
    if (other !== undefined) {
      problems.add(at, `This device_path already used by subsystem: ${nvmet.subsystems.get(other.subsys_id)?.name ?? '?'}`);
    }
    const extent = core.iscsi.extents.find((one) => one.path === path);
    if (extent !== undefined) problems.add(at, `This device_path already used by iSCSI extent: ${extent.name}`);
  };

  const validate = (problems: Problems, schema: string, subsystem: number, number: number | null, old: NamespaceRecord | null): void => {
    if (nvmet.subsystems.get(subsystem) === undefined) problems.add(`${schema}.subsys_id`, `No subsystem with ID ${subsystem}`);
    if (namespaces.find((one) => one.subsys_id === subsystem && one.nsid === number && one.id !== old?.id) !== undefined) {
      problems.add(`${schema}.nsid`, `This record already exists (Subsystem ID: ${subsystem}/NSID: ${number ?? 'None'})`);
    }
  };

  const refuseFile = (type: 'ZVOL' | 'FILE' | undefined): void => {
    if (type === 'FILE') throw notModelled('namespaces of type FILE');
  };

  /** The database keeps (subsystem, nsid) unique. */
  const checkNumber = (row: NamespaceRecord): void => {
    if (namespaces.find((one) => one.id !== row.id && one.subsys_id === row.subsys_id && one.nsid === row.nsid) === undefined) return;
    const column = 'services_nvmet_namespace.nvmet_namespace';
    throw new PythonError('IntegrityError', `(sqlite3.IntegrityError) UNIQUE constraint failed: ${column}_subsys_id, ${column}_nsid`);
  };

  return crudMethods<NamespaceRecord>({
    core,
    namespace: 'nvmet.namespace',
    verboseName: 'NVMetNamespace',
    rolePrefix: ROLE_PREFIX,
    releases: NVMET_RELEASES,
    rows: () => namespaces.all(),
    get: (id) => namespaces.get(id),
    entry: (row) => namespaceEntry(core, row),
    createParam: () => param('nvmet_namespace_create', createModel),
    updateParam: () => param('nvmet_namespace_update', updateModel),
    deleteParams: [param('options', deleteOptions, {})],
    async create(data) {
      const { device_type: type, ...wanted } = createModel.parse(data);
      refuseFile(type);
      const problems = new Problems();
      validate(problems, 'nvmet_namespace_create', wanted.subsys_id, wanted.nsid, null);
      checkPath(problems, 'nvmet_namespace_create', wanted.device_path, null);
      problems.check();
      await pause();
      const row: NamespaceRecord = {
        ...wanted,
        id: namespaces.nextId(),
        device_type: 'ZVOL',
        nsid: wanted.nsid ?? lowestFree(namespaces.filter((one) => one.subsys_id === wanted.subsys_id).map((one) => one.nsid)),
        device_uuid: randomUUID(),
        device_nguid: randomUUID(),
      };
      checkNumber(row);
      namespaces.insert(row);
      await core.reloadNvmet();
      return row;
    },
    async update(row, data) {
      const { device_type: type, nsid: number, subsys_id: subsystem, ...wanted } = updateModel.parse(data);
      refuseFile(type);
      // The subsystem that was sent is looked at, but the old one is written back, as on TrueNAS.
      const next: NamespaceRecord = { ...overlaid<Omit<NamespaceRecord, 'nsid'>>(row, wanted), nsid: number ?? row.nsid };
      const problems = new Problems();
      validate(problems, 'nvmet_namespace_update', subsystem ?? row.subsys_id, next.nsid, row);
      checkPath(problems, 'nvmet_namespace_update', next.device_path, row);
      if (row.enabled && core.serviceStates.running('nvmet')) {
        for (const key of ['nsid', 'device_path'] as const) {
          if (next[key] === row[key]) continue;
          problems.add('nvmet_namespace_update', `Cannot change ${key} on an active namespace.  Disable first to allow change.`);
        }
      }
      problems.check();
      await pause();
      checkNumber(next);
      namespaces.update(next);
      await core.reloadNvmet();
      return next;
    },
    async remove(row) {
      namespaces.remove(row.id);
      await core.reloadNvmet();
    },
  });
}

function namespaceEntry(core: ArrayCore, row: NamespaceRecord): Record<string, unknown> {
  const { subsys_id: subsystem, ...common } = row;
  return {
    ...common,
    subsys: subsystemEntry(core, referenced(core.nvmet.subsystems.get(subsystem), `subsystem ${subsystem}`)),
    locked: core.zfs.isLocked(zvolOfPath(row.device_path)),
    // filled for FILE namespaces only
    ...(core.release === '26.0' ? { dataset: null, relative_path: null } : {}),
  };
}

function lowestFree(taken: readonly number[]): number {
  const used = new Set(taken);
  let number = 1;
  while (used.has(number)) number += 1;
  return number;
}
