import { describe, expect, it } from 'vitest';
import { percentile, summarise } from './percentiles.ts';

describe('percentile', () => {
  it('takes the nearest rank of unsorted numbers', () => {
    const numbers = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    expect([0, 0.5, 0.95, 1].map((share) => percentile(numbers, share))).toEqual([1, 5, 10, 10]);
    expect(numbers[0]).toBe(10);
  });

  it('gives NaN of nothing and the number of one', () => {
    expect(percentile([], 0.5)).toBeNaN();
    expect(percentile([7], 0.01)).toBe(7);
  });
});

describe('summarise', () => {
  it('lines up median, 95 % and longest', () => {
    expect(summarise([1, 2, 300])).toBe('      2.0    300.0    300.0');
  });
});
