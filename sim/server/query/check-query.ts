import type { SimRelease } from '../../api/contract.ts';
import { isOperator, TIMESTAMP, type Branch, type Filter } from './filter-rows.ts';

const MAX_DEPTH = 3;
const TIMESTAMP_OPERATORS = ['=', '!=', '>', '>=', '<', '<='];

/** Raised for filters or options that the model refuses; becomes `["filters", "Value error, ...", 22]`. */
export class QueryError extends Error {}

function show(value: unknown): string {
  return JSON.stringify(value).replaceAll('"', "'");
}

function isIsoTimestamp(text: unknown): boolean {
  return typeof text === 'string' && /^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(Date.parse(text));
}

/** Checks `filters` as middlewared's validate_filters does (truenas-api 7); returns them typed. */
export function checkFilters(filters: readonly unknown[], depth = 0): readonly Filter[] {
  if (depth > MAX_DEPTH) throw new QueryError('query-filters max recursion depth exceeded');
  return filters.map((filter) => checkFilter(filter, depth));
}

function checkFilter(filter: unknown, depth: number): Filter {
  if (!Array.isArray(filter)) throw new QueryError(`Invalid filter ${show(filter)}`);
  const parts: readonly unknown[] = filter;
  if (parts.length === 2) {
    const [operator, branches] = parts;
    if (operator !== 'OR') throw new QueryError(`Invalid operation: ${typeof operator === 'string' ? operator : show(operator)}`);
    if (!Array.isArray(branches) || branches.length === 0) throw new QueryError('OR filter requires at least one branch.');
    return ['OR', branches.map((branch: unknown) => checkBranch(branch, depth + 1))];
  }
  const [field, operator, value] = parts;
  if (parts.length !== 3 || typeof field !== 'string') throw new QueryError(`Invalid filter ${show(filter)}`);
  if (typeof operator !== 'string' || operator === '') throw new QueryError(`Invalid operation: ${show(operator)}`);
  const plain = operator.startsWith('C') ? operator.slice(1) : operator;
  if (operator === 'C~') throw new QueryError('Invalid case-insensitive operation: C~');
  if (!isOperator(plain)) throw new QueryError(`Invalid operation: ${operator}`);
  if (field.endsWith(TIMESTAMP)) {
    if (!TIMESTAMP_OPERATORS.includes(plain)) throw new QueryError(`${plain}: invalid timestamp operation.`);
    if (!isIsoTimestamp(value)) {
      throw new QueryError(`${typeof value === 'string' ? value : show(value)}: must be an ISO-8601 formatted timestamp string`);
    }
  }
  return [field, operator, value];
}

function checkBranch(branch: unknown, depth: number): Branch {
  if (Array.isArray(branch) && Array.isArray(branch[0])) return checkFilters(branch, depth);
  const [only] = checkFilters([branch], depth);
  if (only === undefined) throw new QueryError('OR filter requires at least one branch.');
  return only;
}

export interface QueryOptions {
  readonly extra: Readonly<Record<string, unknown>>;
  readonly order_by: readonly string[];
  readonly select: readonly (string | readonly [path: string, as: string])[];
  readonly count: boolean;
  readonly get: boolean;
  readonly offset: number;
  readonly limit: number;
}

const MAX_LIMIT = 10_000;

/** Combinations that the option model refuses (truenas-api 7). */
export function checkOptions(options: QueryOptions, release: SimRelease): void {
  if (options.get && (options.limit > 1 || options.offset !== 0)) {
    throw new QueryError('Invalid options combination. `get` implies a single result.');
  }
  if (release !== '25.04' && options.limit > MAX_LIMIT) throw new QueryError(`Options limit must be between 1 and ${MAX_LIMIT}`);
}

/** `select` entries: a path or [path, name]. */
export function checkSelect(select: readonly unknown[]): QueryOptions['select'] {
  return select.map((entry) => {
    if (typeof entry === 'string') return entry;
    const parts: readonly unknown[] = Array.isArray(entry) ? entry : [];
    if (parts.length !== 2) {
      throw new QueryError(
        `${show(entry)}: A select as list may only contain two parameters: the name of the parameter being selected, and the name to which to assign it in resulting data.`,
      );
    }
    const [path, as] = parts;
    if (typeof path !== 'string') throw new QueryError(`${show(entry)}: first item must be a string.`);
    if (typeof as !== 'string') throw new QueryError(`${show(entry)}: second item must be a string.`);
    return [path, as] as const;
  });
}
