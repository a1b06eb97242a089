import type { Clock } from '../../src/core/ports.ts';
import { CallError, FinishedQuery, PythonError, type CallContext, type SimMethod, type SimRelease } from '../api/contract.ts';
import { FULL_ADMIN } from '../auth/roles.ts';
import { EXEMPT_METHODS, type RateLimit } from '../auth/rate-limit.ts';
import type { Sessions } from '../auth/sessions.ts';
import type { Fault } from '../faults/fault-model.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { checkPathServes } from './api-versions.ts';
import { authorize } from './authorize.ts';
import { bindContext } from './call-context.ts';
import type { Caller } from './caller.ts';
import type { Job, JobQueue } from './job-queue.ts';
import type { MethodTable } from './method-table.ts';
import { parsePositional } from './positional-params.ts';
import { errnoName, RPC, ScriptedError, wireError } from './python-error.ts';
import { isRow, type Row } from './query/python-values.ts';
import { parseQuery, queryNames } from './query/query-params.ts';
import { runQuery } from './query/run-query.ts';
import { redactParams, redactResult } from './redact.ts';
import type { Fate, WireLog } from './wire-log.ts';

export type Outcome =
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'error'; readonly error: unknown }
  /** JSON-RPC -32601; the other dialects word it their own way. */
  | { readonly kind: 'unknown-method' }
  /** This text is sent in the place of a message. */
  | { readonly kind: 'raw'; readonly text: string }
  /** Nothing is ever answered. */
  | { readonly kind: 'silence' }
  /** The connection is closed. */
  | { readonly kind: 'cut' };

export interface DispatcherParts {
  readonly release: SimRelease;
  readonly clock: Clock;
  readonly table: MethodTable;
  readonly sessions: Sessions;
  readonly rateLimit: RateLimit;
  readonly jobs: JobQueue;
  readonly faults: FaultPlan;
  readonly wireLog: WireLog | null;
  /** Refused and failed logins take 1 to 10 s as on TrueNAS. */
  readonly delays: boolean;
  readonly stop: AbortSignal;
  setPoolFull(full: boolean): void;
  /** 25.04: methods without a model name their parameters the older way. */
  isLegacyMethod(name: string): boolean;
}

