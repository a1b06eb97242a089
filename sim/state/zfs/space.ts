import type { DatasetRecord, SnapshotRecord } from './records.ts';
import { parentName, type ZfsState } from './zfs-state.ts';

/** What an empty dataset takes for its own metadata, bytes (`zfs list` of an empty one shows 96K and 56K). */
export const EMPTY_FILESYSTEM_BYTES = 98_304;
export const EMPTY_VOLUME_BYTES = 57_344;
const MIN_SLOP = 128 * 1024 * 1024;
const MAX_SLOP = 128 * 1024 * 1024 * 1024;
const MIB = 1024 * 1024;

/** All in bytes, as `zfs get` names them. */
export interface Space {
  readonly used: number;
  readonly available: number;
  readonly referenced: number;
  readonly usedbydataset: number;
  readonly usedbysnapshots: number;
  readonly usedbyrefreservation: number;
  readonly usedbychildren: number;
}

interface Own {
  readonly referenced: number;
  readonly usedbydataset: number;
  readonly usedbysnapshots: number;
  readonly usedbyrefreservation: number;
}

export function bytesOf(record: DatasetRecord, property: string): number {
  const raw = record.properties[property];
  if (raw === undefined || raw === 'none') return 0;
  const value = Number(raw);
  return Number.isFinite(value) && value > 0 ? value : 0;
}

/**
 * Space accounting of one pool. Written data is what the block store says; which blocks two snapshots share is not known
 * to it, so growth since a snapshot counts as new and everything else as shared.
 */
export class SpaceAccounting {
  private readonly state: ZfsState;
  private version = -1;
  /** by name */
  private readonly usedCache = new Map<string, number>();
  private readonly ownCache = new Map<string, Own>();

  constructor(state: ZfsState) {
    this.state = state;
  }

  /** Forgets what was computed when data may have been written since. Call once at the start of a request. */
  refresh(): void {
    if (!this.state.blocks.live) return;
    this.usedCache.clear();
    this.ownCache.clear();
  }

  /** Bytes the dataset references now. */
  referenced(record: DatasetRecord): number {
    const base = record.type === 'VOLUME' ? EMPTY_VOLUME_BYTES : EMPTY_FILESYSTEM_BYTES;
    return base + (record.type === 'VOLUME' ? this.state.blocks.allocated(record.guid) : 0);
  }

  of(record: DatasetRecord): Space {
    this.validate();
    const own = this.own(record);
    return {
      ...own,
      used: this.used(record),
      usedbychildren: this.usedByChildren(record),
      available: this.available(record) + own.usedbyrefreservation,
    };
  }

  /** Bytes that destroying this snapshot alone would free. */
  snapshotUsed(snapshot: SnapshotRecord): number {
    const dataset = this.state.datasetByGuid(snapshot.dataset);
    if (dataset === undefined) return 0;
    let others = this.referenced(dataset);
    for (const other of this.state.snapshots(dataset)) {
      if (other.guid !== snapshot.guid) others = Math.max(others, other.referenced);
    }
    return this.state.clones(snapshot).length > 0 ? 0 : Math.max(0, snapshot.referenced - others);
  }

  /** Bytes a consumer below `record` can still get. */
  available(record: DatasetRecord): number {
    this.validate();
    if (this.state.full) return 0;
    const parent = parentName(record.name);
    const parentRecord = parent === null ? undefined : this.state.dataset(parent);
    const used = this.used(record);
    let space =
      parentRecord === undefined ? this.usable() - used : this.available(parentRecord) + Math.max(0, bytesOf(record, 'reservation') - used);
    const quota = bytesOf(record, 'quota');
    if (quota > 0) space = Math.min(space, quota - used);
    return Math.max(0, space);
  }

  /** `pool.query`'s numbers, bytes. */
  pool(): { size: number; allocated: number; free: number } {
    this.validate();
    let allocated = 0;
    for (const record of this.state.datasets()) allocated += this.own(record).usedbydataset + this.own(record).usedbysnapshots;
    allocated = Math.min(allocated, this.state.size);
    const free = this.state.full ? MIB : this.state.size - allocated;
    return { size: this.state.size, allocated: this.state.size - free, free };
  }

  /** Bytes that a snapshot of this dataset needs at once: a thick volume must be able to be written whole again. */
  snapshotCost(record: DatasetRecord): number {
    this.validate();
    const refreservation = bytesOf(record, 'refreservation');
    return Math.min(refreservation, this.unique(record));
  }

  /** Pool size without the slop space that ZFS keeps back (1/32, 128 MiB to 128 GiB). */
  private usable(): number {
    const slop = Math.min(MAX_SLOP, Math.max(MIN_SLOP, Math.floor(this.state.size / 32)));
    return Math.max(0, this.state.size - Math.min(slop, Math.floor(this.state.size / 2)));
  }

  private validate(): void {
    if (this.version === this.state.version) return;
    this.version = this.state.version;
    const changed = this.state.takeChanged();
    if (changed === null) {
      this.usedCache.clear();
      this.ownCache.clear();
      return;
    }
    for (const name of changed) {
      this.ownCache.delete(name);
      for (let above: string | null = name; above !== null; above = parentName(above)) this.usedCache.delete(above);
    }
  }

  /** Bytes written since the newest snapshot (or origin). */
  private unique(record: DatasetRecord): number {
    const snapshots = this.state.snapshots(record);
    const last = snapshots[snapshots.length - 1] ?? this.state.snapshotByGuidOrNull(record.origin);
    return Math.max(0, this.referenced(record) - (last?.referenced ?? 0));
  }

  private own(record: DatasetRecord): Own {
    const cached = this.ownCache.get(record.name);
    if (cached !== undefined) return cached;
    const referenced = this.referenced(record);
    const origin = this.state.snapshotByGuidOrNull(record.origin);
    const shared = origin === null ? 0 : Math.min(origin.referenced, referenced);
    let peak = referenced;
    for (const snapshot of this.state.snapshots(record)) peak = Math.max(peak, snapshot.referenced);
    const own: Own = {
      referenced,
      usedbydataset: referenced - shared,
      usedbysnapshots: peak - referenced,
      usedbyrefreservation: Math.max(0, bytesOf(record, 'refreservation') - this.unique(record)),
    };
    this.ownCache.set(record.name, own);
    return own;
  }

  private used(record: DatasetRecord): number {
    const cached = this.usedCache.get(record.name);
    if (cached !== undefined) return cached;
    const own = this.own(record);
    const used = own.usedbydataset + own.usedbysnapshots + own.usedbyrefreservation + this.usedByChildren(record);
    this.usedCache.set(record.name, used);
    return used;
  }

  private usedByChildren(record: DatasetRecord): number {
    let sum = 0;
    for (const child of this.state.childRecords(record.name)) sum += Math.max(this.used(child), bytesOf(child, 'reservation'));
    return sum;
  }
}
