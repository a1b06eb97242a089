import * as z from 'zod';
import type { CreateZvol, DatasetInfo, Release, Zvol } from '../../core/array-port.ts';
import { KIB } from '../../core/sizes.ts';
import { ejsonDateSeconds } from './ejson.ts';
import { change, read, type RequestFor } from './request.ts';

/** A ZFS property (truenas-api 7.2). `value` is for people (`1 GiB`), so numbers are taken from `parsed`, else from `rawvalue`. */
const property = z.looseObject({ parsed: z.unknown().optional(), rawvalue: z.string().nullish(), value: z.string().nullish() });
type Property = z.output<typeof property>;

function bytes(value: Property | undefined): number | null {
  if (typeof value?.parsed === 'number' && Number.isSafeInteger(value.parsed)) return value.parsed;
  const raw = value?.rawvalue ?? '';
  return /^[0-9]{1,16}$/.test(raw) ? Number(raw) : null;
}

function onOff(value: Property | undefined): boolean {
  if (typeof value?.parsed === 'boolean') return value.parsed;
  return (value?.rawvalue ?? value?.value ?? 'off').toLowerCase() === 'on';
}

function seconds(value: Property | undefined): number | null {
  const date = ejsonDateSeconds.safeParse(value?.parsed);
  return date.success ? date.data : bytes(value);
}

const required = (name: string) =>
  property.transform((value, context) => {
    const parsed = bytes(value);
    if (parsed !== null) return parsed;
    context.addIssue({ code: 'custom', message: `${name} has no number` });
    return z.NEVER;
  });

const userProperties = z
  .record(z.string(), z.union([z.string(), property]))
  .nullish()
  .transform((all) => {
    const entries: [string, string][] = [];
    for (const [key, entry] of Object.entries(all ?? {})) {
      // 25.10+ puts comments, managedby and quota_* among them under their API names (truenas-api 7.2): not ours.
      if (!key.includes(':')) continue;
      const value = typeof entry === 'string' ? entry : (entry.rawvalue ?? entry.value);
      if (typeof value === 'string') entries.push([key, value]);
    }
    return Object.fromEntries(entries);
  });

const zvolRow = z
  .looseObject({
    id: z.string().min(1),
    type: z.literal('VOLUME'),
    volsize: required('volsize'),
    volblocksize: required('volblocksize'),
    used: property.optional(),
    usedbydataset: property.optional(),
    origin: property.optional(),
    creation: property.optional(),
    user_properties: userProperties,
  })
  .transform((row): Zvol => {
    // `value` of origin is in upper case on 25.10+ (read in its source); rawvalue is exact. None is "" or "none".
    const origin = row.origin?.rawvalue ?? '';
    const written = bytes(row.usedbydataset);
    return {
      id: row.id,
      volsize: row.volsize,
      volblocksize: row.volblocksize,
      used: bytes(row.used) ?? 0,
      ...(written === null ? {} : { written }),
      origin: origin === '' || origin === 'none' || origin === '-' ? null : origin,
      creation: seconds(row.creation),
      userProperties: row.user_properties,
    };
  });

const datasetRow = z
  .looseObject({
    id: z.string().min(1),
    type: z.enum(['FILESYSTEM', 'VOLUME']),
    used: required('used'),
    available: required('available'),
    quota: property.nullish(),
    readonly: property.nullish(),
    locked: z.boolean().nullish(),
    encrypted: z.boolean().nullish(),
    key_loaded: z.boolean().nullish(),
  })
  .transform((row): DatasetInfo => {
    const quota = bytes(row.quota ?? undefined);
    return {
      id: row.id,
      type: row.type,
      used: row.used,
      available: row.available,
      quota: quota === 0 ? null : quota,
      readonly: onOff(row.readonly ?? undefined),
      locked: row.locked ?? (row.encrypted === true && row.key_loaded === false),
    };
  });

