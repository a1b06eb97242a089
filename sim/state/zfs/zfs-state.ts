import { randomBytes } from 'node:crypto';
import type { BlockStore } from '../../blocks/block-store.ts';
import { type DatasetRecord, type SnapshotRecord, type ZfsDump, zfsDump } from './records.ts';
import { ZfsError } from './zfs-error.ts';

const FIRST_TXG = 4;

/** The part before the last '/', or null for a pool. */
export function parentName(name: string): string | null {
  const slash = name.lastIndexOf('/');
  return slash < 0 ? null : name.slice(0, slash);
}

function randomGuid(): string {
  // below 2^53 so that `guid: integer` of zfs.resource.query is exact in JSON
  return String(randomBytes(6).readUIntBE(0, 6) + 1_000_000_000);
}

export interface ZfsSettings {
  readonly pool: string;
  /** bytes of the pool's disks */
  readonly size: number;
  readonly blocks: BlockStore;
  now(): number;
  /** Called after every change of the stored records. */
  changed(): void;
  /** Whether the pool's I/O is suspended, so that nothing can be changed; default: never. */
  suspended?(): boolean;
}

/**
 * The tables of one pool with their indexes (by name, by guid, children, snapshots of a dataset). It keeps them consistent
 * and knows no rule of ZFS; datasets.ts, snapshots.ts and clones.ts change it inside `transaction`.
 */
export class ZfsState {
  readonly pool: string;
  readonly size: number;
  readonly blocks: BlockStore;
  /** Grows with every change; what is computed from the records is good as long as it stays. */
  version = 0;
  /** Fault "pool full". */
  full = false;
  /** Names of encrypted datasets whose key is not loaded (control command). */
  readonly locked = new Set<string>();
  /** guids of zvols that something on the array holds open (export or fault). */
  readonly open = new Set<string>();

  private readonly settings: ZfsSettings;
  private changedNames: Set<string> | null = null;
  private txg = FIRST_TXG;
  private tail: Promise<void> = Promise.resolve();
  private readonly byName = new Map<string, DatasetRecord>();
  private readonly byGuid = new Map<string, DatasetRecord>();
  private readonly childNames = new Map<string, Set<string>>();
  private readonly snapshotsOf = new Map<string, SnapshotRecord[]>();
  private readonly snapshotByGuid = new Map<string, SnapshotRecord>();
  private readonly clonesOf = new Map<string, Set<string>>();

  constructor(settings: ZfsSettings) {
    this.settings = settings;
    this.pool = settings.pool;
    this.size = settings.size;
    this.blocks = settings.blocks;
    this.insertDataset({
      guid: randomGuid(),
      name: settings.pool,
      type: 'FILESYSTEM',
      createtxg: 1,
      creation: this.seconds(),
      properties: { compression: 'lz4', xattr: 'on', acltype: 'posix', aclmode: 'discard', atime: 'off' },
      userProperties: {},
      origin: null,
    });
  }

  /**
   * Runs `change` alone: ZFS commits one transaction group after the other, so no two changes see each other half done.
   * Errors: ZfsError suspended.
   */
  transaction<T>(change: () => T | Promise<T>): Promise<T> {
    const run = this.tail.then(() => {
      if (this.settings.suspended?.() === true) throw new ZfsError('suspended', 'pool I/O is currently suspended', [this.pool]);
      return change();
    });
    this.tail = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }

  seconds(): number {
    return Math.floor(this.settings.now() / 1000);
  }

  nextTxg(): number {
    this.txg += 1;
    return this.txg;
  }

  newGuid(): string {
    return randomGuid();
  }

  /** Something changed: the datasets of these names, or (none named) perhaps everything. */
  touch(...names: readonly string[]): void {
    this.version += 1;
    if (names.length === 0) this.changedNames = null;
    else for (const name of names) this.changedNames?.add(name);
    this.settings.changed();
  }

  /** Names touched since the last call; null: all of them. */
  takeChanged(): ReadonlySet<string> | null {
    const names = this.changedNames;
    this.changedNames = new Set();
    return names;
  }

  dataset(name: string): DatasetRecord | undefined {
    return this.byName.get(name);
  }

  /** Throws ZfsError 'not-found'. */
  mustDataset(name: string): DatasetRecord {
    const found = this.byName.get(name);
    if (found === undefined) throw new ZfsError('not-found', `cannot open '${name}': dataset does not exist`, [name]);
    return found;
  }

