import type { ArrayChange, ArrayPort, DatasetInfo, Extent, Mapping, Pool, Portal, Target, Zvol } from '../core/array-port.ts';
import { withDeadline } from '../core/deadline.ts';
import { StorageError } from '../core/errors.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { Collection } from './collection.ts';
import { EventReads } from './event-reads.ts';

/** A dataset with the volumes below it. */
interface DatasetShelf {
  info: DatasetInfo | null;
  /** ms since the epoch */
  infoAt: number;
  readonly zvols: Collection<string, Zvol>;
}

/** ms: events are hints, so everything is read anew this often (truenas-api 6). */
const RECONCILE_MS = 300_000;
/** ms: free space changes without events, so the datasets in use are read this often. */
const SPACE_MS = 60_000;
const BACKGROUND_MS = 60_000;

/**
 * What one array holds, for all storages on it: fed by queries and events, asked without a call.
 * It answers only while a session stands: without one nothing is known to be true ("cannot ask" is not "empty", law 3).
 */
export class Inventory {
  readonly extents: Collection<number, Extent>;
  readonly mappings: Collection<number, Mapping>;
  readonly targets: Collection<number, Target>;
  readonly portals: Collection<number, Portal>;
  readonly #array: ArrayPort;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #shelves = new Map<string, DatasetShelf>();
  readonly #stops: (() => void)[] = [];
  readonly #eventReads: EventReads;
  /** Snapshots that are known to exist, by zvol: a hint only, never proof of absence. */
  readonly #snapshotHints = new Map<string, Set<string>>();
  readonly #pools = new Map<string, Pool>();
  readonly #lunListeners = new Set<(target: number, lun: number) => void>();
  #service: boolean | null = null;
  #roles: readonly string[] | null = null;
  #closed = false;

  constructor(array: ArrayPort, clock: Clock, log: Log) {
    this.#array = array;
    this.#clock = clock;
    this.#log = log;
    this.#eventReads = new EventReads(clock, (run) => this.#background('read after an event', run));
    const now = (): number => clock.now();
    this.extents = new Collection({ load: (d) => array.extents(d), fetch: (id, d) => array.extent(id, d), key: (e) => e.id }, now);
    this.mappings = new Collection(
      {
        load: (d) => array.mappings(d),
        fetch: (id, d) => array.mapping(id, d),
        key: (m) => m.id,
        replaced: (before, after) => this.#onMappingReplaced(before, after),
      },
      now,
    );
    this.targets = new Collection(
      {
        load: (d) => array.targets(d),
        fetch: async (id, d) => (await array.targets(d)).find((t) => t.id === id) ?? null,
        key: (t) => t.id,
      },
      now,
    );
    this.portals = new Collection(
      {
        load: (d) => array.portals(d),
        fetch: async (id, d) => (await array.portals(d)).find((p) => p.id === id) ?? null,
        key: (p) => p.id,
      },
      now,
    );
    this.#stops.push(array.onChange((change) => this.#onChange(change)));
    this.#every(RECONCILE_MS, (deadline) => this.reconcile(deadline));
    this.#every(SPACE_MS, (deadline) => this.#refreshSpace(deadline));
  }

