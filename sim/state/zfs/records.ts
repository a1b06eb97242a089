import * as z from 'zod';

const text = z.record(z.string(), z.string());
const count = z.int().min(0);

/** A dataset as it is stored. `properties` and `userProperties` hold what was set here; the rest is inherited or default. */
export const datasetRecord = z.strictObject({
  guid: z.string().regex(/^\d{1,20}$/),
  name: z.string().min(1).max(255),
  type: z.enum(['FILESYSTEM', 'VOLUME']),
  createtxg: count,
  /** seconds since the epoch */
  creation: count,
  properties: text,
  userProperties: text,
  /** guid of the snapshot that this is a clone of */
  origin: z.string().nullable(),
});
export type DatasetRecord = z.infer<typeof datasetRecord>;

export const snapshotRecord = z.strictObject({
  guid: z.string().regex(/^\d{1,20}$/),
  /** guid of its dataset */
  dataset: z.string(),
  /** without `dataset@` */
  name: z.string().min(1).max(255),
  createtxg: count,
  creation: count,
  userProperties: text,
  /** tag → seconds since the epoch */
  holds: z.record(z.string(), count),
  /** `zfs destroy -d` was asked while it had clones or holds */
  deferred: z.boolean(),
  /** bytes the dataset referenced then */
  referenced: count,
  /** bytes of the volume then; null for a filesystem */
  volsize: count.nullable(),
});
export type SnapshotRecord = z.infer<typeof snapshotRecord>;

export const zfsDump = z.strictObject({
  pool: z.string(),
  size: count,
  txg: count,
  datasets: z.array(datasetRecord),
  snapshots: z.array(snapshotRecord),
});
export type ZfsDump = z.infer<typeof zfsDump>;
