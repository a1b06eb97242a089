import type { ArrayCore } from '../state/array-core.ts';
import type { SnapshotRecord } from '../state/zfs/records.ts';
import { validSnapshotName } from '../state/zfs/datasets.ts';
import { ZfsError } from '../state/zfs/zfs-error.ts';
import { type Access, CallError, ERRNO, type SimMethod, type SimRelease, ValidationErrors, validationError } from './contract.ts';
import { instanceNotFound, method, notModelled, param, Problems, pythonQuote, roles, str } from './method.ts';
import { extraOf, instanceParams, pinned, queryParams } from './query-params.ts';
import { snapshotEntry, type SnapshotEntryOptions } from './snapshot-entry.ts';
import * as models from './snapshot-models.ts';
import * as operations from './snapshot-operations.ts';
import { destroySnapshotResource } from './zfs-resource-snapshot.ts';
import { translated } from './zfs-errors.ts';

const FROM_2510: readonly SimRelease[] = ['25.10', '26.0'];

/** zfs.snapshot.* on 25.04, pool.snapshot.* from 25.10 on (truenas-api 10). */
export function snapshotMethods(core: ArrayCore): SimMethod[] {
  const old = core.release === '25.04';
  const namespace = old ? 'zfs.snapshot' : 'pool.snapshot';
  const verboseName = old ? 'ZFSSnapshot' : 'PoolSnapshot';
  const event = `${namespace}.query`;
  const read = roles('SNAPSHOT_READ');
  const write = roles('SNAPSHOT_WRITE');
  // on 25.04 these declare no roles
  const action =
    (...names: readonly string[]): (() => Access) =>
    () =>
      old ? 'full-admin' : { roles: names };
  const name = (legacy: string, modern: string): string => (old ? legacy : modern);
  const id = param('id', str);

  const entry = (record: SnapshotRecord, options: SnapshotEntryOptions): Record<string, unknown> =>
    snapshotEntry(core.release, core.zfs, core.reader(), record, options);
  const instance = (path: unknown, options: SnapshotEntryOptions): Record<string, unknown> => {
    const record = typeof path === 'string' ? core.zfs.snapshot(path) : undefined;
    if (record === undefined) throw instanceNotFound(verboseName, path);
    return entry(record, options);
  };

  return [
    method(
      event,
      read,
      (release) => queryParams(release, true),
      ([filters, options]) => querySnapshots(core, filters, options),
      { query: true },
    ),
    method(
      `${namespace}.get_instance`,
      read,
      (release) => instanceParams(release, str, true),
      ([path, options]) => instance(path, entryOptions(core, options)),
    ),
    method(
      `${namespace}.create`,
      write,
      (release) => [param(name('snapshot_create', 'data'), models.snapshotCreateModel(release))],
      async ([data]) => {
        const path = await createSnapshot(core, data);
        const created = instance(path, { holds: false, properties: core.release === '26.0' ? ['creation', 'createtxg'] : null });
        // 25.04 and 25.10 send it for their own namespace
        core.services.emit({ msg: 'added', collection: event, id: path, fields: created });
        return created;
      },
    ),
    method(
      `${namespace}.update`,
      write,
      () => [id, old ? param('snapshot_update', models.update2504, {}) : param('data', models.update2510)],
      async ([path, data]) => {
        // 26.0: nothing happens and null is answered, whatever the id (truenas-api 10)
        if (core.release === '26.0') return null;
        await updateSnapshot(core, String(path), data);
        return instance(path, { holds: false, properties: null });
      },
    ),
    method(`${namespace}.delete`, roles('SNAPSHOT_DELETE'), [id, param('options', models.snapshotDelete, {})], async ([path, options]) => {
      const wanted = models.snapshotDelete.parse(options);
      await deleteSnapshot(core, verboseName, String(path), wanted.defer, wanted.recursive);
      core.services.emit({ msg: 'removed', collection: event, id: String(path), extra: { recursive: wanted.recursive } });
      return true;
    }),
    method(
      `${namespace}.clone`,
      action('SNAPSHOT_WRITE', 'DATASET_WRITE'),
      [param(name('snapshot_clone', 'data'), models.snapshotClone)],
      async ([data]) => {
        const wanted = models.snapshotClone.parse(data);
        await translated(
          () => operations.clone(core, wanted.snapshot, wanted.dataset_dst, wanted.dataset_properties),
          (error) => cloneError(core, error),
        );
        return true;
      },
    ),
    method(
      `${namespace}.rollback`,
      action('SNAPSHOT_WRITE', 'POOL_WRITE'),
      [id, param('options', models.snapshotRollback, {})],
      async ([path, options]) => {
        const wanted = models.snapshotRollback.parse(options);
        const run = core.release === '26.0' ? operations.rollback26 : operations.rollback25;
        await translated(
          () => run(core, String(path), wanted),
          (error) => rollbackError(core, String(path), error),
        );
        return null;
      },
    ),
    method(`${namespace}.hold`, action('SNAPSHOT_WRITE'), [id, param('options', models.snapshotHold, {})], async ([path, options]) => {
      await translated(
        () => holdAll(core, String(path), 'truenas', models.snapshotHold.parse(options).recursive),
        (error) => holdError(core, 'hold', String(path), error),
      );
      return null;
    }),
    method(`${namespace}.release`, action('SNAPSHOT_WRITE'), [id, param('options', models.snapshotHold, {})], async ([path, options]) => {
      await translated(
        () => releaseAll(core, String(path), null, models.snapshotHold.parse(options).recursive),
        (error) => holdError(core, 'release', String(path), error),
      );
      return null;
    }),
    method(
      'pool.snapshot.rename',
      write,
      (release) => [param('id', str.min(1)), param('options', models.snapshotRenameModel(release))],
      async ([path, options]) => {
        await renameSnapshot(core, String(path), options);
        return null;
      },
      { releases: FROM_2510 },
    ),
  ];
}