  /** Throws when no session stands and none can be had within the deadline; loads what was never loaded. */
  async ready(dataset: string, deadline: Deadline): Promise<void> {
    if (this.#array.connection().state !== 'ready') await this.#array.ready(deadline);
    const shelf = this.#shelf(dataset);
    const work: Promise<unknown>[] = [];
    if (shelf.info === null) work.push(this.refreshDataset(dataset, deadline));
    for (const collection of [shelf.zvols, this.extents, this.mappings, this.targets, this.portals]) {
      if (!collection.valid) work.push(collection.reload(deadline));
    }
    if (this.#service === null) work.push(this.refreshService(deadline));
    if (this.#roles === null) work.push(this.refreshRoles(deadline));
    await Promise.all(work);
  }

  /** Volumes below `dataset`; call `ready` first. */
  zvols(dataset: string): ReadonlyMap<string, Zvol> {
    return this.#shelf(dataset).zvols.entries;
  }

  zvolCollection(dataset: string): Collection<string, Zvol> {
    return this.#shelf(dataset).zvols;
  }

  /** The dataset as last read, with the time of that (ms since the epoch). */
  dataset(id: string): { info: DatasetInfo; readAt: number } | null {
    const shelf = this.#shelves.get(id);
    return shelf?.info ? { info: shelf.info, readAt: shelf.infoAt } : null;
  }

  putDataset(info: DatasetInfo): void {
    const shelf = this.#shelf(info.id);
    shelf.info = info;
    shelf.infoAt = this.#clock.now();
  }

  get serviceRunning(): boolean | null {
    return this.#service;
  }

  async refreshService(deadline: Deadline): Promise<boolean> {
    this.#service = await this.#array.serviceRunning('iscsitarget', deadline);
    return this.#service;
  }

  /** The pool that a dataset lies on, as last read; null: not known. */
  poolOf(dataset: string): Pool | null {
    return this.#pools.get(poolName(dataset)) ?? null;
  }

  /** Reads a pool; null: positively not there. */
  async refreshPool(name: string, deadline: Deadline): Promise<Pool | null> {
    const pool = await this.#array.pool(name, deadline);
    if (pool === null) this.#pools.delete(name);
    else this.#pools.set(name, pool);
    return pool;
  }

  /** Roles of the API key's user as read over this session, in `ready`; null: not read, or it cannot be. */
  get roles(): readonly string[] | null {
    return this.#roles;
  }

  /** Reads the roles; that they cannot be read forbids nothing: the array itself refuses what is not allowed. */
  async refreshRoles(deadline: Deadline): Promise<readonly string[] | null> {
    try {
      this.#roles = await this.#array.roles(deadline);
    } catch (error) {
      this.#log.debug('the roles of the API key cannot be read', { error: error instanceof Error ? error.message : String(error) });
    }
    return this.#roles;
  }

  /** Space of a dataset that was just given to a thick volume: known to be gone before the dataset is read again. */
  spend(id: string, bytes: number): void {
    const shelf = this.#shelves.get(id);
    if (shelf?.info) {
      shelf.info = { ...shelf.info, used: shelf.info.used + bytes, available: Math.max(0, shelf.info.available - bytes) };
    }
  }

  /** Calls `listener` when a LUN number of a target became free, whoever did it and however it was learnt; returns the way to stop. */
  onLunFreed(listener: (target: number, lun: number) => void): () => void {
    this.#lunListeners.add(listener);
    return () => this.#lunListeners.delete(listener);
  }

  /** Reads the dataset. Errors: DATASET_MISSING. */
  async refreshDataset(id: string, deadline: Deadline): Promise<DatasetInfo> {
    const info = await this.#array.dataset(id, deadline);
    if (info === null) {
      const shelf = this.#shelves.get(id);
      if (shelf) shelf.info = null;
      throw new StorageError('DATASET_MISSING', `dataset '${id}' does not exist on TrueNAS`);
    }
    this.putDataset(info);
    return info;
  }

  /** Reads everything that is in use again. */
  async reconcile(deadline: Deadline): Promise<void> {
    await Promise.all([
      ...[this.extents, this.mappings, this.targets, this.portals].map((collection) => collection.reload(deadline)),
      this.refreshService(deadline),
      ...[...this.#shelves].map(async ([id, shelf]) => {
        await Promise.all([this.refreshDataset(id, deadline), shelf.zvols.reload(deadline)]);
      }),
    ]);
  }

  /**
   * Resolves when no event about an extent waits to be looked at any more: where events carry ids only (25.04), an extent that
   * somebody just made is unknown until then. No call when nothing waits.
   */
  async extentsSettled(deadline: Deadline): Promise<void> {
    await this.#eventReads.settle('extent:', deadline);
  }

  knownSnapshots(zvol: string): ReadonlySet<string> {
    return this.#snapshotHints.get(zvol) ?? new Set();
  }

  noteSnapshot(zvol: string, name: string, present: boolean): void {
    const names = this.#snapshotHints.get(zvol) ?? new Set<string>();
    if (present) names.add(name);
    else names.delete(name);
    if (names.size === 0) this.#snapshotHints.delete(zvol);
    else this.#snapshotHints.set(zvol, names);
  }

  /** Forgets a dataset that no storage uses any more. */
  forget(dataset: string): void {
    this.#shelves.delete(dataset);
  }

  close(): void {
    this.#closed = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#eventReads.stop();
  }

  #shelf(dataset: string): DatasetShelf {
    let shelf = this.#shelves.get(dataset);
    if (shelf === undefined) {
      const now = (): number => this.#clock.now();
      const zvols = new Collection<string, Zvol>(
        { load: (d) => this.#array.zvols(dataset, d), fetch: (id, d) => this.#array.zvol(id, d), key: (z) => z.id },
        now,
      );
      shelf = { info: null, infoAt: 0, zvols };
      this.#shelves.set(dataset, shelf);
    }
    return shelf;
  }

  #onChange(change: ArrayChange): void {
    switch (change.kind) {
      case 'reconnected':
        for (const collection of [this.extents, this.mappings, this.targets, this.portals]) collection.invalidate();
        for (const shelf of this.#shelves.values()) {
          shelf.zvols.invalidate();
          shelf.info = null;
        }
        this.#service = null;
        this.#roles = null;
        return;
      case 'service':
        if (change.service === 'iscsitarget') this.#service = change.running;
        return;
      case 'snapshot': {
        const at = change.id.indexOf('@');
        if (at > 0) this.noteSnapshot(change.id.slice(0, at), change.id.slice(at + 1), change.change !== 'removed');
        return;
      }
      case 'zvol': {
        const shelf = this.#shelves.get(parentOf(change.id));
        if (shelf) this.#apply(change, shelf.zvols);
        const own = this.#shelves.get(change.id);
        if (own && change.change === 'removed') own.info = null;
        return;
      }
      case 'extent': {
        this.#apply(change, this.extents);
        return;
      }
      case 'mapping': {
        this.#apply(change, this.mappings);
        return;
      }
      case 'target': {
        this.#apply(change, this.targets);
        return;
      }
      case 'portal': {
        this.#apply(change, this.portals);
        return;
      }
    }
  }

  #onMappingReplaced(before: Mapping, after: Mapping | null): void {
    if (after !== null && after.target === before.target && after.lun === before.lun) return;
    for (const listener of this.#lunListeners) listener(before.target, before.lun);
  }

  #apply<K extends string | number, V>(
    change: { kind: string; id: K; change: 'added' | 'changed' | 'removed'; entry?: V },
    collection: Collection<K, V>,
  ): void {
    if (change.change === 'removed') {
      collection.remove(change.id);
      return;
    }
    if (change.entry !== undefined) {
      collection.put(change.entry);
      return;
    }
    if (!collection.valid) return;
    const before = collection.entries.get(change.id);
    if (change.change === 'added' && before !== undefined) return;
    this.#eventReads.plan(`${change.kind}:${String(change.id)}`, {
      isOpen: () => collection.entries.get(change.id) === before,
      run: (deadline) => collection.refresh(change.id, deadline),
    });
  }

  async #refreshSpace(deadline: Deadline): Promise<void> {
    await Promise.all([...this.#shelves.keys()].map((id) => this.refreshDataset(id, deadline)));
  }

  #every(ms: number, work: (deadline: Deadline) => Promise<void>): void {
    let cancel: () => void = () => undefined;
    const tick = (): void => {
      if (this.#array.connection().state === 'ready') this.#background('periodic read', work);
      cancel = this.#clock.after(ms, tick);
    };
    cancel = this.#clock.after(ms, tick);
    this.#stops.push(() => cancel());
  }

  #background(what: string, work: (deadline: Deadline) => Promise<unknown>): void {
    withDeadline(this.#clock, BACKGROUND_MS, what, work).catch((error: unknown) => {
      if (!this.#closed) this.#log.warn(`inventory: ${what} failed`, { error: error instanceof Error ? error.message : String(error) });
    });
  }
}

/** The first part of a dataset's name. */
export function poolName(dataset: string): string {
  return dataset.split('/', 1)[0] ?? dataset;
}

function parentOf(dataset: string): string {
  return dataset.slice(0, Math.max(0, dataset.lastIndexOf('/')));
}
