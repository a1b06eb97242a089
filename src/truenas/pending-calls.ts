import { formatDuration } from '../core/durations.ts';
import { NotSentError, OutcomeUnknownError, type StorageError } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { refusal } from './error-map.ts';
import type { CallOutcome } from './vitals.ts';
import type { WireError } from './wire/envelope.ts';
import type { ApiRequest } from './wire/request.ts';

interface Pending {
  readonly request: ApiRequest<unknown>;
  resolve(result: unknown, bytes: number): void;
  reject(error: StorageError, outcome: CallOutcome): void;
}

/** Told of every call that ends: after how many ms, with an answer of how many bytes. */
export type OnSettled = (request: ApiRequest<unknown>, outcome: CallOutcome, ms: number, bytes: number) => void;

/**
 * Which answer belongs to which call, by id and nothing else (F-005). Every call ends in one of: its result, RefusedError,
 * NotSentError, OutcomeUnknownError. Calls nobody waits for any more keep their id until the answer comes, which is then
 * dropped (F-047).
 */
export class PendingCalls {
  readonly #clock: Clock;
  readonly #onSettled: OnSettled;
  #nextId = 1;
  readonly #pending = new Map<number, Pending>();
  readonly #abandoned = new Set<number>();

  constructor(clock: Clock, onSettled: OnSettled) {
    this.#clock = clock;
    this.#onSettled = onSettled;
  }

  /** Calls that somebody waits for. */
  get size(): number {
    return this.#pending.size;
  }

  /** Calls that the server may still be working on although nobody waits. */
  get abandoned(): number {
    return this.#abandoned.size;
  }

  /**
   * Sends a call and waits for its answer. `send` gets the frame's id and says whether the frame was handed over; when it was
   * not, the call fails as NotSentError. When `signal` aborts first, the outcome is unknown.
   */
  start(request: ApiRequest<unknown>, signal: AbortSignal, send: (id: number) => boolean): Promise<unknown> {
    const id = this.#nextId++;
    const begun = this.#clock.monotonic();
    const took = (): number => this.#clock.monotonic() - begun;
    return new Promise((resolve, reject) => {
      const done = (outcome: CallOutcome, bytes: number): void => {
        this.#pending.delete(id);
        signal.removeEventListener('abort', onAbort);
        this.#onSettled(request, outcome, took(), bytes);
      };
      const onAbort = (): void => {
        done('unknown', 0);
        this.#abandoned.add(id);
        const message = `${request.what}: TrueNAS did not answer ${request.method} within ${formatDuration(took())}`;
        reject(new OutcomeUnknownError('OUTCOME_UNKNOWN', message, { cause: signal.reason }));
      };
      if (signal.aborted) {
        reject(new NotSentError('CALL_NOT_SENT', `${request.what}: no time was left to send it`, { cause: signal.reason }));
        return;
      }
      this.#pending.set(id, {
        request,
        resolve: (result, bytes) => {
          done('ok', bytes);
          resolve(result);
        },
        reject: (error, outcome) => {
          done(outcome, 0);
          reject(error);
        },
      });
      signal.addEventListener('abort', onAbort, { once: true });
      if (!send(id)) {
        done('unsent', 0);
        const message = `${request.what}: the connection to TrueNAS was lost before it could be sent`;
        reject(new NotSentError('CALL_NOT_SENT', message));
      }
    });
  }

  /** Gives a result to its call; false when no call of this id was ever made. `bytes`: size of the answer. */
  result(id: number | string, result: unknown, bytes: number): boolean {
    return this.#settle(id, (pending) => pending.resolve(result, bytes));
  }

  /** Gives an error answer to its call; false as for `result`. */
  error(id: number | string, error: WireError): boolean {
    return this.#settle(id, (pending) => pending.reject(refusal(pending.request, error), 'refused'));
  }

  #settle(id: number | string, give: (pending: Pending) => void): boolean {
    if (typeof id !== 'number') return false;
    if (this.#abandoned.delete(id)) return true;
    const pending = this.#pending.get(id);
    if (pending === undefined) return false;
    give(pending);
    return true;
  }

  /** The connection is gone: whatever was sent may or may not have happened. */
  connectionLost(reason: StorageError): void {
    this.#abandoned.clear();
    for (const pending of [...this.#pending.values()]) {
      const message = `${pending.request.what}: ${reason.message} before TrueNAS answered`;
      pending.reject(new OutcomeUnknownError('OUTCOME_UNKNOWN', message, { cause: reason }), 'unknown');
    }
  }
}