/** `extra` of the query (truenas-api 7.2): 26.0 has no properties unless named, and always `holds`. */
function entryOptions(core: ArrayCore, options: unknown): SnapshotEntryOptions {
  const extra = extraOf(options);
  const wanted = extra['properties'];
  const names = Array.isArray(wanted) ? wanted.filter((one): one is string => typeof one === 'string') : null;
  if (core.release === '26.0') return { holds: true, properties: names ?? [] };
  return { holds: extra['holds'] === true, properties: names };
}

function querySnapshots(core: ArrayCore, filters: unknown, options: unknown): Record<string, unknown>[] {
  const extra = extraOf(options);
  if (extra['retention'] === true) throw notModelled('extra.retention');
  const min = typeof extra['min_txg'] === 'number' ? extra['min_txg'] : 0;
  const max = typeof extra['max_txg'] === 'number' ? extra['max_txg'] : 0;
  const reader = core.reader();
  const shape = entryOptions(core, options);
  return candidates(core, filters)
    .filter((one) => one.createtxg >= min && (max === 0 || one.createtxg <= max))
    .map((one) => snapshotEntry(core.release, core.zfs, reader, one, shape));
}

function candidates(core: ArrayCore, filters: unknown): SnapshotRecord[] {
  const paths = pinned(filters, ['id', 'name']);
  if (paths !== null) return paths.flatMap((path) => (typeof path === 'string' ? (core.zfs.snapshot(path) ?? []) : []));
  const datasets = pinned(filters, ['dataset']);
  const records =
    datasets === null ? core.zfs.datasets() : datasets.flatMap((one) => (typeof one === 'string' ? (core.zfs.dataset(one) ?? []) : []));
  return records.flatMap((record) => core.zfs.snapshots(record));
}

/** `auto-%Y-%m-%d_%H-%M` and the like, in UTC. */
function nameOfSchema(schema: string, ms: number): string {
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  const parts: Readonly<Record<string, string>> = {
    Y: String(date.getUTCFullYear()),
    m: two(date.getUTCMonth() + 1),
    d: two(date.getUTCDate()),
    H: two(date.getUTCHours()),
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    s: String(Math.floor(ms / 1000)),
  };
  return schema.replaceAll(/%([A-Za-z])/g, (whole, letter: string) => parts[letter] ?? whole);
}

