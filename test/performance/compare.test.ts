import { describe, expect, it } from 'vitest';
import type { Release } from '../../src/core/array-port.ts';
import type { Budget } from './budgets.ts';
import { type ArrayUnderTest, violations } from './compare.ts';
import type { Measured } from './node-under-test.ts';

const budget: Budget = { calls: { 'pool.snapshot.create': 1, 'pool.dataset.query': 2 }, sent: 100, received: 1000, perVolume: 10 };
const kept: Measured = { calls: budget.calls, sent: 95, received: 1_950 };
const on = (release: Release): ArrayUnderTest => ({ release, volumes: 100 });

describe('a budget', () => {
  it('that is kept has no violation', () => {
    expect(violations(budget, kept, on('25.10'))).toEqual([]);
  });

  it.each([
    ['one call more', { calls: { ...kept.calls, 'pool.dataset.query': 3 } }, 'pool.dataset.query: 3 calls, the budget is 2'],
    ['another method', { calls: { ...kept.calls, 'core.ping': 1 } }, 'core.ping: 1 calls, the budget is 0'],
    [
      'one call less, which belongs into the table',
      { calls: { 'pool.dataset.query': 2 } },
      'pool.snapshot.create: 0 calls, the budget is 1',
    ],
    ['a longer request', { sent: 101 }, '101 bytes sent, the budget is 100'],
    ['longer answers', { received: 2_001 }, '2001 bytes received, the budget is 2000'],
    ['a bound that is too wide', { received: 1_500 }, 'only 1500 bytes received: the budget of 2000 can be lowered'],
  ])('is broken by %s', (_what, change, text) => {
    expect(violations(budget, { ...kept, ...change }, on('25.10'))).toEqual([text]);
  });

  it('counts under the names of the release', () => {
    expect(violations(budget, { ...kept, calls: { 'zfs.snapshot.create': 1, 'pool.dataset.query': 2 } }, on('25.04'))).toEqual([]);
    expect(violations(budget, kept, on('25.04'))).toHaveLength(2);
  });
});
