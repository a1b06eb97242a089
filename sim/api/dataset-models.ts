import * as z from 'zod';
import { forwardIssues, integer, nonEmpty, REPORT, str } from './method.ts';
import type { SimRelease } from './contract.ts';

const LEVELS = [
  ...Array.from({ length: 19 }, (_, i) => `ZSTD-${i + 1}`),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 500, 1000].map((i) => `ZSTD-FAST-${i}`),
];
/** What pool.dataset.compression_choices lists. */
export const COMPRESSIONS: readonly string[] = [
  'ON',
  'OFF',
  'LZ4',
  'GZIP',
  'GZIP-1',
  'GZIP-9',
  'ZSTD',
  'ZSTD-FAST',
  'ZLE',
  'LZJB',
  ...LEVELS,
];
export const CHECKSUMS = ['ON', 'FLETCHER2', 'FLETCHER4', 'SHA256', 'SHA512', 'SKEIN', 'EDONR', 'BLAKE3'] as const;
export const VOLUME_BLOCK_SIZES: Readonly<Record<string, number>> = {
  '512': 512,
  '512B': 512,
  '1K': 1024,
  '2K': 2048,
  '4K': 4096,
  '8K': 8192,
  '16K': 16_384,
  '32K': 32_768,
  '64K': 65_536,
  '128K': 131_072,
};

const DATASET_NAME = /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.:% -]+(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.:% -]+)*$/;
const NAME_TEXT = 'Value error, Please provide a valid dataset name according to ZFS standards';
const GIB = 1_073_741_824;

const inheritable = <const T extends readonly string[]>(...values: T) => z.enum([...values, 'INHERIT']);
const percent = z.union([integer.min(0).max(100), z.literal('INHERIT')]);
const quota2510 = z.union([integer.min(GIB), z.literal(0), z.null()]);
const userProperty = z.strictObject({ key: str.regex(/:/), value: str });
const userPropertyUpdate = z.strictObject({ key: str.regex(/:/), value: str.optional(), remove: z.boolean().optional() });
const volblocksize = z.enum(['512', '512B', '1K', '2K', '4K', '8K', '16K', '32K', '64K', '128K']);

const shared = {
  comments: str,
  sync: inheritable('STANDARD', 'ALWAYS', 'DISABLED'),
  snapdev: inheritable('HIDDEN', 'VISIBLE'),
  compression: z.enum([...COMPRESSIONS, 'INHERIT']),
  exec: inheritable('ON', 'OFF'),
  managedby: nonEmpty,
  quota_warning: percent,
  quota_critical: percent,
  refquota_warning: percent,
  refquota_critical: percent,
  reservation: integer,
  refreservation: integer,
  special_small_block_size: z.union([integer, z.literal('INHERIT')]),
  copies: z.union([integer, z.literal('INHERIT')]),
  snapdir: inheritable('DISABLED', 'VISIBLE', 'HIDDEN'),
  deduplication: inheritable('ON', 'VERIFY', 'OFF'),
  checksum: z.enum([...CHECKSUMS, 'OFF', 'INHERIT']),
  readonly: inheritable('ON', 'OFF'),
};

const filesystemOnly = {
  aclmode: inheritable('PASSTHROUGH', 'RESTRICTED', 'DISCARD'),
  acltype: inheritable('OFF', 'NFSV4', 'POSIX'),
  atime: inheritable('ON', 'OFF'),
  recordsize: str,
};

function encryptionOptions(iterations: number): z.ZodType {
  return z.strictObject({
    generate_key: z.boolean().default(false),
    pbkdf2iters: integer.min(iterations).default(iterations === 100_000 ? 350_000 : iterations),
    algorithm: z.enum(['AES-128-CCM', 'AES-192-CCM', 'AES-256-CCM', 'AES-128-GCM', 'AES-192-GCM', 'AES-256-GCM']).default('AES-256-GCM'),
    passphrase: str.min(8).nullable().default(null),
    key: str.length(64).nullable().default(null),
  });
}

function createFields(iterations: number) {
  return {
    ...z.object(shared).partial().shape,
    share_type: z.enum(['GENERIC', 'MULTIPROTOCOL', 'NFS', 'SMB', 'APPS']).default('GENERIC'),
    encryption_options: encryptionOptions(iterations).optional(),
    encryption: z.boolean().default(false),
    inherit_encryption: z.boolean().default(true),
    user_properties: z.array(userProperty).default([]),
    create_ancestors: z.boolean().default(false),
  };
}

