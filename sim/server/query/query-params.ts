import * as z from 'zod';
import { ERRNO, ValidationErrors, type SimRelease } from '../../api/contract.ts';
import { pydanticItems } from '../pydantic-errors.ts';
import { checkFilters, checkOptions, checkSelect, QueryError, type QueryOptions } from './check-query.ts';
import type { Filter } from './filter-rows.ts';

const common = {
  extra: z.record(z.string(), z.unknown()).default({}),
  order_by: z.array(z.string()).default([]),
  select: z.array(z.union([z.string(), z.array(z.unknown())])).default([]),
  count: z.boolean().default(false),
  get: z.boolean().default(false),
  offset: z.int().default(0),
  limit: z.int().default(0),
  force_sql_filters: z.boolean().default(false),
};

const current = z.strictObject(common);
/** What 25.04 still knew (truenas-api 7). */
const older = z.strictObject({
  ...common,
  relationships: z.boolean().default(true),
  extend: z.string().nullable().default(null),
  extend_context: z.string().nullable().default(null),
  prefix: z.string().nullable().default(null),
});

export interface QueryCall {
  readonly filters: readonly Filter[];
  readonly options: QueryOptions;
}

/** Methods of 25.04 without a model call their parameters by the older names (truenas-api 7). */
export interface QueryNames {
  readonly filters: string;
  readonly options: string;
  readonly legacy: boolean;
}

export function queryNames(legacy: boolean): QueryNames {
  return legacy ? { filters: 'query-filters', options: 'query-options', legacy } : { filters: 'filters', options: 'options', legacy };
}

function refuse(attribute: string, error: unknown, legacy: boolean): never {
  if (!(error instanceof QueryError)) throw error;
  throw new ValidationErrors([[attribute, legacy ? error.message : `Value error, ${error.message}`, ERRNO.EINVAL]]);
}

/** Checks the two arguments of a query. Errors: ValidationErrors as middlewared words them. */
export function parseQuery(args: readonly unknown[], release: SimRelease, names: QueryNames): QueryCall {
  if (args.length > 2) {
    throw new ValidationErrors([['', `Too many arguments (expected 2, found ${args.length})`, ERRNO.EINVAL]]);
  }
  const [rawFilters = [], rawOptions = {}] = args;
  const list = z.array(z.unknown()).safeParse(rawFilters);
  if (!list.success) throw new ValidationErrors([[names.filters, 'Input should be a valid list', ERRNO.EINVAL]]);
  const parsed = (release === '25.04' ? older : current).safeParse(rawOptions, { reportInput: true });
  if (!parsed.success) {
    const items = pydanticItems(names.options, parsed.error.issues);
    throw new ValidationErrors(
      items.map(([attribute, message, errno]) => [
        attribute,
        names.legacy && message === 'Extra inputs are not permitted' ? 'Field was not expected' : message,
        errno,
      ]),
    );
  }
  let filters: readonly Filter[];
  try {
    filters = checkFilters(list.data);
  } catch (error) {
    return refuse(names.filters, error, names.legacy);
  }
  try {
    const options: QueryOptions = { ...parsed.data, select: checkSelect(parsed.data.select) };
    checkOptions(options, release);
    return { filters, options };
  } catch (error) {
    return refuse(names.options, error, names.legacy);
  }
}
