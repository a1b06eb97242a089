import * as z from 'zod';
import { change, read, type RequestFor } from '../truenas/wire/request.ts';

const id = z.number().int();
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const property = z.union([z.string(), z.looseObject({ rawvalue: z.string().nullish(), value: z.string().nullish() })]);
const time = z.union([z.looseObject({ $date: z.number() }).transform(({ $date }) => $date), z.null()]).nullish();
const named = z.looseObject({ id });

export const rows = {
  pool: z.looseObject({ name: z.string(), status: z.string() }),
  dataset: z.looseObject({
    id: z.string(),
    type: z.string(),
    user_properties: z.record(z.string(), property).nullish(),
    /** Bytes that lie in the dataset itself. */
    usedbydataset: z.looseObject({ rawvalue: z.string().nullish() }).nullish(),
  }),
  service: z.looseObject({ id, service: z.string(), enable: z.boolean(), state: z.string() }),
  portal: z.looseObject({ id, comment: text, listen: z.array(z.looseObject({ ip: z.string(), port: z.number() })) }),
  initiator: z.looseObject({ id, comment: text, initiators: z.array(z.string()) }),
  target: z.looseObject({
    id,
    name: z.string(),
    alias: text,
    groups: z.array(z.looseObject({ portal: id, initiator: id.nullish().transform((value) => value ?? null), authmethod: z.string() })),
  }),
  mapping: z.looseObject({ id, target: id }),
  user: z.looseObject({ id, username: z.string(), full_name: z.string(), locked: z.boolean() }),
  group: z.looseObject({ id, gid: id, name: z.string() }),
  privilege: z.looseObject({ id, name: z.string(), roles: z.array(z.string()), local_groups: z.array(z.looseObject({ gid: id })) }),
  key: z.looseObject({ id, name: z.string(), username: z.string().nullish(), revoked: z.boolean(), expires_at: time }),
  subsystem: z.looseObject({ id, name: z.string(), subnqn: z.string().nullish() }),
  host: z.looseObject({ id, hostnqn: z.string() }),
  port: z.looseObject({ id, addr_trtype: z.string(), addr_traddr: z.string() }),
  hostLink: z.looseObject({ id, host: named, subsys: named }),
  portLink: z.looseObject({ id, port: named, subsys: named }),
  namespace: z.looseObject({ id, subsys: named }),
} as const;

/** All rows of a collection that match. */
export function all<T>(method: string, row: z.ZodType<T>, filters: readonly unknown[] = [], options: object = {}): RequestFor<T[]> {
  return () => read(method, [filters, options], `look at ${method.replace(/\.query$/, '')}`, z.array(row));
}

/** One answer that is no list. */
export function one<T>(method: string, answer: z.ZodType<T>, params: readonly unknown[] = []): RequestFor<T> {
  return () => read(method, params, `look at ${method}`, answer);
}

/** A change; `what` for messages and progress. */
export function make<T>(method: string, params: readonly unknown[], what: string, answer: z.ZodType<T>): RequestFor<T> {
  return () => change(method, params, what, answer);
}

/** Starts or stops a service: a job from 25.10 on (truenas-api 8). */
export function control(verb: 'START' | 'STOP', service: string): RequestFor<unknown> {
  const what = `${verb.toLowerCase()} the service ${service}`;
  return (release) =>
    release === '25.04'
      ? change(`service.${verb.toLowerCase()}`, [service, { silent: false }], what, z.unknown())
      : change('service.control', [verb, service, { silent: false }], what, z.unknown(), { job: true });
}
