import { describe, expect, it } from 'vitest';
import { quantile } from './quantile.ts';

const INF = Number.POSITIVE_INFINITY;

describe('quantile', () => {
  it.each([
    [
      'nothing measured',
      0.5,
      [
        [1, 0],
        [INF, 0],
      ],
      null,
    ],
    ['no buckets at all', 0.5, [], null],
    [
      'the middle of the first bucket, from 0 on',
      0.5,
      [
        [2, 10],
        [INF, 10],
      ],
      1,
    ],
    [
      'a line inside a later bucket',
      0.5,
      [
        [1, 2],
        [3, 10],
        [INF, 10],
      ],
      1.75,
    ],
    [
      'the bound where a bucket is used up',
      0.2,
      [
        [1, 2],
        [3, 10],
        [INF, 10],
      ],
      1,
    ],
    [
      'the last finite bound for what lies above it',
      0.95,
      [
        [1, 2],
        [3, 4],
        [INF, 10],
      ],
      3,
    ],
    [
      'unsorted buckets',
      0.5,
      [
        [INF, 10],
        [2, 10],
      ],
      1,
    ],
    ['nothing to tell when all is above the only bound there is', 0.5, [[INF, 3]], null],
    [
      'empty buckets in between',
      0.5,
      [
        [1, 0],
        [2, 0],
        [4, 8],
        [INF, 8],
      ],
      3,
    ],
  ] as const)('tells %s', (_what, q, buckets, expected) => {
    expect(
      quantile(
        q,
        buckets.map(([le, count]) => ({ le, count })),
      ),
    ).toBe(expected);
  });
});
