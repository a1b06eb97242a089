import type { PropertyValue } from './property-table.ts';
import type { DatasetRecord, SnapshotRecord } from './records.ts';
import type { Space } from './space.ts';

export interface NewDataset {
  readonly name: string;
  readonly type: 'FILESYSTEM' | 'VOLUME';
  /** native properties, raw; of a volume with volsize and volblocksize; refreservation when it is thick */
  readonly properties: Readonly<Record<string, string>>;
  readonly userProperties: Readonly<Record<string, string>>;
  readonly createAncestors: boolean;
}

export interface RollbackOptions {
  /** destroy newer snapshots */
  readonly recursive: boolean;
  /** destroy their clones as well */
  readonly recursiveClones: boolean;
}

/**
 * Datasets as ZFS handles them, without TrueNAS's own rules. Call inside `ZfsState.transaction`; afterwards the tables of
 * the state are what ZFS has. Every refusal is a ZfsError.
 */
export interface DatasetOperations {
  /** `zfs create`. Errors: exists, not-found (parent), invalid-name, invalid-property, no-space. */
  create(wanted: NewDataset): Promise<DatasetRecord>;
  /** `zfs set` and `zfs inherit` (null). Errors: not-found, invalid-property, no-space. */
  setProperties(
    name: string,
    properties: Readonly<Record<string, string | null>>,
    users?: Readonly<Record<string, string | null>>,
  ): Promise<DatasetRecord>;
  /** `zfs destroy`, the dataset alone. Errors: not-found, has-children, has-snapshots, busy. */
  destroy(name: string): Promise<void>;
  /** `zfs rename`. Errors: not-found, exists, invalid-name. */
  rename(name: string, newName: string): void | Promise<void>;
}

/** Snapshots as ZFS handles them; see `DatasetOperations`. */
export interface SnapshotOperations {
  /** `zfs snapshot` of all of them in one transaction group. Errors: not-found, exists, invalid-name, no-space. */
  take(datasets: readonly string[], name: string, users: Readonly<Record<string, string>>): Promise<SnapshotRecord[]>;
  /** `zfs destroy [-d]`. Errors: not-found, has-clones, held. */
  destroy(fullName: string, defer: boolean): Promise<void>;
  /** `zfs hold`. Errors: not-found, held (the tag is there already). */
  hold(fullName: string, tag: string): void | Promise<void>;
  /** `zfs release`; `tag` null: all of them. Errors: not-found. */
  release(fullName: string, tag: string | null): Promise<void>;
  /** `zfs rename`. Errors: not-found, exists, invalid-name. */
  rename(fullName: string, newFullName: string): void | Promise<void>;
  /** `zfs set` and `zfs inherit` (null). Errors: not-found. */
  setUserProperties(fullName: string, changes: Readonly<Record<string, string | null>>): void | Promise<void>;
  /** `zfs rollback`. Errors: not-found, newer-snapshots. */
  rollbackTo(fullName: string): Promise<DatasetRecord>;
  /** `zfs rollback [-r] [-R]`. Errors: newer-snapshots, newer-clones, held, busy. */
  rollback(fullName: string, options: RollbackOptions): Promise<DatasetRecord>;
  /** `zfs destroy -r` of a dataset. Errors: not-found, has-clones (outside of it), held, busy. */
  destroyRecursive(name: string): Promise<void>;
  /** The dataset, everything below it and all clones, holds released (26.0). Errors: busy, and then nothing is destroyed. */
  destroyTree(name: string): Promise<void>;
}

/** Clones as ZFS handles them; see `DatasetOperations`. */
export interface CloneOperations {
  /** `zfs clone`. Errors: not-found, exists, invalid-name, invalid-property. */
  clone(snapshot: string, name: string, properties: Readonly<Record<string, string>>): Promise<DatasetRecord>;
  /** `zfs promote`. Errors: not-found, not-a-clone, conflict. */
  promote(name: string): void | Promise<void>;
}

/** Bytes of the pool's disks. */
export interface PoolSpace {
  pool(): { readonly size: number; readonly allocated: number; readonly free: number };
}

/** What `zfs get -p` says of datasets and snapshots of the tables. One for each request. */
export interface ZfsReader {
  space(record: DatasetRecord): Space;
  /** Full name of the snapshot that the dataset is a clone of. */
  origin(record: DatasetRecord): string | null;
  /** Undefined: the dataset's type does not have it, or it is not known. */
  read(record: DatasetRecord, name: string): PropertyValue | undefined;
  readSnapshot(snapshot: SnapshotRecord, name: string): string | undefined;
  /** User properties with those inherited from the parents; the nearest wins. */
  userProperties(record: DatasetRecord): Map<string, PropertyValue>;
}

/** The ZFS behind the API: imitated in memory, or a real one in a VM of the lab. */
export interface ZfsEngine {
  readonly datasets: DatasetOperations;
  readonly snapshots: SnapshotOperations;
  readonly clones: CloneOperations;
  readonly space: PoolSpace;
  reader(): ZfsReader;
  /** Brings the tables up to date with changes that did not come through this engine. */
  refresh(): Promise<void>;
  /** Fault: something on the array has the zvol open, or no longer. Errors: not-found. */
  holdOpen(zvol: string, open: boolean): Promise<void>;
}
