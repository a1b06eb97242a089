import type { SimMethod, SimRelease } from '../api/contract.ts';
import type { MethodTable } from '../server/method-table.ts';

/** The body or the query does not fit the endpoint: status 400 (truenas-api 13). */
export class BadRequest extends Error {}

export interface RestTarget {
  readonly method: SimMethod;
  /** from `/id/{id}` */
  readonly id: string | number | null;
  /** a query for one row, 404 when there is none */
  readonly single: boolean;
}

function convertId(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** Which method a verb and a path mean; null = no such resource (404), 'verb' = the resource has no such verb (405). */
export function restTarget(table: MethodTable, verb: string, path: readonly string[], release: SimRelease): RestTarget | null | 'verb' {
  const idAt = path.indexOf('id');
  if (idAt > 0 && path.length > idAt + 1) {
    const namespace = path.slice(0, idAt).join('.');
    const id = convertId(path[idAt + 1] ?? '');
    if (path.length > idAt + 2) {
      const method = table.get(`${namespace}.${path.slice(idAt + 2).join('.')}`);
      return method === undefined ? null : verb === 'POST' ? { method, id, single: false } : 'verb';
    }
    const action = { GET: 'query', PUT: 'update', DELETE: 'delete' }[verb];
    const method = action === undefined ? undefined : table.get(`${namespace}.${action}`);
    if (method !== undefined) return { method, id, single: verb === 'GET' };
    return table.get(`${namespace}.query`) === undefined ? null : 'verb';
  }
  const name = path.join('.');
  const own = table.get(name);
  if (own !== undefined) {
    // Methods without arguments and queries are GET, all others POST.
    const get = own.query === true || own.params(release).length === 0;
    return verb === (get ? 'GET' : 'POST') ? { method: own, id: null, single: false } : 'verb';
  }
  const isConfig = table.get(`${name}.config`) !== undefined;
  const crud = isConfig ? { GET: 'config', PUT: 'update' } : { GET: 'query', POST: 'create' };
  const action = (crud as Readonly<Record<string, string>>)[verb];
  const method = action === undefined ? undefined : table.get(`${name}.${action}`);
  if (method !== undefined) return { method, id: null, single: false };
  return isConfig || table.get(`${name}.query`) !== undefined ? 'verb' : null;
}

const OPERATORS: Readonly<Record<string, string>> = { eq: '=', neq: '!=', gt: '>', lt: '<', gte: '>=', lte: '<=', regex: '~' };

function scalar(text: string): unknown {
  if (/^\d+$/.test(text)) return Number(text);
  switch (text.toLowerCase()) {
    case 'true':
      return true;
    case 'false':
      return false;
    case 'null':
      return null;
    default:
      return text;
  }
}

/** Filters and options of a GET from its query string. */
export function restQueryArgs(target: RestTarget, search: URLSearchParams): unknown[] {
  const filters: unknown[] = [];
  const options: Record<string, unknown> = {};
  const extra: Record<string, unknown> = {};
  for (const [key, value] of search) {
    if (key === 'auth_token') continue;
    if (key.startsWith('extra.')) extra[key.slice('extra.'.length)] = scalar(value);
    else if (target.single) continue;
    else if (key === 'limit' || key === 'offset' || key === 'count') options[key] = scalar(value);
    else if (key === 'sort') options['order_by'] = value.split(',');
    else {
      const at = key.indexOf('__');
      const [field, operator] = at < 0 ? [key, '='] : [key.slice(0, at), key.slice(at + 2)];
      filters.push([field, OPERATORS[operator] ?? operator, scalar(value)]);
    }
  }
  if (target.single) {
    filters.push(['id', '=', target.id]);
    options['get'] = true;
  }
  if (Object.keys(extra).length > 0) options['extra'] = extra;
  return [filters, options];
}

/** Positional arguments from the body: one parameter is the body itself, several are its keys. Errors: BadRequest. */
export function restBodyArgs(target: RestTarget, body: unknown, release: SimRelease): unknown[] {
  const args = target.id === null ? [] : [target.id];
  if (body === undefined) return args;
  const params = target.method.params(release).slice(args.length);
  if (params.length === 0) {
    const empty = typeof body === 'object' && body !== null && Object.keys(body).length === 0;
    return empty ? args : [...args, body];
  }
  if (params.length === 1) return [...args, body];
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BadRequest('Endpoint accepts multiple params, object/dict expected.');
  }
  const data = new Map<string, unknown>(Object.entries(body));
  const last = params.reduce((found, param, index) => (data.has(param.name) ? index : found), -1);
  for (const [index, param] of params.entries()) {
    if (!data.has(param.name) && param.fallback === undefined) throw new BadRequest(`${param.name} attribute expected.`);
    if (index <= last) args.push((data.has(param.name) ? data.get(param.name) : param.fallback) as string | number);
    data.delete(param.name);
  }
  if (data.size > 0) throw new BadRequest(`The following attributes are not expected: ${[...data.keys()].join(', ')}`);
  return args;
}
