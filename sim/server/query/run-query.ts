import { PythonError } from '../../api/contract.ts';
import type { QueryOptions } from './check-query.ts';
import { selectPath, valueAt } from './field-path.ts';
import { passes, type Filter } from './filter-rows.ts';
import { compare, type Row } from './python-values.ts';

const NULLS_FIRST = 'nulls_first:';
const NULLS_LAST = 'nulls_last:';

function select(row: Row, wanted: QueryOptions['select']): Row {
  const entry: Record<string, unknown> = {};
  for (const item of wanted) {
    const [path, as] = typeof item === 'string' ? [item, null] : item;
    const found = selectPath(row, path);
    if (found === null) continue;
    if (as !== null) {
      entry[as] = found.value;
      continue;
    }
    let target = entry;
    for (const key of found.keys.slice(0, -1)) {
      const next = target[key];
      // A copy: what was selected before belongs to the array's state.
      target = target[key] = typeof next === 'object' && next !== null ? { ...next } : {};
    }
    const last = found.keys.at(-1);
    if (last !== undefined) target[last] = found.value;
  }
  return entry;
}

function sorted(rows: readonly Row[], key: string): readonly Row[] {
  const reverse = key.startsWith('-');
  const path = reverse ? key.slice(1) : key;
  return [...rows].sort((a, b) => (reverse ? -1 : 1) * compare(valueAt(a, path), valueAt(b, path), '<'));
}

function order(rows: readonly Row[], key: string): readonly Row[] {
  const nulls = key.startsWith(NULLS_FIRST) ? NULLS_FIRST : key.startsWith(NULLS_LAST) ? NULLS_LAST : null;
  if (nulls === null) return sorted(rows, key);
  const field = key.slice(nulls.length);
  const plain = field.startsWith('-') ? field.slice(1) : field;
  const empty = rows.filter((row) => (row[plain] ?? null) === null);
  const full = sorted(
    rows.filter((row) => (row[plain] ?? null) !== null),
    field,
  );
  return nulls === NULLS_FIRST ? [...empty, ...full] : [...full, ...empty];
}

function first(rows: readonly Row[]): Row {
  const row = rows[0];
  if (row === undefined) throw new PythonError('MatchNotFound', 'MatchNotFound()');
  return row;
}

/**
 * middlewared's filter_list of 25.04 to 26.0: filter, select, count, order_by, get, offset, limit in this order. With several
 * order_by keys the last one is the primary one (truenas-api 7.1).
 */
export function runQuery(rows: readonly Row[], filters: readonly Filter[], options: QueryOptions): readonly Row[] | Row | number {
  const pick = (row: Row): Row => (options.select.length === 0 ? row : select(row, options.select));
  let found: readonly Row[];
  if (filters.length > 0 && options.get && options.order_by.length === 0) {
    const hit = rows.find((row) => filters.every((filter) => passes(row, filter)));
    return first(hit === undefined ? [] : [pick(hit)]);
  }
  found = rows.filter((row) => filters.every((filter) => passes(row, filter))).map(pick);
  if (options.count) return found.length;
  for (const key of options.order_by) found = order(found, key);
  if (options.get) return first(found);
  if (options.offset !== 0) found = found.slice(options.offset);
  return options.limit === 0 ? found : found.slice(0, options.limit);
}
