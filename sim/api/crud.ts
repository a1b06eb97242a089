import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { CallContext, SimMethod, SimParam, SimRelease } from './contract.ts';
import { instanceNotFound, integer, method, param, roles } from './method.ts';
import { extraOf, instanceParams, pinned, queryParams } from './query-params.ts';

export interface CrudSettings<T extends { readonly id: number }> {
  readonly core: ArrayCore;
  /** e.g. iscsi.extent */
  readonly namespace: string;
  /** Python class name without "Service": what a missing id is called */
  readonly verboseName: string;
  readonly rolePrefix: string;
  /** Default: all. */
  readonly releases?: readonly SimRelease[];
  rows(): readonly T[];
  get(id: number): T | undefined;
  /** `extra`: that of the query options. */
  entry(row: T, context: CallContext | null, extra: Readonly<Record<string, unknown>>): Record<string, unknown>;
  readonly createParam: (release: SimRelease) => SimParam;
  readonly updateParam: (release: SimRelease) => SimParam;
  /** further parameters of delete after `id` */
  readonly deleteParams: readonly SimParam[];
  create(data: unknown): Promise<T>;
  update(row: T, data: unknown): Promise<T>;
  remove(row: T, args: readonly unknown[]): Promise<void>;
}

/** The six methods of a CRUD service with their events (truenas-api 4, 6). */
export function crudMethods<T extends { readonly id: number }>(settings: CrudSettings<T>): SimMethod[] {
  const { core, namespace } = settings;
  const read = roles(`${settings.rolePrefix}_READ`);
  const write = roles(`${settings.rolePrefix}_WRITE`);
  const event = `${namespace}.query`;
  const must = (id: unknown): T => {
    const row = typeof id === 'number' ? settings.get(id) : undefined;
    if (row === undefined) throw instanceNotFound(settings.verboseName, id);
    return row;
  };
  const fresh = (id: number, context: CallContext): Record<string, unknown> => settings.entry(must(id), context, {});
  const releases = settings.releases === undefined ? {} : { releases: settings.releases };
  return [
    method(
      event,
      read,
      (release) => queryParams(release, false),
      ([filters, options], context) => {
        const ids = pinned(filters, ['id']);
        const rows = ids === null ? settings.rows() : ids.flatMap((id) => (typeof id === 'number' ? (settings.get(id) ?? []) : []));
        return rows.map((row) => settings.entry(row, context, extraOf(options)));
      },
      { ...releases, query: true },
    ),
    method(
      `${namespace}.get_instance`,
      read,
      (release) => instanceParams(release, integer, false),
      ([id, options], context) => settings.entry(must(id), context, extraOf(options)),
      releases,
    ),
    method(
      `${namespace}.create`,
      write,
      (release) => [settings.createParam(release)],
      async ([data], context) => {
        const row = await settings.create(data);
        core.services.emit({ msg: 'added', collection: event, id: row.id, fields: settings.entry(must(row.id), null, {}) });
        return fresh(row.id, context);
      },
      releases,
    ),
    method(
      `${namespace}.update`,
      write,
      (release) => [param('id', integer), settings.updateParam(release)],
      async ([id, data], context) => {
        const row = await settings.update(must(id), data);
        core.services.emit({ msg: 'changed', collection: event, id: row.id, fields: settings.entry(must(row.id), null, {}) });
        return fresh(row.id, context);
      },
      releases,
    ),
    method(
      `${namespace}.delete`,
      write,
      () => [param('id', integer), ...settings.deleteParams],
      async ([id, ...rest]) => {
        const row = must(id);
        await settings.remove(row, rest);
        core.services.emit({ msg: 'removed', collection: event, id: row.id });
        return true;
      },
      releases,
    ),
  ];
}

export const flag = z.boolean();
