import { PythonError } from '../../api/contract.ts';
import { isRow, type Row } from './python-values.ts';

/** `a.b` into ['a', 'b']; `\.` keeps a dot inside a key (truenas-api 7.1). */
export function partition(path: string): readonly [left: string, right: string] {
  let left = '';
  let rest = path;
  for (;;) {
    const dot = rest.indexOf('.');
    if (dot < 0) return [left + rest, ''];
    if (dot > 0 && rest[dot - 1] === '\\') {
      left += `${rest.slice(0, dot - 1)}.`;
      rest = rest.slice(dot + 1);
    } else {
      return [left + rest.slice(0, dot), rest.slice(dot + 1)];
    }
  }
}

export type Found =
  | { readonly kind: 'missing' }
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'each'; readonly items: readonly unknown[]; readonly rest: string };

/** Looks a filter's field up. A path that goes on behind a scalar ends at the scalar, as in middlewared. */
export function lookUp(row: unknown, path: string): Found {
  let right = path;
  let current: unknown = row;
  let missing = false;
  while (right !== '') {
    const [left, rest] = partition(right);
    right = rest;
    if (missing) continue;
    if (Array.isArray(current)) {
      const items: readonly unknown[] = current;
      if (/^\d+$/.test(left)) current = items[Number(left)] ?? null;
      else if (left === '*') return { kind: 'each', items, rest: right };
      else throw new PythonError('ValueError', `${left}: must be array index or wildcard character`);
    } else if (isRow(current)) {
      if (Object.hasOwn(current, left)) current = current[left];
      else missing = true;
    }
  }
  return missing || current === undefined ? { kind: 'missing' } : { kind: 'value', value: current };
}

/** The value used for ordering: null where the path leads nowhere. */
export function valueAt(row: Row, path: string): unknown {
  const found = lookUp(row, path);
  if (found.kind === 'each') return found.items;
  return found.kind === 'value' ? found.value : null;
}

/** Path and value for `select`; null when the row lacks it. List indexes cannot be selected. */
export function selectPath(row: Row, path: string): { readonly keys: readonly string[]; readonly value: unknown } | null {
  const keys: string[] = [];
  let right = path;
  let current: unknown = row;
  let missing = false;
  while (right !== '') {
    const [left, rest] = partition(right);
    right = rest;
    if (missing) continue;
    if (Array.isArray(current)) throw new PythonError('ValueError', 'Selecting by list index is not supported');
    if (!isRow(current)) continue;
    keys.push(left);
    if (Object.hasOwn(current, left)) current = current[left];
    else missing = true;
  }
  return missing || keys.length === 0 ? null : { keys, value: current };
}
