import * as z from 'zod';
import { flattenedName, newNaa, newSerial } from '../rules/extent-identity.ts';
import { type ArrayCore, pause } from '../state/array-core.ts';
import { pathOfZvol, zvolOfPath } from '../state/iscsi/exports.ts';
import type { ExtentRecord } from '../state/iscsi/records.ts';
import { activeSessions } from '../state/iscsi/sessions.ts';
import { bytesOf } from '../state/zfs/space.ts';
import { CallError, type SimMethod, type SimRelease } from './contract.ts';
import { crudMethods, flag } from './crud.ts';
import { removeMapping } from './iscsi-targetextent.ts';
import { integer, method, notModelled, param, Problems, pythonQuote, roles, str } from './method.ts';
import { humanSize } from './property-format.ts';

const MAX_SERIAL = 20;
const blocksize = z.union([z.literal(512), z.literal(1024), z.literal(2048), z.literal(4096)]);
const rpm = z.enum(['UNKNOWN', 'SSD', '5400', '7200', '10000', '15000']);
const fields = {
  name: z.string().min(1).max(64),
  type: z.enum(['DISK', 'FILE']),
  disk: str.nullable(),
  serial: str.nullable(),
  path: str.nullable(),
  filesize: z.union([str, integer]),
  blocksize,
  pblocksize: z.boolean(),
  avail_threshold: integer.min(1).max(99).nullable(),
  comment: str,
  insecure_tpc: z.boolean(),
  xen: z.boolean(),
  rpm,
  ro: z.boolean(),
  enabled: z.boolean(),
};
const productId = z.string().min(1).max(16).nullable();
const createFields = {
  ...fields,
  type: fields.type.default('DISK'),
  disk: fields.disk.default(null),
  serial: fields.serial.default(null),
  path: fields.path.default(null),
  filesize: fields.filesize.default('0'),
  blocksize: blocksize.default(512),
  pblocksize: fields.pblocksize.default(false),
  avail_threshold: fields.avail_threshold.default(null),
  comment: str.default(''),
  insecure_tpc: fields.insecure_tpc.default(true),
  xen: fields.xen.default(false),
  rpm: rpm.default('SSD'),
  ro: fields.ro.default(false),
  enabled: fields.enabled.default(true),
};
const create2504 = z.strictObject(createFields);
const create2510 = z.strictObject({ ...createFields, product_id: productId.default(null) });
const update2504 = z.strictObject(fields).partial();
const update2510 = z.strictObject({ ...fields, product_id: productId }).partial();

const createModel = (release: SimRelease): z.ZodType => (release === '25.04' ? create2504 : create2510);
const updateModel = (release: SimRelease): z.ZodType => (release === '25.04' ? update2504 : update2510);