const ZVOL_PROPERTIES = ['volsize', 'volblocksize', 'used', 'usedbydataset', 'origin', 'creation'] as const;
// `locked` is only computed when a property of encryption is asked for (25.10+).
const DATASET_PROPERTIES = ['used', 'available', 'quota', 'readonly', 'encryption', 'keystatus'] as const;
const ZVOL_FIELDS = ['id', 'type', ...ZVOL_PROPERTIES, 'user_properties'] as const;
const DATASET_FIELDS = ['id', 'type', 'used', 'available', 'quota', 'readonly', 'locked', 'encrypted', 'key_loaded'] as const;
const READ_ROLES = { subject: 'dataset', roles: ['DATASET_READ'] } as const;

interface QueryShape {
  readonly properties: readonly string[];
  readonly select: readonly string[];
  readonly userProperties: boolean;
  /** Ask for descendants of the pool's root datasets too. */
  readonly search?: boolean;
}

/**
 * Options of pool.dataset.query. `retrieve_children: false` keeps every descendant from being repeated inside `children`
 * (truenas-api 7.2). On 25.04 it also means that a search by anything but one `id =`/`id in` filter sees nothing but the
 * pools' root datasets; there a search must ask for children (they never reach us: `select` drops them).
 */
function options(release: Release, shape: QueryShape): Record<string, unknown> {
  return {
    extra: {
      flat: true,
      retrieve_children: shape.search === true && release === '25.04',
      properties: [...shape.properties],
      retrieve_user_props: shape.userProperties,
    },
    select: [...shape.select],
  };
}

/** Datasets as parents of volumes; those that are absent are left out. `id =` and `id in` spare 25.04 the walk through the pools. */
export function datasetQuery(ids: readonly string[]): RequestFor<readonly DatasetInfo[]> {
  const [only] = ids;
  const filter = ids.length === 1 ? ['id', '=', only] : ['id', 'in', ids];
  return (release) =>
    read(
      'pool.dataset.query',
      [[filter], options(release, { properties: DATASET_PROPERTIES, select: DATASET_FIELDS, userProperties: false })],
      `read dataset ${ids.join(', ')}`,
      z.array(datasetRow),
      READ_ROLES,
    );
}

/** One zvol; a filesystem of that name fails the answer's schema and is reported, not taken for "absent". */
export function zvolQuery(id: string): RequestFor<readonly Zvol[]> {
  return (release) =>
    read(
      'pool.dataset.query',
      [[['id', '=', id]], options(release, { properties: ZVOL_PROPERTIES, select: ZVOL_FIELDS, userProperties: true })],
      `read zvol ${id}`,
      z.array(zvolRow),
      { ...READ_ROLES, subject: 'zvol' },
    );
}

/** Every zvol below `dataset`, at any depth: the filter engine has no "direct child". */
export function zvolsBelowQuery(dataset: string): RequestFor<readonly Zvol[]> {
  return (release) =>
    read(
      'pool.dataset.query',
      [
        [
          ['id', '^', `${dataset}/`],
          ['type', '=', 'VOLUME'],
        ],
        options(release, { properties: ZVOL_PROPERTIES, select: ZVOL_FIELDS, userProperties: true, search: true }),
      ],
      `list the zvols of ${dataset}`,
      z.array(zvolRow),
      READ_ROLES,
    );
}

export interface DatasetAndZvolRows {
  readonly dataset: DatasetInfo | null;
  readonly zvol: Zvol | null;
}

/** Parent and zvol in one call; `id in` is one of the two filters that 25.04 answers without walking the pools. */
export function datasetAndZvolQuery(dataset: string, zvol: string): RequestFor<DatasetAndZvolRows> {
  const properties = [...new Set<string>([...DATASET_PROPERTIES, ...ZVOL_PROPERTIES])];
  const select = [...new Set<string>([...DATASET_FIELDS, ...ZVOL_FIELDS])];
  const rows = z.array(z.looseObject({ id: z.string() })).transform((all, context): DatasetAndZvolRows => {
    const pick = <T>(id: string, row: z.ZodType<T>): T | null => {
      const found = all.find((entry) => entry.id === id);
      if (found === undefined) return null;
      const parsed = row.safeParse(found);
      if (parsed.success) return parsed.data;
      for (const issue of parsed.error.issues) context.addIssue({ code: 'custom', message: issue.message, path: [id, ...issue.path] });
      return null;
    };
    return { dataset: pick(dataset, datasetRow), zvol: pick(zvol, zvolRow) };
  });
  return (release) =>
    read(
      'pool.dataset.query',
      [[['id', 'in', [dataset, zvol]]], options(release, { properties, select, userProperties: true })],
      `read dataset ${dataset} and zvol ${zvol}`,
      rows,
      READ_ROLES,
    );
}

