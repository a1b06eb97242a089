import * as z from 'zod';
import type { SimRelease } from './contract.ts';
import { forwardIssues, integer, nonEmpty, REPORT, str } from './method.ts';

const anyRecord = z.record(z.string(), z.unknown());
const common = {
  dataset: nonEmpty,
  recursive: z.boolean().default(false),
  exclude: z.array(str).default([]),
  vmware_sync: z.boolean().default(false),
  properties: anyRecord.default({}),
};
const suspend = { suspend_vms: z.boolean().default(false) };
const create2504 = z.strictObject({ ...common, ...suspend, name: nonEmpty.optional(), naming_schema: nonEmpty.optional() });

/** name or naming_schema, as a union of models: what fits neither is reported once for each. */
function union(extra: z.ZodRawShape): z.ZodType {
  const named = z.strictObject({ ...common, ...extra, name: nonEmpty });
  const schema = z.strictObject({ ...common, ...extra, naming_schema: nonEmpty });
  return z.unknown().transform((input, context) => {
    const first = named.safeParse(input, REPORT);
    if (first.success) return first.data;
    const second = schema.safeParse(input, REPORT);
    if (second.success) return second.data;
    for (const [name, issues] of [
      ['PoolSnapshotCreateWithName', first.error.issues],
      ['PoolSnapshotCreateWithSchema', second.error.issues],
    ] as const) {
      forwardIssues(context, name, issues);
    }
    return z.NEVER;
  });
}
const create2510 = union({});
const create26 = union(suspend);

export function snapshotCreateModel(release: SimRelease): z.ZodType {
  if (release === '25.04') return create2504;
  return release === '25.10' ? create2510 : create26;
}
export const snapshotCreateData = create2504;

export const snapshotDelete = z.strictObject({ defer: z.boolean().default(false), recursive: z.boolean().default(false) });
export const snapshotClone = z.strictObject({ snapshot: nonEmpty, dataset_dst: nonEmpty, dataset_properties: anyRecord.default({}) });
const rollbackFields = {
  recursive: z.boolean().default(false),
  recursive_clones: z.boolean().default(false),
  force: z.boolean().default(false),
  recursive_rollback: z.boolean().default(false),
};
export const snapshotRollback = z.strictObject(rollbackFields);
export const snapshotHold = z.strictObject({ recursive: z.boolean().default(false) });

const key = str.regex(/:/);
export const update2504 = z.strictObject({
  user_properties_update: z.array(z.strictObject({ key, value: str.optional(), remove: z.boolean().optional() })).default([]),
});
export const update2510 = z.strictObject({
  user_properties_update: z.array(z.strictObject({ key, value: str })).default([]),
  user_properties_remove: z.array(key).default([]),
});

const rename2510 = z.strictObject({ new_name: nonEmpty, force: z.boolean().default(false) });
const rename26 = z.strictObject({ new_name: nonEmpty, force: z.boolean().default(false), recursive: z.boolean().default(false) });
export function snapshotRenameModel(release: SimRelease): z.ZodType {
  return release === '26.0' ? rename26 : rename2510;
}
export const snapshotRenameData = rename26;

const uniquePaths = z
  .array(str)
  .refine((paths) => new Set(paths).size === paths.length, 'Value error, Duplicate values are not allowed')
  .default([]);

/** zfs.resource.snapshot.* of 26.0. */
export const resourceSnapshot = {
  clone: z.strictObject({ snapshot: nonEmpty, dataset: nonEmpty, properties: z.record(z.string(), z.union([str, integer])).default({}) }),
  count: z.strictObject({ paths: uniquePaths, recursive: z.boolean().default(false) }),
  create: z.strictObject({
    dataset: nonEmpty,
    name: nonEmpty,
    recursive: z.boolean().default(false),
    exclude: z.array(str).default([]),
    user_properties: z.record(z.string(), str).default({}),
  }),
  destroy: z.strictObject({
    path: nonEmpty,
    recursive: z.boolean().default(false),
    all_snapshots: z.boolean().default(false),
    defer: z.boolean().default(false),
  }),
  hold: z.strictObject({ path: nonEmpty, tag: str.default('truenas'), recursive: z.boolean().default(false) }),
  holds: z.strictObject({ path: nonEmpty }),
  query: z.strictObject({
    paths: uniquePaths,
    recursive: z.boolean().default(false),
    properties: z.array(str).nullable().default([]),
    get_user_properties: z.boolean().default(false),
    get_source: z.boolean().default(false),
    get_holds: z.boolean().default(false),
    min_txg: integer.default(0),
    max_txg: integer.default(0),
  }),
  release: z.strictObject({ path: nonEmpty, tag: str.nullable().default(null), recursive: z.boolean().default(false) }),
  rename: z.strictObject({ current_name: nonEmpty, new_name: nonEmpty, recursive: z.boolean().default(false) }),
  rollback: z.strictObject({ path: nonEmpty, ...rollbackFields }),
} as const;