  /** Whether the dataset or one above it is locked. */
  isLocked(name: string): boolean {
    for (let above: string | null = name; above !== null; above = parentName(above)) if (this.locked.has(above)) return true;
    return false;
  }

  datasetByGuid(guid: string): DatasetRecord | undefined {
    return this.byGuid.get(guid);
  }

  /** All datasets, parents before children, siblings by name. */
  datasets(): DatasetRecord[] {
    const all: DatasetRecord[] = [];
    const walk = (name: string): void => {
      const record = this.byName.get(name);
      if (record === undefined) return;
      all.push(record);
      for (const child of this.children(name)) walk(child);
    };
    walk(this.pool);
    return all;
  }

  datasetCount(): number {
    return this.byName.size;
  }

  /** Names of the direct children, sorted. */
  children(name: string): string[] {
    return [...(this.childNames.get(name) ?? [])].sort();
  }

  /** The direct children in no order: for sums over many of them. */
  *childRecords(name: string): Iterable<DatasetRecord> {
    for (const child of this.childNames.get(name) ?? []) {
      const record = this.byName.get(child);
      if (record !== undefined) yield record;
    }
  }

  /** The dataset's descendants, parents first, without itself. */
  descendants(name: string): DatasetRecord[] {
    const all: DatasetRecord[] = [];
    for (const child of this.children(name)) {
      all.push(this.mustDataset(child), ...this.descendants(child));
    }
    return all;
  }

  /** Snapshots of a dataset, oldest first. */
  snapshots(dataset: DatasetRecord): readonly SnapshotRecord[] {
    return this.snapshotsOf.get(dataset.guid) ?? [];
  }

  snapshotCount(): number {
    return this.snapshotByGuid.size;
  }

  allSnapshots(): SnapshotRecord[] {
    return [...this.snapshotByGuid.values()];
  }

  snapshotByGuidOrNull(guid: string | null): SnapshotRecord | null {
    return guid === null ? null : (this.snapshotByGuid.get(guid) ?? null);
  }

  /** By full name `dataset@snapshot`. */
  snapshot(fullName: string): SnapshotRecord | undefined {
    const at = fullName.indexOf('@');
    if (at < 0) return undefined;
    const dataset = this.byName.get(fullName.slice(0, at));
    if (dataset === undefined) return undefined;
    const short = fullName.slice(at + 1);
    return this.snapshots(dataset).find((snapshot) => snapshot.name === short);
  }

  /** Throws ZfsError 'not-found'. */
  mustSnapshot(fullName: string): SnapshotRecord {
    const found = this.snapshot(fullName);
    if (found === undefined) throw new ZfsError('not-found', `could not find any snapshots to destroy; check snapshot names.`, [fullName]);
    return found;
  }

  fullName(snapshot: SnapshotRecord): string {
    return `${this.byGuid.get(snapshot.dataset)?.name ?? '?'}@${snapshot.name}`;
  }

  /** Names of the datasets cloned from this snapshot, sorted. */
  clones(snapshot: SnapshotRecord): string[] {
    return [...(this.clonesOf.get(snapshot.guid) ?? [])].map((guid) => this.byGuid.get(guid)?.name ?? '?').sort();
  }

  insertDataset(record: DatasetRecord): void {
    this.byName.set(record.name, record);
    this.byGuid.set(record.guid, record);
    this.linkParent(record.name);
    this.snapshotsOf.set(record.guid, []);
    if (record.origin !== null) this.linkClone(record.origin, record.guid);
    this.touch(record.name);
  }

  /** The dataset must have neither children nor snapshots. */
  removeDataset(record: DatasetRecord): void {
    this.byName.delete(record.name);
    this.byGuid.delete(record.guid);
    this.snapshotsOf.delete(record.guid);
    this.childNames.delete(record.name);
    this.unlinkParent(record.name);
    if (record.origin !== null) this.clonesOf.get(record.origin)?.delete(record.guid);
    this.open.delete(record.guid);
    this.touch(record.name);
  }

  /** Renames a dataset and all below it. */
  renameDataset(record: DatasetRecord, newName: string): void {
    const moved = [record, ...this.descendants(record.name)];
    const oldName = record.name;
    for (const one of moved) {
      this.byName.delete(one.name);
      this.unlinkParent(one.name);
      this.childNames.delete(one.name);
    }
    for (const one of moved) {
      one.name = newName + one.name.slice(oldName.length);
      this.byName.set(one.name, one);
      this.linkParent(one.name);
    }
    this.touch();
  }

