import type { Deadline } from '../core/ports.ts';

export interface CollectionSource<K, V> {
  /** All objects, in one go. Must fail rather than answer less (law 3). */
  readonly load: (deadline: Deadline) => Promise<readonly V[]>;
  /** One object, or null when it is positively absent. */
  readonly fetch: (key: K, deadline: Deadline) => Promise<V | null>;
  readonly key: (value: V) => K;
  /** Told of each known object that is replaced by a newer state of it, or (null) is gone, however that was learnt. */
  readonly replaced?: (before: V, after: V | null) => void;
}

/**
 * A cached set of objects of the array: how to load it, how to fetch one, what is known. It is `valid` from a complete
 * load until the session that it was read over is lost (`invalidate`). Reads need no call while it is valid.
 */
export class Collection<K, V> {
  readonly #source: CollectionSource<K, V>;
  #entries = new Map<K, V>();
  #valid = false;
  #loadedAt = 0;
  #loading: Promise<void> | null = null;
  /** Changes that came while a load was under way: the load's answer may be older than they are. */
  #touched = new Map<K, V | null>();
  #epoch = 0;
  readonly #now: () => number;

  constructor(source: CollectionSource<K, V>, now: () => number) {
    this.#source = source;
    this.#now = now;
  }

  get valid(): boolean {
    return this.#valid;
  }

  /** ms since the epoch of the last complete load; 0: never */
  get loadedAt(): number {
    return this.#loadedAt;
  }

  /** What is known, without asking. */
  get entries(): ReadonlyMap<K, V> {
    return this.#entries;
  }

  /** The complete set; loads it when it is not valid. Callers at the same time share one load. */
  async all(deadline: Deadline): Promise<ReadonlyMap<K, V>> {
    if (!this.#valid) await this.reload(deadline);
    return this.#entries;
  }

  /** Reads everything again; callers at the same time share one load. */
  async reload(deadline: Deadline): Promise<void> {
    this.#loading ??= this.#load(deadline).finally(() => {
      this.#loading = null;
    });
    await this.#loading;
  }

  async #load(deadline: Deadline): Promise<void> {
    const epoch = this.#epoch;
    this.#touched.clear();
    const values = await this.#source.load(deadline);
    if (epoch !== this.#epoch) return; // the session went away meanwhile: this answer belongs to the old one
    const entries = new Map(values.map((value) => [this.#source.key(value), value]));
    for (const [key, value] of this.#touched) {
      if (value === null) entries.delete(key);
      else entries.set(key, value);
    }
    const before = this.#entries;
    this.#entries = entries;
    this.#valid = true;
    this.#loadedAt = this.#now();
    for (const [key, value] of before) this.#source.replaced?.(value, entries.get(key) ?? null);
  }

  /** Reads one object again, whatever is known of it. */
  async refresh(key: K, deadline: Deadline): Promise<V | null> {
    const value = await this.#source.fetch(key, deadline);
    if (value === null) this.remove(key);
    else this.put(value);
    return value;
  }

  put(value: V): void {
    const key = this.#source.key(value);
    const before = this.#entries.get(key);
    this.#entries.set(key, value);
    if (this.#loading !== null) this.#touched.set(key, value);
    if (before !== undefined) this.#source.replaced?.(before, value);
  }

  remove(key: K): void {
    const before = this.#entries.get(key);
    this.#entries.delete(key);
    if (this.#loading !== null) this.#touched.set(key, null);
    if (before !== undefined) this.#source.replaced?.(before, null);
  }

  /** What is known may be out of date: the next `all` asks again. */
  invalidate(): void {
    this.#valid = false;
    this.#epoch += 1;
  }
}
