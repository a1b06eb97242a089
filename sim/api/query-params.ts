import * as z from 'zod';
import type { SimParam, SimRelease } from './contract.ts';
import { param, str } from './method.ts';

const legacyOnly = {
  relationships: z.boolean().optional(),
  extend: str.nullable().optional(),
  extend_context: str.nullable().optional(),
  prefix: str.nullable().optional(),
};

/** `query-options` (truenas-api 7): unknown keys are refused everywhere; 25.04 knows four more. */
export function queryOptions(release: SimRelease): z.ZodType {
  const common = {
    extra: z.record(z.string(), z.unknown()).optional(),
    order_by: z.array(str).optional(),
    select: z.array(z.union([str, z.array(z.unknown())])).optional(),
    count: z.boolean().optional(),
    get: z.boolean().optional(),
    offset: z.int().optional(),
    limit: z.int().optional(),
    force_sql_filters: z.boolean().optional(),
  };
  return release === '25.04' ? z.strictObject({ ...common, ...legacyOnly }) : z.strictObject(common);
}

/** Filters are checked by the query engine; here only that they are a list. */
const filters = z.array(z.unknown());

/** Parameters of a `query` method. `legacy`: on 25.04 it has no model and other names. */
export function queryParams(
  release: SimRelease,
  legacy: boolean,
  names: readonly [string, string] = ['filters', 'options'],
): readonly SimParam[] {
  const [first, second] = legacy && release === '25.04' ? (['query-filters', 'query-options'] as const) : names;
  return [param(first, filters, []), param(second, queryOptions(release), {})];
}

/** Parameters of a `get_instance`. */
export function instanceParams(release: SimRelease, id: z.ZodType, legacy: boolean): readonly SimParam[] {
  return [param('id', id), param(legacy && release === '25.04' ? 'query-options-get_instance' : 'options', queryOptions(release), {})];
}

const loose = z.object({ extra: z.record(z.string(), z.unknown()).optional(), count: z.boolean().optional() });

/** `options.extra`, or {}. */
export function extraOf(options: unknown): Record<string, unknown> {
  const parsed = loose.safeParse(options);
  return parsed.success ? (parsed.data.extra ?? {}) : {};
}

export function wantsCount(options: unknown): boolean {
  const parsed = loose.safeParse(options);
  return parsed.success && parsed.data.count === true;
}

/**
 * Values that one of `fields` must have according to a top-level `=` or `in` filter, so that a query by id need not look at
 * everything; null when the filters do not say. The server filters again, so this is only a shortcut.
 */
export function pinned(filterList: unknown, fields: readonly string[]): readonly unknown[] | null {
  if (!Array.isArray(filterList)) return null;
  for (const filter of filterList as readonly unknown[]) {
    if (!Array.isArray(filter) || filter.length !== 3) continue;
    const [field, op, value] = filter as readonly unknown[];
    if (typeof field !== 'string' || !fields.includes(field)) continue;
    if (op === '=') return [value];
    if (op === 'in' && Array.isArray(value)) return value as readonly unknown[];
  }
  return null;
}
