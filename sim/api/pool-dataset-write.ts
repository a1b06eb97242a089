import { ERRNO, CallError, type SimMethod } from './contract.ts';
import { type ArrayCore, pause } from '../state/array-core.ts';
import { exceedsShare, NOT_A_MULTIPLE, TOO_BIG } from '../rules/zvol-size.ts';
import type { DatasetRecord } from '../state/zfs/records.ts';
import { bytesOf } from '../state/zfs/space.ts';
import { validDatasetName } from '../state/zfs/datasets.ts';
import { parentName } from '../state/zfs/zfs-state.ts';
import {
  createData,
  createModel,
  type DatasetCreate,
  type DatasetUpdate,
  updateData,
  updateModel,
  VOLUME_BLOCK_SIZES,
} from './dataset-models.ts';
import { managedProperties, withoutNulls, zfsProperties } from './dataset-properties.ts';
import { isInternalDataset } from './dataset-entry.ts';
import { method, notModelled, param, Problems, pythonQuote, roles, str } from './method.ts';
import { datasetInstance } from './pool-dataset-query.ts';
import { translated } from './zfs-errors.ts';

const NOT_FOR_VOLUME = ['aclmode', 'acltype', 'atime', 'casesensitivity', 'quota', 'refquota', 'recordsize'] as const;
const NOT_FOR_FILESYSTEM = ['force_size', 'sparse', 'volsize', 'volblocksize'] as const;
const RECORD_SIZE = /^(512B?|[1248]K|16K|32K|64K|128K|256K|512K|1M|2M|4M|8M|16M)$/;
const MAX_NAME_2504 = 200;

/** pool.dataset.create and update (truenas-api 9.1, 9.2). */
export function datasetWriteMethods(core: ArrayCore): SimMethod[] {
  const write = roles('DATASET_WRITE');
  return [
    method(
      'pool.dataset.create',
      write,
      (release) => [param(release === '25.04' ? 'pool_dataset_create' : 'data', createModel(release))],
      async ([data]) => {
        const wanted = createData.parse(data);
        await createDataset(core, wanted);
        const entry = datasetInstance(core, wanted.name);
        core.services.emit({ msg: 'added', collection: 'pool.dataset.query', id: wanted.name, fields: entry });
        return entry;
      },
    ),
    method(
      'pool.dataset.update',
      write,
      (release) => [
        param('id', str),
        release === '25.04' ? param('pool_dataset_update', updateModel(release), {}) : param('data', updateModel(release)),
      ],
      async ([id, data]) => {
        const name = String(id);
        await updateDataset(core, name, updateData.parse(data));
        const entry = datasetInstance(core, name);
        core.services.emit({ msg: 'changed', collection: 'pool.dataset.query', id: name, fields: entry });
        return entry;
      },
    ),
  ];
}

