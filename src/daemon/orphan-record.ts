import type { Meter } from '../core/metrics.ts';
import type { Clock } from '../core/ports.ts';
import type { Orphan, OrphanKind } from '../volumes/orphans/orphan.ts';

/** Since when each orphan is known, and the numbers of the last complete look of each storage, as metrics. */
export class OrphanRecord {
  readonly #clock: Clock;
  readonly #meter: Meter;
  /** By storage (`''`: this node), by orphan: ms since the epoch. */
  readonly #firstSeen = new Map<string, Map<string, number>>();
  readonly #results = new Map<string, { readonly at: number; readonly counts: ReadonlyMap<OrphanKind, number> }>();

  constructor(clock: Clock, meter: Meter) {
    this.#clock = clock;
    this.#meter = meter;
  }

  /** Takes up the result of a complete look. */
  looked(storage: string, kinds: readonly OrphanKind[], found: readonly Orphan[]): void {
    const now = this.#clock.now();
    const before = this.#firstSeen.get(storage);
    this.#firstSeen.set(storage, new Map(found.map(({ id }) => [id, before?.get(id) ?? now])));
    const counts = new Map(kinds.map((kind) => [kind, found.filter((orphan) => orphan.kind === kind).length]));
    this.#results.set(storage, { at: Math.floor(now / 1000), counts });
    this.#publish();
  }

  /** Forgets the storages that are not configured any more. */
  keep(storages: readonly string[]): void {
    for (const known of [...this.#results.keys()]) {
      if (known === '' || storages.includes(known)) continue;
      this.#results.delete(known);
      this.#firstSeen.delete(known);
    }
    this.#publish();
  }

  /** Whole seconds since it was first seen; 0 for a new one. */
  seenFor(storage: string, id: string): number {
    const since = this.#firstSeen.get(storage)?.get(id);
    return since === undefined ? 0 : Math.max(0, Math.floor((this.#clock.now() - since) / 1000));
  }

  gone(storage: string, id: string): void {
    for (const place of [storage, '']) this.#firstSeen.get(place)?.delete(id);
  }

  #publish(): void {
    this.#meter.clear('pve_truenas_orphans');
    this.#meter.clear('pve_truenas_orphans_checked_timestamp_seconds');
    for (const [storage, { at, counts }] of this.#results) {
      for (const [kind, count] of counts) this.#meter.set('pve_truenas_orphans', { storage, kind }, count);
      this.#meter.set('pve_truenas_orphans_checked_timestamp_seconds', { storage }, at);
    }
  }
}
