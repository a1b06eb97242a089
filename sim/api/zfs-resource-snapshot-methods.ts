import type { ArrayCore } from '../state/array-core.ts';
import type { ZfsReader } from '../state/zfs/engine.ts';
import { SNAPSHOT_PROPERTIES } from '../state/zfs/property-reader.ts';
import type { SnapshotRecord } from '../state/zfs/records.ts';
import type { ZfsError } from '../state/zfs/zfs-error.ts';
import { type SimMethod, validationError } from './contract.ts';
import { method, type MethodOptions, param, pythonQuote, roles } from './method.ts';
import { resourceProperty } from './property-format.ts';
import { holdAll, releaseAll, rollbackText26 } from './snapshot.ts';
import { resourceSnapshot as models } from './snapshot-models.ts';
import * as operations from './snapshot-operations.ts';
import { destroySnapshotResource } from './zfs-resource-snapshot.ts';
import { translated } from './zfs-errors.ts';

const SCHEMA = 'zfs.resource.snapshot';
const HIDDEN = new Set(['userrefs', 'defer_destroy', 'clones']);
const ONLY_26: MethodOptions = { releases: ['26.0'] };

/** zfs.resource.snapshot.* (26.0): no event for any of them (truenas-api 6, 10). */
export function resourceSnapshotMethods(core: ArrayCore): SimMethod[] {
  const read = roles('SNAPSHOT_READ');
  const write = roles('SNAPSHOT_WRITE');
  return [
    method(`${SCHEMA}.query`, read, [param('data', models.query, {})], ([data]) => query(core, data), ONLY_26),
    method(`${SCHEMA}.count`, read, [param('data', models.count, {})], ([data]) => count(core, data), ONLY_26),
    method(
      `${SCHEMA}.create`,
      write,
      [param('data', models.create)],
      async ([data]) => {
        const wanted = models.create.parse(data);
        const [first] = await run('create', `${wanted.dataset}@${wanted.name}`, () =>
          operations.take(core, wanted.dataset, wanted.name, wanted.recursive, wanted.exclude, wanted.user_properties),
        );
        if (first === undefined)
          throw validationError(
            `${SCHEMA}.create`,
            `No datasets to snapshot - ${pythonQuote(wanted.dataset)} and all children are excluded`,
          );
        return entry(core, core.reader(), first, {
          properties: ['creation', 'createtxg'],
          get_source: false,
          get_holds: false,
          get_user_properties: false,
        });
      },
      ONLY_26,
    ),
    method(
      `${SCHEMA}.destroy`,
      roles('SNAPSHOT_DELETE'),
      [param('data', models.destroy)],
      async ([data]) => {
        const wanted = models.destroy.parse(data);
        if (wanted.all_snapshots && wanted.path.includes('@'))
          throw validationError(`${SCHEMA}.destroy`, "When all_snapshots is True, path must be a dataset path (no '@').");
        if (!wanted.all_snapshots && !wanted.path.includes('@')) {
          throw validationError(
            `${SCHEMA}.destroy`,
            "Path must be a snapshot path (containing '@'). Use all_snapshots=True to destroy all snapshots for a dataset.",
          );
        }
        await destroySnapshotResource(core, wanted);
        return null;
      },
      ONLY_26,
    ),
    method(
      `${SCHEMA}.clone`,
      write,
      [param('data', models.clone)],
      async ([data]) => {
        const wanted = models.clone.parse(data);
        mustBeSnapshot('clone', 'snapshot', wanted.snapshot);
        await run('clone', wanted.snapshot, () => operations.clone(core, wanted.snapshot, wanted.dataset, wanted.properties));
        return null;
      },
      ONLY_26,
    ),
    method(
      `${SCHEMA}.rollback`,
      write,
      [param('data', models.rollback)],
      async ([data]) => {
        const wanted = models.rollback.parse(data);
        mustBeSnapshot('rollback', 'path', wanted.path);
        await run('rollback', wanted.path, () => operations.rollback26(core, wanted.path, wanted));
        return null;
      },
      ONLY_26,
    ),
    method(
      `${SCHEMA}.hold`,
      write,
      [param('data', models.hold)],
      async ([data]) => {
        const wanted = models.hold.parse(data);
        mustBeSnapshot('hold', 'path', wanted.path);
        await run('hold', wanted.path, () => holdAll(core, wanted.path, wanted.tag, wanted.recursive));
        return null;
      },
      ONLY_26,
    ),
    method(
      `${SCHEMA}.holds`,
      read,
      [param('data', models.holds)],
      ([data]) => {
        const { path } = models.holds.parse(data);
        mustBeSnapshot('holds', 'path', path);
        const snapshot = core.zfs.snapshot(path);
        if (snapshot === undefined) throw validationError(`${SCHEMA}.holds`, `${pythonQuote(path)} not found`, 'ENOENT');
        return Object.keys(snapshot.holds);
      },
      ONLY_26,
    ),
    method(
      `${SCHEMA}.release`,
      write,
      [param('data', models.release)],
      async ([data]) => {
        const wanted = models.release.parse(data);
        mustBeSnapshot('release', 'path', wanted.path);
        await run('release', wanted.path, () => releaseAll(core, wanted.path, wanted.tag, wanted.recursive));
        return null;
      },
      ONLY_26,
    ),
    method(
      `${SCHEMA}.rename`,
      write,
      [param('data', models.rename)],
      async ([data]) => {
        await rename(core, data);
        return null;
      },
      ONLY_26,
    ),
  ];
}