async function createDataset(core: ArrayCore, wanted: DatasetCreate): Promise<void> {
  const problems = new Problems();
  const attribute = 'pool_dataset_create.name';
  if (!wanted.name.includes('/')) problems.add(attribute, 'You need a full name, e.g. pool/newdataset');
  else if (!validDatasetName(wanted.name)) problems.add(attribute, 'Invalid dataset name');
  else if (core.release === '25.04' && wanted.name.length > MAX_NAME_2504)
    problems.add(attribute, 'Dataset name should not exceed 200 characters');
  else if (wanted.name.endsWith(' ')) problems.add(attribute, 'Trailing spaces are not permitted in dataset names');
  problems.check();

  const parent = existingParent(core, wanted);
  if (isInternalDataset(wanted.name)) {
    problems.add(attribute, `${pythonQuote(wanted.name)} is using system internal managed dataset. Please specify a different parent.`);
  }
  if (parent === undefined) addMissingParent(core, problems, wanted);
  else if (core.reader().read(parent, 'readonly')?.raw === 'on') {
    problems.add('pool_dataset_create.readonly', `Turn off readonly mode on ${parent.name} to create ${wanted.name.split('/')[0] ?? ''}`);
  }
  problems.check();
  if (parent === undefined) return;

  validateType(problems, 'pool_dataset_create', wanted.type, wanted);
  const blockSize = VOLUME_BLOCK_SIZES[wanted.volblocksize ?? '16K'] ?? 16_384;
  if (wanted.type === 'VOLUME') {
    if (wanted.volsize === undefined) problems.add('pool_dataset_create.volsize', 'This field is required for VOLUME');
    else
      validateSize(
        problems,
        'pool_dataset_create',
        wanted.volsize,
        blockSize,
        wanted.force_size === true,
        core.reader().space(parent).available,
      );
  }
  problems.check();
  if (parent.type === 'VOLUME') {
    problems.add(attribute, `${parent.name}: parent may not be a ZFS volume`);
    problems.check();
  }
  if (core.zfs.isLocked(parent.name)) {
    problems.add(attribute, `${parentName(wanted.name) ?? ''} must be unlocked to create ${wanted.name}.`);
    problems.check();
  }
  if (wanted.encryption) throw notModelled('encrypted datasets');

  await pause();
  const properties = withoutNulls(zfsProperties(wanted));
  if (wanted.type === 'VOLUME') {
    properties['volsize'] = String(wanted.volsize);
    properties['volblocksize'] = String(blockSize);
    if (wanted.sparse !== true) properties['refreservation'] ??= String(wanted.volsize);
  } else if (wanted.casesensitivity !== undefined && wanted.casesensitivity !== 'INHERIT') {
    properties['casesensitivity'] = wanted.casesensitivity.toLowerCase();
  }
  const users = withoutNulls(managedProperties(wanted));
  for (const { key, value } of wanted.user_properties) users[key] = value;
  await translated(
    () =>
      core.zfs.transaction(() =>
        core.datasets.create({
          name: wanted.name,
          type: wanted.type,
          properties,
          userProperties: users,
          createAncestors: wanted.create_ancestors,
        }),
      ),
    (error) =>
      new CallError(
        core.release === '26.0'
          ? `Failed to create dataset ${wanted.name}: ${error.message}`
          : `Failed to create dataset: ${error.message}`,
      ),
  );
}

/** The dataset whose space and settings count: with create_ancestors the nearest one that exists. */
function existingParent(core: ArrayCore, wanted: DatasetCreate): DatasetRecord | undefined {
  for (let name = parentName(wanted.name); name !== null; name = parentName(name)) {
    const record = core.zfs.dataset(name);
    if (record !== undefined || !wanted.create_ancestors) return record;
  }
  return undefined;
}

function addMissingParent(core: ArrayCore, problems: Problems, wanted: DatasetCreate): void {
  const attribute = 'pool_dataset_create.name';
  const parent = parentName(wanted.name) ?? wanted.name;
  if (wanted.create_ancestors) problems.add(attribute, 'Please specify a pool which exists for the dataset/volume to be created');
  else if (core.release === '25.04') problems.add(attribute, 'Parent dataset does not exist for specified name');
  else problems.add(attribute, parent.includes('/') ? `Parent dataset (${parent}) does not exist.` : `zpool (${parent}) does not exist.`);
}

function validateType(problems: Problems, schema: string, type: 'FILESYSTEM' | 'VOLUME', data: DatasetCreate | DatasetUpdate): void {
  const given: Readonly<Record<string, unknown>> = { ...data };
  for (const field of type === 'VOLUME' ? NOT_FOR_VOLUME : NOT_FOR_FILESYSTEM) {
    if (given[field] !== undefined) problems.add(`${schema}.${field}`, `This field is not valid for ${type}`);
  }
  const { recordsize } = data;
  if (type === 'FILESYSTEM' && recordsize !== undefined && recordsize !== 'INHERIT' && !RECORD_SIZE.test(recordsize)) {
    problems.add(`${schema}.recordsize`, `${pythonQuote(recordsize)} is an invalid recordsize.`);
  }
}

