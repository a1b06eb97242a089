import type { Clock } from '../core/ports.ts';

/** TrueNAS takes 0..16382 (truenas-api 11); 0 is left to others (RP-14). */
export const LUN_NUMBERS = { lowest: 1, highest: 16_382 } as const;
/** LUNs above this need flat-space addressing (SAM-5 4.7.4); kept below it while there is room. */
const PREFERRED_HIGHEST = 255;

/** ms by which the time that is kept may lag behind. */
const KEPT_MS = 10_000;

/** When each number of a target was freed: LUN → ms since the epoch. */
export type FreedLuns = ReadonlyMap<number, number>;

/** Where freed numbers are kept across a restart of the daemon, for one array. */
export interface LunRests {
  /** What was kept of a target; empty when nothing was. */
  recall(target: number): FreedLuns;
  /** Durable when it resolves; never rejects. */
  keep(target: number, freed: FreedLuns): Promise<void>;
}

/** Keeps nothing. */
const FORGETFUL: LunRests = { recall: () => new Map(), keep: () => Promise.resolve() };

interface TargetLuns {
  /** Promised to mappings under way. */
  readonly taken: Set<number>;
  readonly freed: Map<number, number>;
  /** Number given last. */
  cursor: number | null;
}

/**
 * Picks LUN numbers, per target of one array. Numbers go round instead of taking the lowest free one, and a freed number is
 * not given again for a while, since a node may still have the old device (F-104, RP-13). Two nodes may still pick the same
 * number at the same time: the array refuses or the mapping is read back and the loser takes another (export-zvol.ts).
 */
export class LunAllocator {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #rests: LunRests;
  readonly #targets = new Map<number, TargetLuns>();

  constructor(clock: Clock, random: () => number = Math.random, rests: LunRests = FORGETFUL) {
    this.#clock = clock;
    this.#random = random;
    this.#rests = rests;
  }

  /**
   * Reserves a number on `target` that is not in `used` and was not freed within `restMs`; when all free ones rest, the one
   * that was freed first. `spread` > 0 skips up to that many, so that nodes which met once part ways. Null: none is free.
   * Call `settle` when it is mapped or given up.
   */
  reserve(target: number, used: ReadonlySet<number>, restMs: number, spread = 0): number | null {
    const luns = this.#of(target);
    const free = (lun: number): boolean => !used.has(lun) && !luns.taken.has(lun);
    const rested = (lun: number): boolean => free(lun) && !this.#isResting(luns, lun, restMs);
    const start = luns.cursor ?? Math.max(0, ...[...used].filter((lun) => lun <= PREFERRED_HIGHEST));
    const skip = spread === 0 ? 0 : Math.floor(this.#random() * spread);
    const lun =
      next(start + skip, PREFERRED_HIGHEST, rested) ??
      next(PREFERRED_HIGHEST, LUN_NUMBERS.highest, rested) ??
      [...luns.freed].filter(([one]) => free(one)).sort(([, a], [, b]) => a - b)[0]?.[0] ??
      null;
    if (lun === null) return null;
    luns.taken.add(lun);
    if (lun <= PREFERRED_HIGHEST) luns.cursor = lun;
    return lun;
  }

  /** Reserves exactly this number; false when it is promised to another mapping. `used` numbers are the caller's to refuse. */
  claim(target: number, lun: number): boolean {
    const { taken } = this.#of(target);
    if (taken.has(lun)) return false;
    taken.add(lun);
    return true;
  }

  /** Ends a reservation; the inventory knows the mapping by now, or nobody has it. */
  settle(target: number, lun: number): void {
    this.#of(target).taken.delete(lun);
  }

  /** A number became, or is about to become, free: it rests from now on, also after a restart once this resolves. */
  async rest(target: number, lun: number): Promise<void> {
    const { freed } = this.#of(target);
    const now = this.#clock.now();
    const before = freed.get(lun);
    freed.set(lun, now);
    // Our own deletion is told twice, by us and by the inventory: what was kept a moment ago is good enough.
    if (before === undefined || now - before > KEPT_MS) await this.#rests.keep(target, freed);
  }

  #isResting(luns: TargetLuns, lun: number, restMs: number): boolean {
    const freed = luns.freed.get(lun);
    return freed !== undefined && freed + restMs > this.#clock.now();
  }

  #of(target: number): TargetLuns {
    let luns = this.#targets.get(target);
    if (luns === undefined) {
      // A time that lies ahead was kept before the clock was set back: the number rests from now on.
      const now = this.#clock.now();
      const freed = new Map([...this.#rests.recall(target)].map(([lun, at]) => [lun, Math.min(at, now)]));
      luns = { taken: new Set(), freed, cursor: null };
      this.#targets.set(target, luns);
    }
    return luns;
  }
}

/** The first number after `from`, going round within 1..highest, that fits. */
function next(from: number, highest: number, fits: (lun: number) => boolean): number | null {
  for (let step = 1; step <= highest; step += 1) {
    const lun = ((from + step - 1) % highest) + 1;
    if (fits(lun)) return lun;
  }
  return null;
}