function mustBeSnapshot(action: string, attribute: string, path: string): void {
  if (!path.includes('@')) throw validationError(`${SCHEMA}.${action}`, `${attribute} must be a snapshot path (containing '@').`);
}

/** ZfsErrors as ValidationErrors at the method's name. */
function run<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
  return translated(work, (error) => wording(action, path, error));
}

function wording(action: string, path: string, error: ZfsError): Error {
  const schema = `${SCHEMA}.${action}`;
  const name = pythonQuote(error.names[0] ?? path);
  if (error.code === 'not-found') return validationError(schema, `${name} not found`, 'ENOENT');
  if (error.code === 'exists') return validationError(schema, `${name} already exists`, 'EEXIST');
  return validationError(schema, action === 'rollback' ? rollbackText26(error) : error.message);
}

interface Shape {
  readonly properties: readonly string[] | null;
  readonly get_source: boolean;
  readonly get_holds: boolean;
  readonly get_user_properties: boolean;
}

function entry(core: ArrayCore, reader: ZfsReader, snapshot: SnapshotRecord, shape: Shape): Record<string, unknown> {
  const fullName = core.zfs.fullName(snapshot);
  const dataset = operations.splitSnapshot(fullName)?.dataset ?? '';
  const names = shape.properties === null ? [] : shape.properties.length === 0 ? SNAPSHOT_PROPERTIES : shape.properties;
  const properties: Record<string, unknown> = {};
  for (const name of names) {
    const raw = HIDDEN.has(name) || name === 'name' ? undefined : reader.readSnapshot(snapshot, name);
    if (raw !== undefined) properties[name] = resourceProperty(name, { raw, source: 'NONE', from: null }, shape.get_source);
  }
  return {
    createtxg: snapshot.createtxg,
    guid: Number(snapshot.guid),
    name: fullName,
    pool: dataset.split('/')[0],
    dataset,
    snapshot_name: snapshot.name,
    type: 'SNAPSHOT',
    holds: shape.get_holds ? Object.keys(snapshot.holds) : null,
    properties: shape.properties === null ? null : properties,
    user_properties: shape.get_user_properties ? { ...snapshot.userProperties } : null,
  };
}

function overlapping(schema: string, paths: readonly string[], recursive: boolean): void {
  const datasets = paths.filter((path) => !path.includes('@'));
  if (recursive && datasets.some((path) => datasets.some((other) => path.startsWith(`${other}/`)))) {
    throw validationError(schema, 'Paths must be non-overlapping - no path can be relative to another when recursive is set to True.');
  }
}

function query(core: ArrayCore, data: unknown): Record<string, unknown>[] {
  const wanted = models.query.parse(data);
  const schema = `${SCHEMA}.query`;
  overlapping(schema, wanted.paths, wanted.recursive);
  const paths = wanted.paths.length > 0 ? wanted.paths : [core.zfs.pool];
  const found = paths.flatMap((path) => {
    const snapshot = path.includes('@') ? core.zfs.snapshot(path) : undefined;
    if (snapshot !== undefined) return [snapshot];
    const dataset = core.zfs.dataset(path);
    if (dataset === undefined) throw validationError(schema, `${pythonQuote(path)} not found`, 'ENOENT');
    return operations
      .treeNames(core, dataset.name, wanted.recursive)
      .flatMap((name) => [...core.zfs.snapshots(core.zfs.mustDataset(name))]);
  });
  const reader = core.reader();
  return found
    .filter((one) => one.createtxg >= wanted.min_txg && (wanted.max_txg === 0 || one.createtxg <= wanted.max_txg))
    .map((one) => entry(core, reader, one, wanted));
}

function count(core: ArrayCore, data: unknown): Record<string, number> {
  const wanted = models.count.parse(data);
  const schema = `${SCHEMA}.count`;
  overlapping(schema, wanted.paths, wanted.recursive);
  const counts: Record<string, number> = {};
  for (const path of wanted.paths.length > 0 ? wanted.paths : [core.zfs.pool]) {
    if (core.zfs.dataset(path) === undefined) throw validationError(schema, `${pythonQuote(path)} not found`, 'ENOENT');
    for (const name of operations.treeNames(core, path, wanted.recursive))
      counts[name] = core.zfs.snapshots(core.zfs.mustDataset(name)).length;
  }
  return counts;
}

async function rename(core: ArrayCore, data: unknown): Promise<void> {
  const wanted = models.rename.parse(data);
  mustBeSnapshot('rename', 'current_name', wanted.current_name);
  mustBeSnapshot('rename', 'new_name', wanted.new_name);
  const current = operations.splitSnapshot(wanted.current_name)?.dataset ?? '';
  const target = operations.splitSnapshot(wanted.new_name);
  if (current !== target?.dataset) {
    throw validationError(`${SCHEMA}.rename`, `Cannot rename snapshot to a different dataset. Dataset must remain '${current}'.`);
  }
  await run('rename', wanted.current_name, () =>
    core.zfs.transaction(async () => {
      for (const one of operations.sameNamed(core, wanted.current_name, wanted.recursive)) {
        const fullName = core.zfs.fullName(one);
        await core.snapshots.rename(fullName, `${operations.splitSnapshot(fullName)?.dataset ?? ''}@${target.name}`);
      }
    }),
  );
}
