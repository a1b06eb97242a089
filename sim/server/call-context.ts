import type { CallContext } from '../api/contract.ts';
import type { Caller } from './caller.ts';
import type { Job } from './job-queue.ts';

interface Behind {
  readonly caller: Caller;
  readonly job: Job | null;
}

const behind = new WeakMap<CallContext, Behind>();

/** Remembers which connection a context belongs to: models need not know, `auth.*` and `core.*` do. */
export function bindContext(context: CallContext, caller: Caller, job: Job | null): CallContext {
  behind.set(context, { caller, job });
  return context;
}

/** The connection behind a context made by the dispatcher. */
export function callerOf(context: CallContext): Caller {
  return entryOf(context).caller;
}

/** The job that a job method runs as. */
export function jobOf(context: CallContext): Job {
  const { job } = entryOf(context);
  if (job === null) throw new Error('not within a job');
  return job;
}

function entryOf(context: CallContext): Behind {
  const entry = behind.get(context);
  if (entry === undefined) throw new Error('a context that the dispatcher did not make');
  return entry;
}
