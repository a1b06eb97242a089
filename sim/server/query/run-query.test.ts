import { describe, expect, it } from 'vitest';
import { parseQuery, queryNames } from './query-params.ts';
import { runQuery } from './run-query.ts';
import type { Row } from './python-values.ts';

const ROWS: readonly Row[] = [
  { id: 1, name: 'vm-1', size: 10, owner: null, tags: ['a', 'B'], o: { p: 1 }, l: [{ k: 1 }, { k: 2 }], at: { $date: 1_700_000_000_000 } },
  { id: 2, name: 'vm-10', size: 5, owner: 'X', tags: [], o: { p: 2 }, l: [], at: { $date: 1_800_000_000_000 } },
  { id: 3, name: 'Base', size: 7, owner: 'x', o: {}, 'a.b': 1 },
];

function query(filters: unknown[], options: Record<string, unknown> = {}, release: '25.04' | '25.10' = '25.10'): unknown {
  const call = parseQuery([filters, options], release, queryNames(false));
  return runQuery(ROWS, call.filters, call.options);
}
const ids = (filters: unknown[]): unknown => (query(filters, { select: ['id'] }) as { id: number }[]).map((row) => row.id);

describe('filters as middlewared runs them (truenas-api 7.1)', () => {
  it.each([
    [[['id', '=', 1]], [1]],
    [[['owner', '!=', 'X']], [1, 3]],
    [[['nothing', '!=', 1]], []],
    [[['nothing', '=', null]], []],
    [[['owner', '=', null]], [1]],
    [[['owner', 'nin', ['X']]], [3]],
    [[['owner', 'in', [null]]], [1]],
    [[['owner', '!^', 'X']], [3]],
    [[['owner', 'C=', 'x']], [2, 3]],
    [[['name', '~', 'vm-1']], [1, 2]],
    [[['name', '~', 'm-1']], []],
    [[['name', '$', '-1']], [1]],
    [[['tags', 'rin', 'a']], [1]],
    [[['l.*.k', '=', 2]], [1]],
    [[['l.0.k', '=', 1]], [1]],
    [[['o.p', '>', 1]], [2]],
    [[['a\\.b', '=', 1]], [3]],
    [[['at.$date', '>', '2025-01-01T00:00:00']], [2]],
    [
      [
        [
          'OR',
          [
            ['id', '=', 1],
            [
              ['id', '>', 1],
              ['size', '=', 7],
            ],
          ],
        ],
      ],
      [1, 3],
    ],
  ])('%j', (filters, expected) => expect(ids(filters)).toEqual(expected));

  it('fails the whole query when null is ordered against a number', () => {
    expect(() => query([['owner', '>', 1]])).toThrow("'>' not supported between instances of 'NoneType' and 'int'");
  });
});

describe('options', () => {
  it('counts before limit and offset', () => expect(query([], { count: true, limit: 1, offset: 2 })).toBe(3));
  it('renames and nests what it selects', () => {
    expect(query([['id', '=', 1]], { select: ['o.p', ['o.p', 'pp'], 'none'] })).toEqual([{ o: { p: 1 }, pp: 1 }]);
  });
  it('takes the last order_by key as the primary one', () => {
    expect((query([], { order_by: ['size', '-id'] }) as { id: number }[]).map((row) => row.id)).toEqual([3, 2, 1]);
  });
  it('puts nulls where it is told', () => {
    expect((query([], { order_by: ['nulls_last:owner'] }) as { id: number }[]).at(-1)?.id).toBe(1);
    expect((query([], { order_by: ['nulls_first:-owner'] }) as { id: number }[]).map((row) => row.id)).toEqual([1, 3, 2]);
  });
  it('cannot order by what it did not select', () =>
    expect(() => query([], { select: ['id'], order_by: ['size'] })).toThrow(/not supported/));
  it('answers get with one row or MatchNotFound', () => {
    expect(query([['id', '=', 2]], { get: true, select: ['id'] })).toEqual({ id: 2 });
    expect(() => query([['id', '=', 9]], { get: true })).toThrow('MatchNotFound()');
  });
  it('never changes the rows', () => {
    query([], { select: ['o', 'o.p'] });
    expect(ROWS[0]?.['o']).toEqual({ p: 1 });
  });
});

describe('what the models refuse (truenas-api 7)', () => {
  const items = (run: () => unknown): unknown => {
    try {
      run();
    } catch (error) {
      return (error as { items?: unknown }).items;
    }
    return null;
  };
  it.each([
    [[['a', '=>', 1]], {}, ['filters', 'Value error, Invalid operation: =>', 22]],
    [[['a', 'C~', 1]], {}, ['filters', 'Value error, Invalid case-insensitive operation: C~', 22]],
    [[['OR', []]], {}, ['filters', 'Value error, OR filter requires at least one branch.', 22]],
    [[], { bogus: 1 }, ['options.bogus', 'Extra inputs are not permitted', 22]],
    [[], { get: true, limit: 2 }, ['options', 'Value error, Invalid options combination. `get` implies a single result.', 22]],
    [[], { limit: 10_001 }, ['options', 'Value error, Options limit must be between 1 and 10000', 22]],
  ])('%j %j', (filters, options, expected) => expect(items(() => query(filters, options))).toEqual([expected]));

  it('stops at the fourth level of OR', () => {
    const nest = (depth: number): unknown => (depth === 0 ? ['id', '=', 1] : ['OR', [nest(depth - 1)]]);
    expect(ids([nest(3)])).toEqual([1]);
    expect(items(() => query([nest(4)]))).toEqual([['filters', 'Value error, query-filters max recursion depth exceeded', 22]]);
  });
  it('names the parameters of 25.04 the older way, and has no upper limit there', () => {
    const call = (): unknown => parseQuery([[['a', '=>', 1]]], '25.04', queryNames(true));
    expect(items(call)).toEqual([['query-filters', 'Invalid operation: =>', 22]]);
    expect(query([], { limit: 20_000 }, '25.04')).toHaveLength(3);
  });
});
