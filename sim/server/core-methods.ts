import * as z from 'zod';
import { CallError, ERRNO, validationError, ValidationErrors, type Access, type SimMethod, type SimRelease } from '../api/contract.ts';
import { authorize, maySubscribe } from './authorize.ts';
import { callerOf, jobOf } from './call-context.ts';
import type { Caller } from './caller.ts';
import type { EventHub } from './event-hub.ts';
import { mayRead, type Job, type JobQueue } from './job-queue.ts';
import type { MethodTable } from './method-table.ts';
import { describeException } from './python-error.ts';

export interface CoreParts {
  readonly release: SimRelease;
  readonly events: EventHub;
  readonly jobs: JobQueue;
  /** The finished table; asked when a call runs. */
  table(): MethodTable;
  /** Runs one call inside core.bulk, without faults and log. */
  invoke(caller: Caller, method: SimMethod, params: readonly unknown[]): Promise<{ result: unknown; job: Job | null }>;
}

const anyLogin = (): Access => 'any-login';
const noAuth = (): Access => 'no-auth';
const text = z.string().max(1024);

const bulkArgs = z.tuple([z.string(), z.array(z.array(z.unknown())), z.string().nullable()]);
const idArg = z.tuple([z.int()]);
const nameArg = z.tuple([z.string()]);
const optionsModel = z.looseObject({
  legacy_jobs: z.boolean().optional(),
  private_methods: z.boolean().optional(),
  py_exceptions: z.boolean().optional(),
});
const optionsArg = z.tuple([optionsModel]);

/** `core.*`: ping, options, subscriptions, jobs, bulk and the list of methods (truenas-api 5, 6). */
export function coreMethods(parts: CoreParts): readonly SimMethod[] {
  return [...connectionMethods(parts), ...jobMethods(parts), ...listMethods(parts)];
}

function connectionMethods(parts: CoreParts): readonly SimMethod[] {
  const { release, events } = parts;
  return [
    {
      name: 'core.ping',
      // 25.04's ping needs a login (truenas-api 3.3).
      access: (on) => (on === '25.04' ? 'any-login' : 'no-auth'),
      params: () => [],
      run: () => 'pong',
    },
    {
      name: 'core.set_options',
      access: noAuth,
      params: () => [{ name: 'options', schema: optionsModel }],
      run: (args, context) => {
        const [options] = optionsArg.parse(args);
        const caller = callerOf(context);
        if (options.py_exceptions !== undefined) caller.pyExceptions = options.py_exceptions;
        // 25.04 knows py_exceptions only, ignores the rest and answers null (truenas-api 5).
        if (release === '25.04') return null;
        if (options.legacy_jobs !== undefined) caller.legacyJobs = options.legacy_jobs;
        if (options.private_methods !== undefined) caller.privateMethods = options.private_methods;
        return { legacy_jobs: caller.legacyJobs, private_methods: caller.privateMethods, py_exceptions: caller.pyExceptions };
      },
    },
    {
      name: 'core.subscribe',
      access: anyLogin,
      params: () => [{ name: 'event', schema: text }],
      run: (args, context) => {
        const [name] = nameArg.parse(args);
        const caller = callerOf(context);
        const collection = name.split(':', 1)[0] ?? name;
        if (!maySubscribe(collection, caller.credentials, release, parts.table().get(collection))) {
          throw new CallError('Not authorized', 'EACCES');
        }
        if (collection === 'reporting.realtime') throw new CallError(`not modelled by pve-truenas-sim: ${name}`, 'EOPNOTSUPP');
        return events.subscribe(caller, name);
      },
    },
    {
      name: 'core.unsubscribe',
      access: anyLogin,
      params: () => [{ name: 'id_', schema: text }],
      run: (args, context) => {
        events.unsubscribe(callerOf(context), nameArg.parse(args)[0]);
        return null;
      },
    },
  ];
}

function visibleJob(parts: CoreParts, caller: Caller, id: number): Job {
  const job = parts.jobs.job(id);
  if (job === undefined) throw new ValidationErrors([[null, `Job ${id} does not exist`, ERRNO.ENOENT]]);
  if (caller.credentials !== null && !mayRead(job, caller.credentials)) throw new CallError(`Job ${id} is not yours`, 'EPERM');
  return job;
}