function validateSize(problems: Problems, schema: string, volsize: number, blockSize: number, force: boolean, available: number): void {
  if (!force && exceedsShare(volsize, available)) problems.add(`${schema}.volsize`, TOO_BIG);
  if (volsize % blockSize !== 0) problems.add(`${schema}.volsize`, NOT_A_MULTIPLE);
}

async function updateDataset(core: ArrayCore, name: string, wanted: DatasetUpdate): Promise<void> {
  const problems = new Problems();
  const record = isInternalDataset(name) ? undefined : core.zfs.dataset(name);
  if (record === undefined) {
    problems.add('id', `${name} does not exist`, ERRNO.ENOENT);
    problems.check();
    return;
  }
  validateType(problems, 'pool_dataset_update', record.type, wanted);
  const oldSize = bytesOf(record, 'volsize');
  if (record.type === 'VOLUME' && wanted.volsize !== undefined) {
    const reader = core.reader();
    const parent = core.zfs.mustDataset(parentName(name) ?? name);
    const available = reader.space(parent).available + reader.space(record).used;
    validateSize(
      problems,
      'pool_dataset_update',
      wanted.volsize,
      Number(reader.read(record, 'volblocksize')?.raw),
      wanted.force_size === true,
      available,
    );
    if (wanted.volsize < oldSize)
      problems.add('pool_dataset_update.volsize', 'You cannot shrink a zvol from GUI, this may lead to data loss.');
  }
  const users = { ...managedProperties(wanted), ...userPropertyChanges(problems, record, wanted) };
  problems.check();

  const properties = zfsProperties(wanted);
  if (wanted.volsize !== undefined && record.type === 'VOLUME') properties['volsize'] = String(wanted.volsize);
  await pause();
  await translated(
    () => core.zfs.transaction(() => core.datasets.setProperties(name, properties, users)),
    (error) => new CallError(core.release === '26.0' ? error.message : `Failed to update dataset: ${error.message}`),
  );
  if (record.type !== 'VOLUME') return;
  // growth is pushed to a running target service (resync_size), nothing to a stopped one
  if (wanted.volsize !== undefined && wanted.volsize > oldSize) await core.reopenExports();
  if (wanted.readonly !== undefined) await followReadonly(core, name, wanted.readonly === 'ON');
}

function userPropertyChanges(problems: Problems, record: DatasetRecord, wanted: DatasetUpdate): Record<string, string | null> {
  const changes: Record<string, string | null> = {};
  const replace = wanted.user_properties ?? [];
  const single = wanted.user_properties_update ?? [];
  if (replace.length > 0 && single.length > 0) {
    problems.add('pool_dataset_update.user_properties_update', 'Should not be specified when "user_properties" are explicitly specified');
  } else if (replace.length > 0) {
    for (const key of Object.keys(record.userProperties))
      if (!key.startsWith('org.freenas:') && !key.startsWith('org.truenas:')) changes[key] = null;
    for (const { key, value } of replace) changes[key] = value;
  }
  single.forEach((one, index) => {
    const attribute = `pool_dataset_update.user_properties_update.${index}`;
    if (one.value !== undefined && one.remove === true)
      problems.add(`${attribute}.remove`, 'When "value" is specified, this cannot be set');
    else if (one.value === undefined && one.remove === undefined)
      problems.add(`${attribute}.value`, 'Either "value" or "remove" must be specified');
    else if (one.value !== undefined) changes[one.key] = one.value;
    else if (one.remove === true) changes[one.key] = null;
  });
  return changes;
}

/** The extent on the zvol gets the same `ro`, when it is enabled (truenas-api 9.2). */
async function followReadonly(core: ArrayCore, name: string, ro: boolean): Promise<void> {
  const extent = core.iscsi.extents.find((one) => one.enabled && one.path === `zvol/${name}`);
  if (extent === undefined || extent.ro === ro) return;
  core.iscsi.extents.update({ ...extent, ro });
  await core.reloadIscsi();
}