async function createSnapshot(core: ArrayCore, data: unknown): Promise<string> {
  const wanted = models.snapshotCreateData.parse(data);
  const problems = new Problems();
  if (wanted.name !== undefined && wanted.naming_schema !== undefined) {
    problems.add('snapshot_create.naming_schema', "You can't specify name and naming schema at the same time");
  } else if (wanted.name === undefined && wanted.naming_schema === undefined) {
    problems.add('snapshot_create.naming_schema', 'You must specify either name or naming schema');
  }
  if (wanted.exclude.length > 0) {
    if (!wanted.recursive && core.release !== '26.0')
      problems.add('snapshot_create.exclude', 'This option has no sense for non-recursive snapshots');
    if (wanted.vmware_sync) problems.add('snapshot_create.vmware_sync', 'This option is not supported when excluding datasets');
    if (Object.keys(wanted.properties).length > 0)
      problems.add('snapshot_create.properties', 'This option is not supported when excluding datasets');
  }
  const name = wanted.name ?? nameOfSchema(wanted.naming_schema ?? '', core.services.now());
  const path = `${wanted.dataset}@${name}`;
  if (core.release !== '26.0' && (wanted.name !== undefined || wanted.naming_schema !== undefined) && !validSnapshotName(path)) {
    problems.add('snapshot_create.name', 'Invalid snapshot name');
  }
  problems.check();
  const users = Object.fromEntries(
    Object.entries(wanted.properties).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
  await translated(
    () => operations.take(core, wanted.dataset, name, wanted.recursive, wanted.exclude, users),
    (error) => {
      if (core.release === '26.0') {
        if (error.code === 'exists') return validationError('pool.snapshot.create', `${name} already exists.`, 'EEXIST');
        if (error.code === 'not-found') return new CallError(`${pythonQuote(wanted.dataset)} not found`, 'EINVAL');
        return new CallError(error.message, 'EINVAL');
      }
      return new CallError(`Failed to snapshot ${path}: ${error.message}`, error.code === 'exists' ? 'EEXIST' : 'EFAULT');
    },
  );
  return path;
}

async function updateSnapshot(core: ArrayCore, path: string, data: unknown): Promise<void> {
  const changes: Record<string, string | null> = {};
  if (core.release === '25.04') {
    const problems = new Problems();
    models.update2504.parse(data).user_properties_update.forEach((one, index) => {
      if (one.remove === true && one.value !== undefined) {
        problems.add(`snapshot_update.user_properties_update.${index}.remove`, 'Must not be set when value is specified');
      } else if (one.value !== undefined) changes[one.key] = one.value;
      else if (one.remove === true) changes[one.key] = null;
    });
    problems.check();
  } else {
    const wanted = models.update2510.parse(data);
    for (const one of wanted.user_properties_update) changes[one.key] = one.value;
    for (const key of wanted.user_properties_remove) changes[key] = null;
  }
  await translated(
    () => core.zfs.transaction(() => core.snapshots.setUserProperties(path, changes)),
    (error) => new CallError(error.message),
  );
}

async function deleteSnapshot(core: ArrayCore, verboseName: string, path: string, defer: boolean, recursive: boolean): Promise<void> {
  if (core.release === '26.0') {
    if (!path.includes('@')) throw validationError('pool.snapshot.delete', `Invalid snapshot name: ${pythonQuote(path)}`);
    try {
      await destroySnapshotResource(core, { path, recursive, defer, all_snapshots: false });
    } catch (error) {
      if (error instanceof ValidationErrors && error.items[0]?.[2] === ERRNO.ENOENT)
        throw new ValidationErrors([[null, error.items[0][1], ERRNO.ENOENT]]);
      throw error;
    }
    return;
  }
  await translated(
    () =>
      core.zfs.transaction(async () => {
        const doomed = operations.sameNamed(core, path, recursive);
        if (!defer) {
          for (const one of doomed) {
            const clones = core.zfs.clones(one);
            if (clones.length > 0) throw new ZfsError('has-clones', `snapshot has dependent clones`, clones);
            if (Object.keys(one.holds).length > 0)
              throw new ZfsError('held', `cannot destroy snapshot ${core.zfs.fullName(one)}: dataset is busy`);
          }
        }
        for (const one of doomed) await core.snapshots.destroy(core.zfs.fullName(one), defer);
      }),
    (error) => {
      if (error.code === 'not-found') return new ValidationErrors([[null, `${verboseName} ${path} does not exist`, ERRNO.ENOENT]]);
      if (error.code === 'has-clones') {
        return validationError(
          'options.defer',
          `Please set this attribute as ${pythonQuote(path)} snapshot has dependent clones: ${error.names.join(', ')}`,
        );
      }
      return new CallError(error.message);
    },
  );
}

function cloneError(core: ArrayCore, error: ZfsError): Error {
  if (core.release !== '26.0') return new CallError(`Failed to clone snapshot: ${error.message}`);
  const name = pythonQuote(error.names[0] ?? '');
  if (error.code === 'exists') return new CallError(`${name} already exists`, 'EINVAL');
  if (error.code === 'not-found') return new CallError(`${name} not found`, 'EINVAL');
  return new CallError(error.message, 'EINVAL');
}

function rollbackError(core: ArrayCore, path: string, error: ZfsError): Error {
  if (core.release !== '26.0') {
    return new CallError(
      `Failed to rollback snapshot: ${error.code === 'not-found' ? `cannot open '${path}': dataset does not exist` : error.message}`,
    );
  }
  if (error.code === 'not-found') return new CallError(`${pythonQuote(error.names[0] ?? path)} not found`, 'EINVAL');
  return new CallError(rollbackText26(error), 'EINVAL');
}

/** The wording of 26.0, also under zfs.resource.snapshot.rollback. */
export function rollbackText26(error: ZfsError): string {
  if (error.code !== 'newer-snapshots') return `Failed to rollback snapshot: ${error.message}`;
  return `Cannot rollback: more recent snapshots or bookmarks exist. Please pass \`recursive: true\` to delete the following snapshots and bookmarks recursively:\n${error.names.map((one) => `  ${one}`).join('\n')}`;
}

function holdError(core: ArrayCore, what: 'hold' | 'release', path: string, error: ZfsError): Error {
  if (core.release !== '26.0') return new CallError(`Failed to ${what} snapshot: ${error.message}`);
  return new CallError(error.code === 'not-found' ? `${pythonQuote(path)} not found` : error.message, 'EINVAL');
}

export function holdAll(core: ArrayCore, path: string, tag: string, recursive: boolean): Promise<void> {
  return core.zfs.transaction(async () => {
    for (const one of operations.sameNamed(core, path, recursive)) await core.snapshots.hold(core.zfs.fullName(one), tag);
  });
}

export function releaseAll(core: ArrayCore, path: string, tag: string | null, recursive: boolean): Promise<void> {
  return core.zfs.transaction(async () => {
    for (const one of operations.sameNamed(core, path, recursive)) await core.snapshots.release(core.zfs.fullName(one), tag);
  });
}

async function renameSnapshot(core: ArrayCore, path: string, options: unknown): Promise<void> {
  const wanted = models.snapshotRenameData.parse(options);
  if (!wanted.force) {
    throw validationError(
      'pool.snapshot.rename.force',
      'No safety checks are performed when renaming ZFS resources; this may break existing usages. If you understand the risks, please set force and proceed.',
    );
  }
  if (wanted.new_name.split('@')[0] !== path.split('@')[0]) {
    throw validationError('pool.snapshot.rename.new_name', 'Old and new snapshot must be part of the same ZFS dataset');
  }
  const target = operations.splitSnapshot(wanted.new_name);
  await translated(
    () =>
      core.zfs.transaction(async () => {
        for (const one of operations.sameNamed(core, path, wanted.recursive)) {
          const current = core.zfs.fullName(one);
          await core.snapshots.rename(current, `${current.split('@')[0] ?? ''}@${target?.name ?? ''}`);
        }
      }),
    (error) => {
      if (core.release !== '26.0') return new CallError(`Failed to rename snapshot: ${error.message}`);
      if (error.code === 'not-found') return validationError('zfs.resource.rename', `${pythonQuote(path)} not found`, 'ENOENT');
      if (error.code === 'exists')
        return validationError('zfs.resource.rename', `${pythonQuote(wanted.new_name)} already exists`, 'EEXIST');
      return new CallError(error.message, 'EINVAL');
    },
  );
}