function jobMethods(parts: CoreParts): readonly SimMethod[] {
  const { jobs } = parts;
  return [
    {
      name: 'core.get_jobs',
      access: anyLogin,
      query: true,
      params: () => [],
      run: ([, options], context) => {
        const raw = z.object({ extra: z.object({ raw_result: z.boolean().optional() }) }).safeParse(options);
        const showRaw = raw.success && raw.data.extra.raw_result === true;
        return jobs.visible(callerOf(context).credentials).map((job) => jobs.entry(job, showRaw));
      },
    },
    {
      name: 'core.job_wait',
      access: anyLogin,
      // With legacy_jobs it answers the id of yet another job (truenas-api 5).
      job: true,
      params: () => [{ name: 'id', schema: z.int() }],
      run: (args, context) => jobs.outcome(visibleJob(parts, callerOf(context), idArg.parse(args)[0])),
    },
    {
      name: 'core.job_abort',
      access: anyLogin,
      params: () => [{ name: 'id', schema: z.int() }],
      run: (args, context) => {
        visibleJob(parts, callerOf(context), idArg.parse(args)[0]).abort.abort();
        return null;
      },
    },
    {
      name: 'core.bulk',
      access: anyLogin,
      job: true,
      params: () => [
        { name: 'method', schema: z.string() },
        { name: 'params', schema: z.array(z.array(z.unknown())) },
        { name: 'description', schema: z.string().nullable(), fallback: null },
      ],
      run: async (args, context) => {
        const [name, calls] = bulkArgs.parse(args);
        const caller = callerOf(context);
        const method = parts.table().get(name);
        if (method === undefined) throw validationError('method', `Method '${name}' not found`, 'ENOENT');
        try {
          authorize(method, parts.release, caller.credentials);
        } catch {
          throw new CallError('Not authorized', 'EPERM');
        }
        const results: { job_id: number | null; error: string | null; result: unknown }[] = [];
        for (const [index, call] of calls.entries()) {
          if (jobOf(context).abort.signal.aborted) break;
          context.progress((100 * index) / calls.length, '');
          results.push(await bulkItem(parts, caller, method, call));
        }
        return results;
      },
    },
  ];
}

async function bulkItem(
  parts: CoreParts,
  caller: Caller,
  method: SimMethod,
  call: readonly unknown[],
): Promise<{ job_id: number | null; error: string | null; result: unknown }> {
  try {
    const { result, job } = await parts.invoke(caller, method, call);
    if (job === null) return { job_id: null, error: null, result };
    return { job_id: job.id, error: null, result: await parts.jobs.outcome(job) };
  } catch (error) {
    return { job_id: null, error: describeException(error).reason, result: null };
  }
}

function listMethods(parts: CoreParts): readonly SimMethod[] {
  const target = { name: 'target', schema: z.enum(['WS', 'CLI', 'REST']), fallback: 'WS' };
  // 25.04 serves both before login, later releases to any user.
  const access = (release: SimRelease): Access => (release === '25.04' ? 'no-auth' : 'any-login');
  const split = (name: string): string => name.slice(0, name.lastIndexOf('.'));
  return [
    {
      name: 'core.get_methods',
      access,
      params: () => [{ name: 'service', schema: z.string().nullable(), fallback: null }, target],
      run: ([service]) =>
        Object.fromEntries(
          parts
            .table()
            .all()
            .filter((method) => typeof service !== 'string' || split(method.name) === service)
            .map((method) => [method.name, methodEntry(method, parts.release)]),
        ),
    },
    {
      name: 'core.get_services',
      access,
      params: () => [target],
      run: () =>
        Object.fromEntries(
          [
            ...new Set(
              parts
                .table()
                .all()
                .map((method) => split(method.name)),
            ),
          ].map((name) => [
            name,
            { type: parts.table().get(`${name}.query`) === undefined ? 'service' : 'crud', config: {}, cli_description: null },
          ]),
        ),
    },
  ];
}

function methodEntry(method: SimMethod, release: SimRelease): Record<string, unknown> {
  const access = method.access(release);
  return {
    job: method.job === true,
    filterable: method.query === true,
    roles: typeof access === 'object' ? access.roles : [],
    description: 'modelled by pve-truenas-sim',
    accepts: method.params(release).map((param) => ({ title: param.name, _required_: param.fallback === undefined })),
  };
}
