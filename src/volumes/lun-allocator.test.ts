import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/testing/manual-clock.ts';
import { type FreedLuns, LunAllocator, type LunRests } from './lun-allocator.ts';

const HOUR = 3_600_000;
const NOBODY: ReadonlySet<number> = new Set();

/** What is kept, as a file would. */
class Kept implements LunRests {
  readonly targets = new Map<number, FreedLuns>();
  writes = 0;
  recall = (target: number): FreedLuns => this.targets.get(target) ?? new Map<number, number>();
  keep = (target: number, freed: FreedLuns): Promise<void> => {
    this.writes += 1;
    this.targets.set(target, new Map(freed));
    return Promise.resolve();
  };
}

describe('LunAllocator', () => {
  it('goes round instead of taking the lowest free number, and leaves 0 to others (RP-14)', () => {
    const luns = new LunAllocator(new ManualClock());
    const used = new Set<number>();
    const given = Array.from({ length: 255 }, () => {
      const lun = luns.reserve(1, used, HOUR) ?? -1;
      used.add(lun);
      luns.settle(1, lun);
      return lun;
    });
    expect(given).toEqual(Array.from({ length: 255 }, (_unused, n) => n + 1));
  });

  it('never promises a number twice while it is under way, nor one that is used', () => {
    const luns = new LunAllocator(new ManualClock());
    const used = new Set([1, 2, 4]);
    const given = Array.from({ length: 400 }, () => luns.reserve(1, used, HOUR));
    expect(new Set(given).size).toBe(400);
    expect(given.some((lun) => lun === null || used.has(lun))).toBe(false);
  });

  it('F-104: a freed number rests as long as the storage says, not a moment less', async () => {
    const clock = new ManualClock();
    const luns = new LunAllocator(clock);
    const others = new Set(Array.from({ length: 16_382 }, (_unused, n) => n + 1).filter((lun) => lun !== 7 && lun !== 9));
    await luns.rest(1, 7);
    expect(luns.reserve(1, others, HOUR)).toBe(9);
    luns.settle(1, 9);
    await luns.rest(1, 9);
    await clock.advance(HOUR - 1);
    // Both rest: the one that was freed first is the least bad choice.
    expect(luns.reserve(1, others, HOUR)).toBe(7);
    luns.settle(1, 7);
    await clock.advance(1);
    expect(luns.reserve(1, others, HOUR)).not.toBeNull();
  });

  it('rests nothing with truenas-lun-rest 0', async () => {
    const luns = new LunAllocator(new ManualClock());
    const others = new Set(Array.from({ length: 16_382 }, (_unused, n) => n + 1).filter((lun) => lun !== 7));
    await luns.rest(1, 7);
    expect(luns.reserve(1, others, 0)).toBe(7);
  });

  it('rests per target', async () => {
    const luns = new LunAllocator(new ManualClock());
    await luns.rest(2, 1);
    expect(luns.reserve(1, NOBODY, HOUR)).toBe(1);
    expect(luns.reserve(2, NOBODY, HOUR)).toBe(2);
  });

  it('says when no number is left', () => {
    const luns = new LunAllocator(new ManualClock());
    expect(luns.reserve(1, new Set(Array.from({ length: 16_382 }, (_unused, n) => n + 1)), HOUR)).toBeNull();
  });

  it('a number rests on after a restart, and one freed in the future of a clock set back rests from now on', async () => {
    const clock = new ManualClock();
    const kept = new Kept();
    await new LunAllocator(clock, Math.random, kept).rest(1, 1);
    kept.targets.set(2, new Map([[1, clock.now() + 100 * HOUR]]));
    const restarted = new LunAllocator(clock, Math.random, kept);
    expect(restarted.reserve(1, NOBODY, HOUR)).toBe(2);
    expect(restarted.reserve(2, NOBODY, HOUR)).toBe(2);
    const later = new LunAllocator(clock, Math.random, kept);
    later.reserve(2, NOBODY, HOUR); // recalls it
    await clock.advance(HOUR);
    const others = new Set(Array.from({ length: 16_382 }, (_unused, n) => n + 1).filter((lun) => lun !== 1));
    expect(later.reserve(2, others, HOUR)).toBe(1);
  });

  it('keeps a number once, although its freeing is told by us and by the array', async () => {
    const kept = new Kept();
    const luns = new LunAllocator(new ManualClock(), Math.random, kept);
    await luns.rest(1, 5);
    await luns.rest(1, 5);
    expect(kept.writes).toBe(1);
  });

  it('claims exactly the number that is asked for, once', () => {
    const luns = new LunAllocator(new ManualClock());
    expect(luns.claim(1, 5)).toBe(true);
    expect(luns.claim(1, 5)).toBe(false);
    luns.settle(1, 5);
    expect(luns.claim(1, 5)).toBe(true);
  });
});
