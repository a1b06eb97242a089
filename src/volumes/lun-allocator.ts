import { StorageError } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';

/** TrueNAS takes 0..16382 (truenas-api 11). */
const HIGHEST_LUN = 16_382;
/** LUNs above this need flat-space addressing (SAM-5 4.7.4); kept below it while there is room. */
const PREFERRED_HIGHEST = 255;
/** ms: a freed number rests this long, since a node may still have the old device (F-104, RP-13). */
const COOLING_MS = 3_600_000;

/**
 * Picks LUN numbers for one target. Numbers go round instead of taking the lowest free one, so that a freed number
 * rests as long as possible; LUN 0 is left to others (RP-14). Two nodes may still pick the same number at the same
 * time: the array refuses or the mapping is read back and the loser takes another (see map-lun.ts).
 */
export class LunAllocator {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #taken = new Map<number, Set<number>>();
  readonly #resting = new Map<number, Map<number, number>>();
  readonly #cursor = new Map<number, number>();

  constructor(clock: Clock, random: () => number = Math.random) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Reserves a number on `target` that is not in `used`; `spread` > 0 skips up to that many, so that nodes which met
   * once part ways. Call `settle` when it is mapped or given up. Errors: LUN_EXHAUSTED.
   */
  reserve(target: number, used: ReadonlySet<number>, spread = 0): number {
    const taken = this.#of(this.#taken, target, () => new Set<number>());
    const resting = this.#of(this.#resting, target, () => new Map<number, number>());
    const now = this.#clock.now();
    for (const [lun, until] of resting) if (until <= now) resting.delete(lun);
    const start = this.#cursor.get(target) ?? Math.max(0, ...[...used].filter((lun) => lun <= PREFERRED_HIGHEST));
    const skip = spread === 0 ? 0 : Math.floor(this.#random() * spread);
    const free = (lun: number): boolean => !used.has(lun) && !taken.has(lun);
    const lun =
      this.#next(start + skip, PREFERRED_HIGHEST, (one) => free(one) && !resting.has(one)) ??
      this.#next(PREFERRED_HIGHEST, HIGHEST_LUN, (one) => free(one) && !resting.has(one)) ??
      this.#next(0, HIGHEST_LUN, free);
    if (lun === null) throw new StorageError('LUN_EXHAUSTED', `no free LUN number is left on target ${target}`);
    taken.add(lun);
    if (lun <= PREFERRED_HIGHEST) this.#cursor.set(target, lun);
    return lun;
  }

  /** Ends a reservation; the inventory knows the mapping by now, or nobody has it. */
  settle(target: number, lun: number): void {
    this.#taken.get(target)?.delete(lun);
  }

  /** A number became free: let it rest. */
  rest(target: number, lun: number): void {
    this.#of(this.#resting, target, () => new Map<number, number>()).set(lun, this.#clock.now() + COOLING_MS);
  }

  #next(from: number, highest: number, fits: (lun: number) => boolean): number | null {
    for (let step = 1; step <= highest; step += 1) {
      const lun = ((from + step - 1) % highest) + 1;
      if (fits(lun)) return lun;
    }
    return null;
  }

  #of<V>(map: Map<number, V>, target: number, make: () => V): V {
    let value = map.get(target);
    if (value === undefined) {
      value = make();
      map.set(target, value);
    }
    return value;
  }
}
