import { ExponentialBackoff, type IBackoff, noJitterGenerator } from 'cockatiel';
import { deadlineAfter } from '../core/deadline.ts';
import { asStorageError, NotSentError, OutcomeUnknownError, StorageError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { type ArrayGate, heldBack } from './array-gate.ts';
import type { Tuning } from './array-key.ts';
import { callOn } from './call.ts';
import { callLimitMs } from './call-limits.ts';
import { isNotAuthenticated } from './error-map.ts';
import type { Established } from './establish.ts';
import { finishJob, prepareForJobs } from './jobs.ts';
import type { Session } from './session.ts';
import type { Vitals } from './vitals.ts';
import type { ApiRequest, RequestFor } from './wire/request.ts';

export interface PolicyOptions {
  readonly session: Session;
  readonly gate: ArrayGate;
  readonly vitals: Vitals;
  readonly clock: Clock;
  /** Read at each call: how long it may take (call-limits.ts gives some more), how often a read is repeated, after which delay. */
  readonly tuning: Readonly<Tuning>;
}

/** ms before a call is made again that came while TrueNAS had too many of them to do. */
const CROWDED = { first: 100, longest: 2_000 };

/** What may be done about a call that failed: depends on the kind of call, never on who makes it. */
export class CallPolicy {
  readonly #options: PolicyOptions;

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  /**
   * Makes a call within the deadline. Reads are repeated while TrueNAS cannot be asked; changes are sent at most once (F-056).
   * Exceptions, for both, are refusals that say that the call was not looked at: the session is not logged in (207), since
   * authentication is checked before anything else (truenas-api 2.2); then it is made once more after a new login (F-002). There
   * were too many calls or requests; then it is made again when the array has room.
   * Errors: reads NotSentError or RefusedError, changes OutcomeUnknownError too.
   */
  async run<T>(build: RequestFor<T>, deadline: Deadline): Promise<T> {
    const { session, vitals, clock } = this.#options;
    let relogin = true;
    const retries = new Retries(this.#options.tuning);
    for (;;) {
      const established = await session.acquire(deadline);
      const request = build(established.release);
      await this.#untilLetThrough(request, deadline);
      const asked = clock.monotonic();
      try {
        return await this.#once(established, request, deadline);
      } catch (thrown) {
        const error = asStorageError(thrown);
        if (isNotAuthenticated(error)) {
          session.expired(established);
          if (!relogin) throw endsAtOnce(request, error);
          relogin = false;
          vitals.retried('AUTH_FAILED');
          continue;
        }
        if (error.code === 'RATE_LIMITED') {
          // Refused for the number of calls, before it was looked at; all calls wait for the same end.
          this.#options.gate.refusedCall(error, asked);
          vitals.retried(error.code);
          continue;
        }
        const pause = retries.pauseAfter(request, error, deadline);
        if (pause === null) throw isLostRead(request, error) ? unanswered(request, error, deadline) : error;
        vitals.retried(retryReason(error));
        await this.#pause(pause, request, error, deadline);
      }
    }
  }

  /** Waits while the array takes no calls. Errors: RATE_LIMITED when that takes longer than the deadline. */
  async #untilLetThrough(request: ApiRequest<unknown>, deadline: Deadline): Promise<void> {
    const { gate, clock, vitals } = this.#options;
    for (let limit = gate.onCalls(), first = true; limit !== null; limit = gate.onCalls(), first = false) {
      const left = limit.until - clock.now();
      if (first) vitals.heldBack(limit.code);
      if (left >= deadline.remaining()) throw heldBack(limit, request.what, clock.now());
      await this.#pause(left, request, heldBack(limit, request.what, clock.now()), deadline);
    }
  }

  async #once<T>(established: Established, request: ApiRequest<T>, deadline: Deadline): Promise<T> {
    const { clock, tuning } = this.#options;
    const { connection, release } = established;
    const limit = Math.min(deadline.remaining(), callLimitMs(request.method, tuning.apiTimeoutMs));
    const bounded = deadlineAfter(clock, limit, request.what, deadline.signal);
    try {
      if (!request.job) return await callOn(connection, request, bounded);
      await prepareForJobs(connection, release, bounded);
      return await finishJob({ connection, release, request, clock, deadline: bounded });
    } finally {
      bounded.release();
    }
  }

  async #pause(ms: number, request: ApiRequest<unknown>, error: StorageError, deadline: Deadline): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, deadline.signal);
    } catch {
      throw error instanceof NotSentError ? error : unanswered(request, error, deadline);
    }
  }
}

/** How often one call is made again, and after which pauses. */
class Retries {
  readonly #tuning: Readonly<Tuning>;
  #tries = 0;
  #backoff: IBackoff<unknown> | null = null;
  #crowded: number = CROWDED.first;

  constructor(tuning: Readonly<Tuning>) {
    this.#tuning = tuning;
  }

  /** ms after which the call may be made again, or null when it may not. */
  pauseAfter(request: ApiRequest<unknown>, error: StorageError, deadline: Deadline): number | null {
    if (deadline.signal.aborted) return null;
    const pause = this.#pause(request, error);
    return pause === null || pause >= deadline.remaining() ? null : pause;
  }

  #pause(request: ApiRequest<unknown>, error: StorageError): number | null {
    if (!(error instanceof NotSentError) && !isLostRead(request, error)) return null;
    if (error.code === 'TOO_MANY_CALLS') {
      const pause = this.#crowded * (0.5 + Math.random());
      this.#crowded = Math.min(this.#crowded * 2, CROWDED.longest);
      return pause;
    }
    const again = error.code === 'CALL_NOT_SENT' || isLostRead(request, error);
    if (!again || this.#tries >= this.#tuning.apiRetryMax) return null;
    this.#tries += 1;
    this.#backoff = this.#backoff === null ? delays(this.#tuning.apiRetryDelayMs).next() : this.#backoff.next(undefined);
    return this.#backoff.duration;
  }
}

function isLostRead(request: ApiRequest<unknown>, error: StorageError): boolean {
  return request.effect === 'read' && error instanceof OutcomeUnknownError;
}

/** What made a call fail, for the metrics: why it got no answer rather than that it got none. */
function retryReason(error: StorageError): string {
  return error instanceof OutcomeUnknownError && error.cause instanceof StorageError ? error.cause.code : error.code;
}

function endsAtOnce(request: ApiRequest<unknown>, cause: StorageError): NotSentError {
  return new NotSentError('CALL_NOT_SENT', `${request.what}: TrueNAS ends every session at once`, { cause });
}

function delays(initialDelay: number): ExponentialBackoff<unknown> {
  return new ExponentialBackoff({ initialDelay, maxDelay: 60_000, generator: noJitterGenerator });
}

/** A read that stays without an answer changed nothing, so for the caller it was never sent (law 2). */
function unanswered(request: ApiRequest<unknown>, error: StorageError, deadline: Deadline): NotSentError {
  const code = deadline.signal.aborted ? 'DEADLINE' : 'ARRAY_UNREACHABLE';
  return new NotSentError(code, error.message, {
    causes: UNANSWERED,
    facts: { method: request.method },
    cause: error,
  });
}

const UNANSWERED = ['TrueNAS is busy or slow', 'the connection was lost while the call ran', 'api_timeout is too short for this TrueNAS'];