  setOrigin(record: DatasetRecord, origin: string | null): void {
    if (record.origin !== null) this.clonesOf.get(record.origin)?.delete(record.guid);
    record.origin = origin;
    if (origin !== null) this.linkClone(origin, record.guid);
    this.touch();
  }

  insertSnapshot(record: SnapshotRecord): void {
    this.snapshotByGuid.set(record.guid, record);
    const list = this.snapshotsOf.get(record.dataset);
    if (list === undefined) throw new Error(`snapshot ${record.name} of an unknown dataset`);
    list.push(record);
    list.sort((a, b) => a.createtxg - b.createtxg);
    this.touch(this.fullName(record).replace(/@.*$/, ''));
  }

  removeSnapshot(record: SnapshotRecord): void {
    this.snapshotByGuid.delete(record.guid);
    const list = this.snapshotsOf.get(record.dataset);
    if (list !== undefined)
      this.snapshotsOf.set(
        record.dataset,
        list.filter((one) => one.guid !== record.guid),
      );
    this.clonesOf.delete(record.guid);
    this.touch(this.fullName(record).replace(/@.*$/, ''));
  }

  /** promote: the snapshot goes to another dataset. */
  moveSnapshot(record: SnapshotRecord, dataset: DatasetRecord): void {
    const clones = this.clonesOf.get(record.guid);
    this.removeSnapshot(record);
    record.dataset = dataset.guid;
    if (clones !== undefined) this.clonesOf.set(record.guid, clones);
    this.insertSnapshot(record);
  }

  dump(): ZfsDump {
    return {
      pool: this.pool,
      size: this.size,
      txg: this.txg,
      datasets: structuredClone(this.datasets()),
      snapshots: structuredClone([...this.snapshotByGuid.values()]),
    };
  }

  /** Replaces everything. Throws when the data does not fit together: a damaged state must not be served. */
  load(data: unknown): void {
    const dump = zfsDump.parse(data);
    if (dump.pool !== this.pool) throw new Error(`the stored state is of pool '${dump.pool}', not '${this.pool}'`);
    const names = new Set(dump.datasets.map((one) => one.name));
    const guids = new Set(dump.datasets.map((one) => one.guid));
    const snapshotGuids = new Set(dump.snapshots.map((one) => one.guid));
    if (!names.has(this.pool)) throw new Error('the stored state has no root dataset');
    if (names.size !== dump.datasets.length || guids.size !== dump.datasets.length) throw new Error('the stored state has a dataset twice');
    if (snapshotGuids.size !== dump.snapshots.length) throw new Error('the stored state has a snapshot twice');
    for (const one of dump.datasets) {
      const parent = parentName(one.name);
      if (parent !== null && !names.has(parent)) throw new Error(`the stored dataset '${one.name}' has no parent`);
      if (one.origin !== null && !snapshotGuids.has(one.origin)) throw new Error(`the stored clone '${one.name}' has no origin`);
    }
    const shortNames = new Set<string>();
    for (const one of dump.snapshots) {
      if (!guids.has(one.dataset)) throw new Error(`the stored snapshot '${one.name}' has no dataset`);
      const key = `${one.dataset}@${one.name}`;
      if (shortNames.has(key)) throw new Error(`the stored snapshot '${one.name}' is there twice`);
      shortNames.add(key);
    }
    this.adopt(dump.datasets, dump.snapshots);
    this.txg = dump.txg;
  }

  /** The tables become these records, which fit together; what is open, locked or full stays so. */
  adopt(datasets: readonly DatasetRecord[], snapshots: readonly SnapshotRecord[]): void {
    for (const map of [this.byName, this.byGuid, this.childNames, this.snapshotsOf, this.snapshotByGuid, this.clonesOf]) map.clear();
    for (const one of datasets) this.insertDataset(one);
    for (const one of snapshots) this.insertSnapshot(one);
    this.touch();
  }

  private linkParent(name: string): void {
    const parent = parentName(name);
    if (parent === null) return;
    const siblings = this.childNames.get(parent);
    if (siblings === undefined) this.childNames.set(parent, new Set([name]));
    else siblings.add(name);
  }

  private unlinkParent(name: string): void {
    const parent = parentName(name);
    if (parent !== null) this.childNames.get(parent)?.delete(name);
  }

  private linkClone(origin: string, clone: string): void {
    const clones = this.clonesOf.get(origin);
    if (clones === undefined) this.clonesOf.set(origin, new Set([clone]));
    else clones.add(clone);
  }
}