/** Runs calls in TrueNAS's order: exists, authentication, authorisation, model, method (truenas-api 2.2); faults come first. */
export class Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #calls = new Map<string, number>();

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
  }

  /** Calls per method since the last reset: budgets of API calls are counted here. */
  calls(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#calls].sort(([a], [b]) => a.localeCompare(b)));
  }

  resetCalls(): void {
    this.#calls.clear();
  }

  /** One call from outside. Never rejects. */
  async call(caller: Caller, name: string, params: readonly unknown[], messageId: unknown): Promise<Outcome> {
    const { faults, sessions, clock } = this.#parts;
    const signal = this.#signal(caller);
    if (signal.aborted) return { kind: 'silence' };
    this.#calls.set(name, (this.#calls.get(name) ?? 0) + 1);
    const struck = faults.take(name);
    const has = (kind: Fault['fault']): boolean => struck.some((fault) => fault.fault === kind);
    if (has('session-expired')) sessions.logout(caller);
    const record = (outcome: Outcome, fate?: Fate, job?: number): void => this.#record(name, params, messageId, outcome, fate, job);

    for (const fault of struck) {
      if (fault.fault === 'latency' && !(await slept(clock, fault.ms, signal))) return { kind: 'silence' };
    }
    if (has('mute')) return { kind: 'silence' };
    if (has('cut-before')) return { kind: 'cut' };
    const refused = struck.find((fault) => fault.fault === 'error');
    if (refused !== undefined) {
      const outcome: Outcome = { kind: 'error', error: scripted(refused) };
      record(outcome);
      return outcome;
    }

    const replaced = replacement(struck);
    if (replaced !== null && !replaced.done) return replaced.outcome;
    if (has('pool-full')) this.#parts.setPoolFull(true);
    const slow = struck.reduce((sum, fault) => sum + (fault.fault === 'slow-job' ? fault.ms : 0), 0);
    const fate = has('cut-after') ? 'cut' : has('drop-answer') ? 'silence' : replaced === null ? undefined : 'replaced';
    let outcome: Outcome;
    let job: Job | null = null;
    try {
      const method = this.#parts.table.get(name);
      if (method === undefined) outcome = this.#unknown(caller, name);
      else {
        const done = await this.invoke(caller, method, params, messageId, slow);
        job = done.job;
        outcome = { kind: 'result', result: done.result };
      }
    } catch (error) {
      outcome = { kind: 'error', error };
    } finally {
      if (has('pool-full') && !faults.poolFullStands()) this.#parts.setPoolFull(false);
    }
    if (job === null) record(outcome, fate);
    else void this.#recordJob(job, record, fate);
    if (fate === 'cut' || fate === 'silence') return { kind: fate };
    return replaced === null ? outcome : replaced.outcome;
  }

  /** The same without faults and log: what core.bulk runs inside. */
  async invoke(
    caller: Caller,
    method: SimMethod,
    params: readonly unknown[],
    messageId: unknown,
    slow = 0,
  ): Promise<{ readonly result: unknown; readonly job: Job | null }> {
    const { release, jobs } = this.#parts;
    checkPathServes(release, caller.apiVersion, method.name);
    if (caller.credentials === null && method.access(release) === 'no-auth') await this.#limit(caller, method.name);
    authorize(method, release, caller.credentials);
    if (method.job !== true) return { result: await this.#run(caller, method, params, null), job: null };

    const args = this.#parse(method, params);
    const job = jobs.start({
      method: method.name,
      args: params,
      messageId,
      credentials: caller.credentials,
      description: null,
      run: async (running) => {
        if (slow > 0) await this.#parts.clock.sleep(slow, AbortSignal.any([running.abort.signal, this.#parts.stop]));
        return method.run(args, this.#context(caller, running));
      },
    });
    const legacy = caller.legacyJobs || release === '25.04' || caller.transport !== 'rpc';
    return { result: legacy ? job.id : await jobs.outcome(job), job };
  }

  async #run(caller: Caller, method: SimMethod, params: readonly unknown[], job: Job | null): Promise<unknown> {
    const { release } = this.#parts;
    const context = this.#context(caller, job);
    if (method.query !== true) return method.run(this.#parse(method, params), context);
    const { filters, options } = parseQuery(params, release, queryNames(this.#parts.isLegacyMethod(method.name)));
    const rows = await method.run([filters, options], context);
    if (rows instanceof FinishedQuery) return rows.value;
    if (!Array.isArray(rows)) throw new PythonError('TypeError', `${method.name} gave no rows`);
    return runQuery(
      rows.filter((row): row is Row => isRow(row)),
      filters,
      options,
    );
  }

  #parse(method: SimMethod, params: readonly unknown[]): readonly unknown[] {
    return parsePositional(params, method.params(this.#parts.release));
  }

  #context(caller: Caller, job: Job | null): CallContext {
    const { release, jobs } = this.#parts;
    const context: CallContext = {
      release,
      username: caller.credentials?.user.username ?? null,
      // A job goes on without its caller.
      signal: job === null ? this.#signal(caller) : AbortSignal.any([this.#parts.stop, job.abort.signal]),
      hasRole: (...roles) => {
        const own = caller.credentials?.roles;
        return own !== undefined && (own.has(FULL_ADMIN) || roles.some((role) => own.has(role)));
      },
      progress: (percent, description) => {
        if (job !== null) jobs.progress(job, percent, description);
      },
    };
    return bindContext(context, caller, job);
  }

  /** 25.x lets the calls of a dead connection finish, 26.0 cancels them (truenas-api 2). */
  #signal(caller: Caller): AbortSignal {
    const { release, stop } = this.#parts;
    return release === '26.0' ? AbortSignal.any([stop, caller.abort.signal]) : stop;
  }

  #unknown(caller: Caller, name: string): Outcome {
    if (!this.#parts.table.isNotModelled(name)) return { kind: 'unknown-method' };
    const error =
      caller.credentials === null
        ? new CallError('Not authenticated', 'ENOTAUTHENTICATED')
        : new CallError(`not modelled by pve-truenas-sim: ${name}`, 'EOPNOTSUPP');
    return { kind: 'error', error };
  }

  async #limit(caller: Caller, name: string): Promise<void> {
    const { rateLimit, clock, delays, stop } = this.#parts;
    if (caller.transport === 'rest' || EXEMPT_METHODS.has(name) || !rateLimit.exceeded(name, caller.origin.address)) return;
    if (delays) await clock.sleep(1000 + Math.random() * 9000, stop);
    throw new CallError('Rate Limit Exceeded', 'EBUSY');
  }

  #record(
    method: string,
    params: readonly unknown[],
    id: unknown,
    outcome: Outcome,
    fate: Fate | undefined,
    job: number | undefined,
  ): void {
    const log = this.#parts.wireLog;
    if (log === null || outcome.kind === 'silence' || outcome.kind === 'cut' || outcome.kind === 'raw') return;
    const answer =
      outcome.kind === 'result'
        ? { result: redactResult(method, outcome.result) ?? null }
        : outcome.kind === 'error'
          ? { error: wireError(outcome.error, this.#parts.release) }
          : { error: { code: RPC.methodNotFound, message: 'Method does not exist' } };
    log.write({
      version: this.#parts.release,
      method,
      params: redactParams(method, params),
      ...answer,
      time: new Date(this.#parts.clock.now()).toISOString(),
      ...(id === undefined ? {} : { id }),
      ...(job === undefined ? {} : { job }),
      ...(fate === undefined ? {} : { fate }),
    });
  }

  /** A job is logged when it is finished: the published `result` of a job method is the finished job's. */
  async #recordJob(job: Job, record: (outcome: Outcome, fate?: Fate, job?: number) => void, fate: Fate | undefined): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = { kind: 'result', result: await this.#parts.jobs.outcome(job) };
    } catch (error) {
      outcome = { kind: 'error', error };
    }
    record(outcome, fate, job.id);
  }
}

/** False when the simulator stopped, or the caller of a 26.0 went, meanwhile. */
async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch {
    return false;
  }
}

/** What is answered in the place of the truth, if a fault says so. */
function replacement(struck: readonly Fault[]): { readonly outcome: Outcome; readonly done: boolean } | null {
  for (const fault of struck) {
    if (fault.fault === 'answer') return { outcome: { kind: 'result', result: fault.result }, done: fault.done };
    if (fault.fault === 'raw') return { outcome: { kind: 'raw', text: fault.text.repeat(fault.repeat) }, done: fault.done };
  }
  return null;
}

function scripted(fault: Extract<Fault, { fault: 'error' }>): ScriptedError {
  const message = fault.code === RPC.invalidParams ? 'Invalid params' : fault.code === RPC.callError ? 'Method call error' : fault.reason;
  const withData = fault.code === RPC.invalidParams || fault.code === RPC.callError || fault.code === RPC.internalError;
  if (!withData) return new ScriptedError({ code: fault.code, message });
  return new ScriptedError({
    code: fault.code,
    message,
    data: { error: fault.errno, errname: errnoName(fault.errno), reason: fault.reason, trace: null, extra: fault.extra ?? null },
  });
}