/** Datasets that are clones of the snapshot; rows without the property never match (truenas-api 7.1). */
export function clonesQuery(snapshot: string): RequestFor<readonly string[]> {
  const ids = z.array(z.looseObject({ id: z.string() })).transform((rows) => rows.map((row) => row.id));
  return (release) =>
    read(
      'pool.dataset.query',
      [
        [['origin.rawvalue', '=', snapshot]],
        options(release, { properties: ['origin'], select: ['id'], userProperties: false, search: true }),
      ],
      `look for clones of ${snapshot}`,
      ids,
      READ_ROLES,
    );
}

/** `16384` as `16K`, `512` as `512` (the words of truenas-api 9.1). */
export function volblocksizeWord(size: number): string {
  return size < KIB ? String(size) : `${size / KIB}K`;
}

/**
 * Every optional field is sent, because 25.10.4 falls over missing ones after the zvol is made (F-301). `refreservation` is
 * what makes a volume thick: an explicit 0 would make it thin on 26.0 even with `sparse: false` (truenas-api 9.1).
 */
export function zvolCreate(zvol: CreateZvol): RequestFor<Zvol> {
  const payload: Record<string, unknown> = {
    name: zvol.id,
    type: 'VOLUME',
    volsize: zvol.volsize,
    volblocksize: volblocksizeWord(zvol.volblocksize),
    sparse: zvol.sparse,
    force_size: zvol.forceSize ?? false,
    comments: zvol.comments,
    snapdev: 'INHERIT',
    reservation: 0,
    refreservation: zvol.sparse ? 0 : zvol.volsize,
    special_small_block_size: 'INHERIT',
    user_properties: Object.entries(zvol.userProperties).map(([key, value]) => ({ key, value })),
  };
  if (zvol.compression !== undefined) payload['compression'] = zvol.compression;
  return () =>
    change('pool.dataset.create', [payload], `create zvol ${zvol.id}`, zvolRow, {
      subject: 'zvol',
      roles: ['DATASET_WRITE'],
    });
}

/** Growth; TrueNAS pushes the new size to the LUN itself (truenas-api 9.2). */
export function zvolResize(id: string, volsize: number, forceSize: boolean): RequestFor<unknown> {
  return () =>
    change('pool.dataset.update', [id, { volsize, force_size: forceSize }], `resize zvol ${id} to ${volsize} bytes`, z.unknown(), {
      subject: 'zvol',
      roles: ['DATASET_WRITE'],
    });
}

/**
 * A call of its own after growth: ZFS leaves a reservation that was exactly the old size as it is, and takes none above the size that
 * the volume has.
 */
export function zvolReserve(id: string, bytes: number): RequestFor<unknown> {
  return () =>
    change('pool.dataset.update', [id, { refreservation: bytes }], `reserve ${bytes} bytes for zvol ${id}`, z.unknown(), {
      subject: 'zvol',
      roles: ['DATASET_WRITE'],
    });
}

/** Never recursive: on 26.0 that destroys clones and releases holds (truenas-api 9.3). The answer proves nothing (law 6). */
export function zvolDelete(id: string): RequestFor<unknown> {
  return () =>
    change('pool.dataset.delete', [id, { recursive: false, force: false }], `delete zvol ${id}`, z.unknown(), {
      subject: 'zvol',
      roles: ['DATASET_DELETE'],
    });
}
