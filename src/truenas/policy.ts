import { ExponentialBackoff, type IBackoff, noJitterGenerator } from 'cockatiel';
import { deadlineAfter } from '../core/deadline.ts';
import { asStorageError, NotSentError, OutcomeUnknownError, type StorageError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { callOn } from './call.ts';
import { isNotAuthenticated } from './error-map.ts';
import type { Established } from './establish.ts';
import { finishJob, prepareForJobs } from './jobs.ts';
import type { Session } from './session.ts';
import type { ApiRequest, RequestFor } from './wire/request.ts';

/** truenas-api 5: creating and deleting can take minutes. */
const SLOW_MS = 300_000;

export interface PolicyOptions {
  readonly session: Session;
  readonly clock: Clock;
  /** ms for a call that is not documented as slow */
  readonly timeoutMs: number;
  /** How often a read is repeated, 0..10. */
  readonly retryMax: number;
  /** ms before the first repetition; doubles */
  readonly retryDelayMs: number;
}

/** What may be done about a call that failed: depends on the kind of call, never on who makes it. */
export class CallPolicy {
  readonly #options: PolicyOptions;

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  /**
   * Makes a call within the deadline. Reads are repeated while TrueNAS cannot be asked; changes are sent at most once (F-056).
   * One exception, for both: when TrueNAS answers that the session is not logged in (207), the call was not looked at, since
   * authentication is checked before anything else (truenas-api 2.2); it is made once more after a new login (F-002).
   * Errors: reads NotSentError or RefusedError, changes OutcomeUnknownError too.
   */
  async run<T>(build: RequestFor<T>, deadline: Deadline): Promise<T> {
    const { session, retryMax, retryDelayMs } = this.#options;
    let relogin = true;
    let backoff: IBackoff<unknown> | null = null;
    for (let tries = 0; ; ) {
      const established = await session.acquire(deadline);
      const request = build(established.release);
      try {
        return await this.#once(established, request, deadline);
      } catch (thrown) {
        const error = asStorageError(thrown);
        if (isNotAuthenticated(error)) {
          session.expired(established);
          if (!relogin) throw new NotSentError('CALL_NOT_SENT', `${request.what}: TrueNAS ends every session at once`, { cause: error });
          relogin = false;
          continue;
        }
        const unsent = error instanceof NotSentError && error.code === 'CALL_NOT_SENT';
        const lost = request.effect === 'read' && error instanceof OutcomeUnknownError;
        if (!unsent && !lost) throw error;
        if (tries >= retryMax || deadline.signal.aborted) throw lost ? unanswered(request, error, deadline) : error;
        tries += 1;
        backoff = backoff === null ? delays(retryDelayMs).next() : backoff.next(undefined);
        if (backoff.duration >= deadline.remaining()) throw lost ? unanswered(request, error, deadline) : error;
        await this.#pause(backoff.duration, request, error, deadline);
      }
    }
  }

  async #once<T>(established: Established, request: ApiRequest<T>, deadline: Deadline): Promise<T> {
    const { clock, timeoutMs } = this.#options;
    const { connection, release } = established;
    const limit = Math.min(deadline.remaining(), request.slow ? Math.max(SLOW_MS, timeoutMs) : timeoutMs);
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
      throw unanswered(request, error, deadline);
    }
  }
}

function delays(initialDelay: number): ExponentialBackoff<unknown> {
  return new ExponentialBackoff({ initialDelay, maxDelay: 60_000, generator: noJitterGenerator });
}

/** A read that stays without an answer changed nothing, so for the caller it was never sent (law 2). */
function unanswered(request: ApiRequest<unknown>, error: StorageError, deadline: Deadline): NotSentError {
  const cause = error.cause instanceof Error ? error.cause.message : error.message;
  const code = deadline.signal.aborted ? 'DEADLINE' : 'ARRAY_UNREACHABLE';
  return new NotSentError(code, `${request.what}: TrueNAS did not answer (${cause})`, { cause: error });
}