const casesensitivity = inheritable('SENSITIVE', 'INSENSITIVE');
const optionalFilesystem = z.object({ ...filesystemOnly, casesensitivity }).partial().shape;
const modelName = z.string().min(1).max(255, NAME_TEXT).regex(DATASET_NAME, NAME_TEXT);
const volumeFields = { force_size: z.boolean().optional(), sparse: z.boolean().optional(), volblocksize: volblocksize.optional() };

const create2504 = z.strictObject({
  name: str,
  type: z.enum(['FILESYSTEM', 'VOLUME']).default('FILESYSTEM'),
  volsize: integer.optional(),
  ...volumeFields,
  ...createFields(100_000),
  ...optionalFilesystem,
  quota: integer.nullable().optional(),
  refquota: integer.nullable().optional(),
});

function arms(iterations: number) {
  const common = { name: modelName, ...createFields(iterations) };
  return {
    FILESYSTEM: z.strictObject({
      ...common,
      type: z.literal('FILESYSTEM').default('FILESYSTEM'),
      ...optionalFilesystem,
      quota: quota2510.optional(),
      refquota: quota2510.optional(),
    }),
    VOLUME: z.strictObject({ ...common, type: z.literal('VOLUME').default('VOLUME'), volsize: integer, ...volumeFields }),
  };
}
const arms2510 = arms(100_000);
const arms26 = arms(1_300_000);

const typed = z.looseObject({ type: z.unknown() });

/** 25.10: a union of models without discriminator, so that what does not fit is reported once for each (truenas-api 2.2). */
const create2510 = z.unknown().transform((input, context) => {
  const filesystem = arms2510.FILESYSTEM.safeParse(input, REPORT);
  const volume = arms2510.VOLUME.safeParse(input, REPORT);
  const first = filesystem.success ? filesystem : volume;
  if (first.success) return first.data;
  for (const [name, result] of [
    ['PoolDatasetCreateFilesystem', filesystem],
    ['PoolDatasetCreateVolume', volume],
  ] as const) {
    forwardIssues(context, name, result.error?.issues ?? []);
  }
  return z.NEVER;
});

/** 26.0: chosen by `type`; none means FILESYSTEM. */
const create26 = z.unknown().transform((input, context) => {
  const given = typed.safeParse(input);
  const type = given.success && given.data.type !== undefined ? given.data.type : 'FILESYSTEM';
  if (type !== 'FILESYSTEM' && type !== 'VOLUME') {
    context.addIssue({
      code: 'custom',
      message: `Input tag '${typeof type === 'string' ? type : JSON.stringify(type)}' found using dataset_discriminator() does not match any of the expected tags: 'FILESYSTEM', 'VOLUME'`,
    });
    return z.NEVER;
  }
  const result = arms26[type].safeParse(input, REPORT);
  if (result.success) return result.data;
  forwardIssues(context, type, result.error.issues);
  return z.NEVER;
});

export function createModel(release: SimRelease): z.ZodType {
  if (release === '25.04') return create2504;
  return release === '25.10' ? create2510 : create26;
}

/** What a handler reads once the release's own model has accepted it. */
export const createData = create2504.extend({ name: z.string(), encryption_options: z.unknown().optional() });
export type DatasetCreate = z.infer<typeof createData>;

const updateFields = {
  ...shared,
  volsize: integer,
  force_size: z.boolean(),
  ...filesystemOnly,
  user_properties: z.array(userProperty),
  create_ancestors: z.boolean(),
  user_properties_update: z.array(userPropertyUpdate),
};
const update2504 = z.strictObject({ ...updateFields, quota: integer.nullable(), refquota: integer.nullable() }).partial();
const update2510 = z.strictObject({ ...updateFields, quota: quota2510, refquota: quota2510 }).partial();
export const updateData = update2504;
export type DatasetUpdate = z.infer<typeof update2504>;

export function updateModel(release: SimRelease): z.ZodType {
  return release === '25.04' ? update2504 : update2510;
}

export const deleteOptions = z.strictObject({ recursive: z.boolean().default(false), force: z.boolean().default(false) });
export const renameOptions = z.strictObject({
  new_name: modelName,
  recursive: z.boolean().default(false),
  force: z.boolean().default(false),
});
