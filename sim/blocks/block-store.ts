/**
 * Where the bytes of zvols and their snapshots are. Keys are ZFS guids, so that rename and promote move nothing.
 * All sizes in bytes. Called inside a ZFS transaction, one call at a time.
 */
export interface BlockStore {
  /** Whether data gets in without the array's doing, so that `allocated` changes by itself. */
  readonly live: boolean;
  /** A new volume of zeros. */
  create(key: string, bytes: number): Promise<void>;
  /** Grows or shrinks; what is cut off is lost. */
  resize(key: string, bytes: number): Promise<void>;
  /** Makes `to` the same as `from` (snapshot, clone); `to` is new. */
  copy(from: string, to: string): Promise<void>;
  /** Rollback: `key` becomes what `snapshot` is. */
  restore(snapshot: string, key: string): Promise<void>;
  /** No error when it is not there. */
  remove(key: string): Promise<void>;
  /** Bytes that are really taken; 0 where there is no data. */
  allocated(key: string): number;
  /** After a start: the volume is there with this size, of zeros when it was not. */
  ensure(key: string, bytes: number): Promise<void>;
  /** Files that belong to no key in `known` are removed (a simulator that was killed between two steps). */
  prune(known: ReadonlySet<string>): Promise<void>;
}
