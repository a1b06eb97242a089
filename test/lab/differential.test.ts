import { describe, expect, it } from 'vitest';
import { compare } from './testing/differential.ts';
import { Machine } from './testing/machine.ts';

describe('arrays in memory and in the lab', () => {
  it.each(['25.04', '25.10', '26.0'] as const)('answer the same random calls alike (%s; RP-01, RP-05, RP-06)', async (release) => {
    const machine = await Machine.restore('st');
    try {
      const outcome = await compare({ vm: machine.directory, release, seed: 1, calls: 60 });
      expect(outcome.differences).toEqual([]);
      expect(outcome.succeeded).toBeGreaterThan(20);
    } finally {
      await machine.stop();
    }
  });
});
