import { PythonError } from '../../api/contract.ts';

/** JSON values as Python's operators treat them in middlewared's filter engine (truenas-api 7.1). */

export type Row = Readonly<Record<string, unknown>>;

export function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** ms of an EJSON `{"$date": ms}`, else null. */
function dateOf(value: unknown): number | null {
  return isRow(value) && typeof value['$date'] === 'number' && Object.keys(value).length === 1 ? value['$date'] : null;
}

export function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  if (typeof value === 'string') return 'str';
  if (isList(value)) return 'list';
  return dateOf(value) === null ? 'dict' : 'datetime.datetime';
}

function typeError(text: string): PythonError {
  return new PythonError('TypeError', text);
}

/** `==`: True equals 1, lists and dicts by content. */
export function equal(a: unknown, b: unknown): boolean {
  if (typeof a === 'boolean' && typeof b === 'number') return Number(a) === b;
  if (typeof a === 'number' && typeof b === 'boolean') return a === Number(b);
  if (isList(a) && isList(b)) return a.length === b.length && a.every((item, index) => equal(item, b[index]));
  if (isRow(a) && isRow(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
  }
  return (a ?? null) === (b ?? null);
}

/** Negative, 0 or positive; mixed types and null raise a TypeError, which fails the whole query. */
export function compare(a: unknown, b: unknown, operator: string): number {
  const numeric = (value: unknown): number | null => (typeof value === 'boolean' || typeof value === 'number' ? Number(value) : null);
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== null && y !== null) return x - y;
  const [s, t] = [dateOf(a), dateOf(b)];
  if (s !== null && t !== null) return s - t;
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  if (isList(a) && isList(b)) {
    for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
      if (!equal(a[index], b[index])) return compare(a[index], b[index], operator);
    }
    return a.length - b.length;
  }
  throw typeError(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** `item in container` */
export function contains(container: unknown, item: unknown): boolean {
  if (isList(container)) return container.some((member) => equal(member, item));
  if (typeof container === 'string') {
    if (typeof item !== 'string') throw typeError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    return container.includes(item);
  }
  if (isRow(container)) {
    const set = container['$set'];
    if (isList(set)) return contains(set, item);
    return typeof item === 'string' && Object.hasOwn(container, item);
  }
  throw typeError(`argument of type '${typeName(container)}' is not iterable`);
}

/** str.startswith and str.endswith */
export function affix(method: 'startswith' | 'endswith', text: unknown, part: unknown): boolean {
  if (typeof text !== 'string') throw new PythonError('AttributeError', `'${typeName(text)}' object has no attribute '${method}'`);
  if (typeof part !== 'string') throw typeError(`${method} first arg must be str or a tuple of str, not ${typeName(part)}`);
  return method === 'startswith' ? text.startsWith(part) : text.endsWith(part);
}

/** re.match: anchored at the start only; null reads as "". */
export function matches(text: unknown, pattern: unknown): boolean {
  if (typeof pattern !== 'string') throw typeError('first argument must be string or compiled pattern');
  const subject = text === null || text === undefined || text === false || text === 0 ? '' : text;
  if (typeof subject !== 'string') throw typeError(`expected string or bytes-like object, got '${typeName(subject)}'`);
  return pythonRegExp(pattern).test(subject);
}

const INLINE_FLAGS = /^\(\?([ims]+)\)/;

function pythonRegExp(pattern: string): RegExp {
  const flags = INLINE_FLAGS.exec(pattern);
  const body = pattern
    .replace(INLINE_FLAGS, '')
    .replaceAll('(?P<', '(?<')
    .replaceAll(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replaceAll('\\Z', '(?![\\s\\S])')
    .replaceAll('\\A', '(?<![\\s\\S])');
  try {
    return new RegExp(`(?<![\\s\\S])(?:${body})`, flags?.[1] ?? '');
  } catch {
    throw new PythonError('error', `bad regular expression: ${pattern}`);
  }
}

/** str.casefold on a string or a list of strings; null stays null. */
export function casefold(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value.toLowerCase().replaceAll('ß', 'ss');
  if (isList(value)) {
    return value.map((item) => {
      if (typeof item !== 'string') throw new PythonError('AttributeError', `'${typeName(item)}' object has no attribute 'casefold'`);
      return casefold(item);
    });
  }
  throw new PythonError('ValueError', `<class '${typeName(value)}'>: support for casefolding object type not implemented.`);
}
