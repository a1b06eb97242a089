import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import { NATIVE_PROPERTIES } from '../state/zfs/property-table.ts';
import type { ZfsReader } from '../state/zfs/engine.ts';
import type { DatasetRecord } from '../state/zfs/records.ts';
import { parentName } from '../state/zfs/zfs-state.ts';
import { type SimMethod, type SimRelease, validationError } from './contract.ts';
import { isInternalDataset } from './dataset-entry.ts';
import { integer, method, nonEmpty, notModelled, param, pythonQuote, roles, str } from './method.ts';
import { destroyResource } from './pool-dataset-delete.ts';
import { resourceProperty } from './property-format.ts';

const SCHEMA = 'zfs.resource.query';
const query2510 = z.strictObject({
  paths: z
    .array(str)
    .refine((paths) => new Set(paths).size === paths.length, 'Value error, Duplicate values are not allowed')
    .default([]),
  properties: z.array(str).nullable().default([]),
  get_user_properties: z.boolean().default(false),
  get_source: z.boolean().default(true),
  nest_results: z.boolean().default(false),
  get_children: z.boolean().default(false),
});
const query26 = query2510.extend({
  get_source: z.boolean().default(false),
  max_depth: integer.default(0),
  get_tier: z.boolean().default(false),
});
const queryModel = (release: SimRelease): z.ZodType => (release === '26.0' ? query26 : query2510);
const destroyModel = z.strictObject({ path: nonEmpty, recursive: z.boolean().default(false) });

const COMPUTED = [
  'available',
  'compressratio',
  'createtxg',
  'creation',
  'encryption',
  'guid',
  'keyformat',
  'keylocation',
  'keystatus',
  'logicalreferenced',
  'logicalused',
  'mounted',
  'mountpoint',
  'origin',
  'pbkdf2iters',
  'refcompressratio',
  'referenced',
  'type',
  'used',
  'usedbychildren',
  'usedbydataset',
  'usedbyrefreservation',
  'usedbysnapshots',
  'written',
] as const;
const ALL = [...Object.keys(NATIVE_PROPERTIES), ...COMPUTED];
const KNOWN = new Set<string>(ALL);

interface Resource extends Record<string, unknown> {
  readonly name: string;
  readonly pool: string;
  children: Resource[] | null;
}

/** zfs.resource.query (25.10 on) and destroy (26.0), truenas-api 7.2, 9.3. A path that is not there is left out. */
export function resourceMethods(core: ArrayCore): SimMethod[] {
  return [
    method(
      SCHEMA,
      roles('ZFS_RESOURCE_READ'),
      (release) => [param('data', queryModel(release), {})],
      ([data]) => query(core, data),
      { releases: ['25.10', '26.0'] },
    ),
    method(
      'zfs.resource.destroy',
      roles('ZFS_RESOURCE_DELETE'),
      [param('data', destroyModel)],
      async ([data]) => {
        const wanted = destroyModel.parse(data);
        const failed = await core.zfs.transaction(() => destroyResource(core, wanted.path, wanted.recursive));
        if (failed !== null)
          throw validationError(
            'zfs.resource.destroy',
            `Failed to destroy ${pythonQuote(wanted.path)}: ${failed.message}`,
            failed.code === 'busy' ? 'EBUSY' : 'EFAULT',
          );
        return null;
      },
      { releases: ['26.0'] },
    ),
  ];
}

function query(core: ArrayCore, data: unknown): Resource[] {
  const wanted = core.release === '26.0' ? query26.parse(data) : { ...query2510.parse(data), max_depth: 0, get_tier: false };
  if (wanted.get_tier) throw notModelled('get_tier');
  const deep = wanted.get_children || wanted.max_depth > 0;
  for (const path of wanted.paths) {
    if (path.includes('@')) throw validationError(SCHEMA, 'Use `zfs.resource.snapshot.query` to query snapshot information.');
    if (deep && wanted.paths.some((other) => path.startsWith(`${other}/`))) {
      throw validationError(SCHEMA, 'Paths must be non-overlapping - no path can be relative to another when get_children is set to True.');
    }
  }
  const reader = core.reader();
  const found: Resource[] = [];
  const visit = (record: DatasetRecord, depth: number): void => {
    if (isInternalDataset(record.name) && !wanted.paths.some(isInternalDataset)) return;
    const children = wanted.max_depth > 0 ? depth < wanted.max_depth : wanted.get_children;
    found.push({ ...resource(core, reader, record, wanted), children: children ? [] : null });
    if (children) for (const child of core.zfs.children(record.name)) visit(core.zfs.mustDataset(child), depth + 1);
  };
  const roots =
    wanted.paths.length > 0 ? wanted.paths.flatMap((path) => core.zfs.dataset(path) ?? []) : [core.zfs.mustDataset(core.zfs.pool)];
  for (const root of roots) visit(root, 0);
  return wanted.nest_results ? nested(found) : found;
}

function resource(core: ArrayCore, reader: ZfsReader, record: DatasetRecord, wanted: z.infer<typeof query2510>): Resource {
  const names =
    wanted.properties === null ? [] : wanted.properties.length === 0 ? ALL : wanted.properties.map((name) => name.toLowerCase());
  const properties: Record<string, unknown> = {};
  for (const name of names) {
    const value = KNOWN.has(name) ? reader.read(record, name) : undefined;
    if (value !== undefined) properties[name] = resourceProperty(name, value, wanted.get_source);
  }
  const users = wanted.get_user_properties
    ? Object.fromEntries([...reader.userProperties(record)].map(([key, value]) => [key, value.raw]))
    : null;
  return {
    createtxg: record.createtxg,
    guid: Number(record.guid),
    name: record.name,
    pool: record.name.split('/')[0] ?? '',
    properties: wanted.properties === null && core.release === '26.0' ? null : properties,
    type: record.type,
    user_properties: users,
    children: null,
  };
}

/** Each under its nearest ancestor in the list. */
function nested(flat: readonly Resource[]): Resource[] {
  const byName = new Map(flat.map((one) => [one.name, one]));
  return flat.filter((one) => {
    for (let name = parentName(one.name); name !== null; name = parentName(name)) {
      const parent = byName.get(name);
      if (parent === undefined) continue;
      parent.children = [...(parent.children ?? []), one];
      return false;
    }
    return true;
  });
}