/** iscsi.extent.* for zvols (truenas-api 11); FILE extents are not modelled. */
export function extentMethods(core: ArrayCore): SimMethod[] {
  const extents = core.iscsi.extents;

  const cleanName = (problems: Problems, schema: string, name: string, old: ExtentRecord | null): void => {
    if (name.includes('"')) problems.add(`${schema}.name`, 'Double quotes are not allowed');
    if (name === old?.name) return;
    if (extents.find((one) => one.name === name) !== undefined) problems.add(`${schema}.name`, 'Extent name must be unique');
    else if (core.atLeast('25.10')) {
      const flat = flattenedName(name);
      const clash = extents.find((one) => one.id !== old?.id && flattenedName(one.name) === flat);
      if (clash !== undefined) problems.add(`${schema}.name`, `Extent name must be unique when flattened (${clash.name})`);
    }
  };

  const cleanSerial = (problems: Problems, schema: string, serial: string, old: ExtentRecord | null): void => {
    if (serial.includes('"')) problems.add(`${schema}.serial`, 'Double quotes are not allowed');
    if (serial.length > MAX_SERIAL) problems.add(`${schema}.serial`, `Extent serial can not exceed ${MAX_SERIAL} characters`);
    if (serial !== old?.serial && extents.find((one) => one.serial === serial) !== undefined)
      problems.add(`${schema}.serial`, 'Serial number must be unique');
  };

  const cleanDisk = (problems: Problems, schema: string, disk: string | null, ro: boolean, old: ExtentRecord | null): void => {
    if (disk === null || disk === '') {
      problems.add(`${schema}.disk`, 'This field is required');
      problems.check();
      return;
    }
    if (!disk.startsWith('zvol/')) {
      problems.add(`${schema}.disk`, 'Disk name must start with "zvol/"');
      problems.check();
    }
    const zvol = zvolOfPath(disk);
    const namespace = core.atLeast('25.10') ? core.nvmet.namespaceOn(disk) : null;
    if (namespace !== null) {
      problems.add(`${schema}.disk`, `Disk currently in use by NVMe-oF subsystem ${namespace.subsystem} NSID ${namespace.row.nsid}`);
      problems.check();
    }
    if (!core.deviceExists(disk)) {
      problems.add(`${schema}.disk`, `Device ${pythonQuote(`/dev/${disk}`)} for volume ${pythonQuote(zvol)} does not exist`);
    }
    if (zvol.includes('@') && !ro) problems.add(`${schema}.ro`, 'Must be set when disk is a ZFS Snapshot');
    // 25.04 lets two extents have one zvol
    if (!core.atLeast('25.10')) return;
    const user = extents.find((one) => one.id !== old?.id && one.path === disk);
    if (user !== undefined) problems.add(`${schema}.disk`, `Disk currently in use by extent ${user.name}`);
  };

  const setReadonly = (row: ExtentRecord, volthreading: 'on' | 'off' | null): Promise<void> =>
    core.zfs.transaction(async () => {
      const name = zvolOfPath(row.path);
      if (core.zfs.dataset(name)?.type !== 'VOLUME') return;
      await core.datasets.setProperties(name, { readonly: row.ro ? 'on' : 'off', ...(volthreading === null ? {} : { volthreading }) });
    });

  const refuseFile = (type: 'DISK' | 'FILE'): void => {
    if (type === 'FILE') throw notModelled('extents of type FILE');
  };

  return [
    ...crudMethods<ExtentRecord>({
      core,
      namespace: 'iscsi.extent',
      verboseName: 'iSCSITargetExtent',
      rolePrefix: 'SHARING_ISCSI_EXTENT',
      rows: () => extents.all(),
      get: (id) => extents.get(id),
      entry: (row) => extentEntry(core, row),
      createParam: (release) => param('iscsi_extent_create', createModel(release)),
      updateParam: (release) => param('iscsi_extent_update', updateModel(release)),
      deleteParams: [param('remove', flag, false), param('force', flag, false)],
      async create(data) {
        const wanted = create2510.parse(data);
        refuseFile(wanted.type);
        const serial =
          wanted.serial === null || wanted.serial === '' ? newSerial(new Set(extents.all().map((one) => one.serial))) : wanted.serial;
        await pause();
        const problems = new Problems();
        cleanName(problems, 'iscsi_extent_create', wanted.name, null);
        cleanSerial(problems, 'iscsi_extent_create', serial, null);
        cleanDisk(problems, 'iscsi_extent_create', wanted.disk, wanted.ro, null);
        problems.check();
        await pause();
        const { disk, ...stored } = wanted;
        const row: ExtentRecord = { ...stored, id: extents.nextId(), path: disk ?? '', serial, naa: newNaa(), vendor: 'TrueNAS' };
        await setReadonly(row, 'off');
        return extents.insert({ ...row, id: extents.nextId() });
      },
      async update(row, data) {
        const wanted = update2510.parse(data);
        const { disk, path, type, serial, ...simple } = wanted;
        refuseFile(type ?? row.type);
        // what was read back is overlaid with what was sent: the disk is `disk`, `path` follows it
        const used = new Set(extents.all().map((one) => one.serial));
        const next = merged(
          row,
          simple,
          disk === undefined ? (path ?? row.path) : (disk ?? ''),
          serial === null || serial === '' ? newSerial(used) : (serial ?? row.serial),
        );
        const problems = new Problems();
        cleanName(problems, 'iscsi_extent_update', next.name, row);
        cleanSerial(problems, 'iscsi_extent_update', next.serial, row);
        cleanDisk(problems, 'iscsi_extent_update', next.path, next.ro, row);
        problems.check();
        await pause();
        await setReadonly(next, null);
        extents.update(next);
        await core.reloadIscsi();
        await core.reloadIscsi();
        return next;
      },
      async remove(row, [, force]) {
        await removeExtent(core, row, force === true);
      },
    }),
    method('iscsi.extent.disk_choices', roles('READONLY_ADMIN', 'SHARING_ISCSI_EXTENT_READ'), [], () => {
      const used = new Set(extents.all().map((one) => one.path));
      const choices: Record<string, string> = {};
      const reader = core.reader();
      for (const record of core.zfs.datasets()) {
        const path = pathOfZvol(record.name);
        if (record.type !== 'VOLUME' || used.has(path)) continue;
        const ro = reader.read(record, 'readonly')?.raw === 'on';
        choices[path] = ro ? `${record.name} [ro]` : `${record.name} (${humanSize(bytesOf(record, 'volsize'))})`;
      }
      return choices;
    }),
  ];
}

function extentEntry({ release, zfs }: ArrayCore, row: ExtentRecord): Record<string, unknown> {
  const { product_id, ...common } = row;
  const entry: Record<string, unknown> = { ...common, disk: row.path, locked: zfs.isLocked(zvolOfPath(row.path)) };
  if (release !== '25.04') entry['product_id'] = product_id ?? 'iSCSI Disk';
  if (release === '26.0') {
    // filled for FILE extents only
    entry['dataset'] = null;
    entry['relative_path'] = null;
  }
  return entry;
}

type ExtentChange = { readonly [K in keyof Omit<ExtentRecord, 'id'>]?: ExtentRecord[K] | undefined };

function merged(row: ExtentRecord, change: ExtentChange, path: string, serial: string): ExtentRecord {
  const defined = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  return { ...row, ...defined, path, serial };
}

/**
 * Deletes an extent and its mappings; the zvol stays. Errors: CallError EFAULT when a target it is mapped to has a session.
 */
export async function removeExtent(core: ArrayCore, row: ExtentRecord, force: boolean): Promise<void> {
  const mappings = core.iscsi.mappings.filter((one) => one.extent === row.id);
  const sessions = await activeSessions(
    core,
    mappings.map((one) => one.target),
  );
  if (sessions.length > 0 && !force) {
    throw new CallError(`Associated target(s) ${sessions.join(',')} ${sessions.length === 1 ? 'is' : 'are'} in use.`);
  }
  for (const mapping of mappings) await removeMapping(core, mapping, force);
  const zvol = zvolOfPath(row.path);
  await core.zfs.transaction(async () => {
    if (core.zfs.dataset(zvol)?.type === 'VOLUME') await core.datasets.setProperties(zvol, { volthreading: 'on' });
  });
  core.iscsi.extents.remove(row.id);
  await core.reloadIscsi();
}
