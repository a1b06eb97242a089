import { describe, expect, it } from 'vitest';
import { ArrayDriver } from '../../sim/state/array-driver.ts';
import { run } from './testing/differential.ts';
import { Dice, randomCall } from './testing/random-calls.ts';
import { difference, TOLERANCE } from './testing/same-answer.ts';

async function array(): Promise<ArrayDriver> {
  const driver = new ArrayDriver({ release: '25.10' });
  await driver.array.start();
  return driver;
}

describe('the comparer of two arrays', () => {
  it('finds nothing between two that are the same, and makes the same calls for the same seed', async () => {
    const episode = { release: '25.10', seed: 3, calls: 150 } as const;
    const first = await run(episode, await array(), await array());
    expect(first).toMatchObject({ same: 150, differences: [] });
    expect(first.succeeded).toBeGreaterThan(50);
    const calls = (): unknown[] => {
      const dice = new Dice(3);
      return Array.from({ length: 50 }, () => randomCall(dice, '25.10', () => true));
    };
    expect(calls()).toEqual(calls());
  });

  it('finds another answer and says which calls led to it', async () => {
    const odd = await array();
    const call = odd.call.bind(odd);
    odd.call = async (name, ...args) => (name === 'pool.dataset.snapshot_count' ? 77 : await call(name, ...args));
    const { differences } = await run({ release: '25.10', seed: 3, calls: 150 }, await array(), odd);
    expect(differences[0]).toMatch(
      /^release 25\.10, seed 3, call \d+: memory \/ lab differ at .*\n(?: {2}.*\n)* {2}pool\.dataset\.snapshot_count /,
    );
  });

  it('finds a state that became another one although the answers were the same, and ends there', async () => {
    const odd = await array();
    const call = odd.call.bind(odd);
    odd.call = async (name, ...args) => {
      const answer = await call(name, ...args);
      if (name === 'pool.dataset.attachments') await call('pool.dataset.create', { name: 'tank/pve/extra', type: 'FILESYSTEM' });
      return answer;
    };
    const outcome = await run({ release: '25.10', seed: 3, calls: 150 }, await array(), odd);
    expect(outcome.same).toBeLessThan(150);
    expect(outcome.differences.at(-1)).toContain('differ at state after it, pool.dataset.query');
  });

  it('takes numbers of space as the same within the tolerance alone, and random ones never for a difference', () => {
    const used = (rawvalue: number): unknown => ({ used: { rawvalue: String(rawvalue) }, guid: Math.random() });
    expect(difference(used(0), used(TOLERANCE))).toBeNull();
    expect(difference(used(0), used(TOLERANCE + 1))).toBe('.used: {"rawvalue":"0"} / {"rawvalue":"8388609"}');
    expect(difference(used(0), used(TOLERANCE + 1), 'no space')).toBeNull();
    expect(difference({ a: [1] }, { a: [1, 2] })).toBe('.a: [1] / [1,2]');
    expect(difference({ a: 1 }, {})).toBe('.a: 1 / nothing');
  });
});
