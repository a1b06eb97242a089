import { ExponentialBackoff, type IBackoff, decorrelatedJitterGenerator } from 'cockatiel';
import type { ErrorCode } from '../core/error-catalogue.ts';
import type { StorageError } from '../core/errors.ts';

const LONGEST_MS = 30_000;
/** TrueNAS counts logins per minute and address (truenas-api 3.3, F-001); the window must have passed, and nodes must not come back together. */
const RATE_LIMIT = { window: 60_000, spread: 15_000 };
/** What only an update of TrueNAS or of the settings cures is looked at once a minute. */
const HOPELESS_MS = 60_000;
const HOPELESS: readonly ErrorCode[] = ['RELEASE_UNSUPPORTED', 'TLS_UNTRUSTED', 'CONFIG_INVALID', 'NOT_AUTHORIZED'];

/** How long to wait before the next attempt to connect, in ms: decorrelated jitter up to 30 s. */
export class ReconnectDelay {
  readonly #factory: ExponentialBackoff<unknown>;
  #backoff: IBackoff<unknown> | null = null;

  /** `first`: ms of the first delay, as `api_retry_delay`. */
  constructor(first: number) {
    this.#factory = new ExponentialBackoff({
      initialDelay: Math.min(first, LONGEST_MS),
      maxDelay: LONGEST_MS,
      generator: decorrelatedJitterGenerator,
    });
  }

  next(error: StorageError): number {
    this.#backoff = this.#backoff === null ? this.#factory.next() : this.#backoff.next(undefined);
    const wait = this.#backoff.duration;
    if (error.code === 'AUTH_RATE_LIMITED') return RATE_LIMIT.window + 1000 + Math.random() * RATE_LIMIT.spread;
    return HOPELESS.includes(error.code) ? Math.max(wait, HOPELESS_MS) : wait;
  }

  /** A session stood long enough: the next loss starts with the short delay again. */
  reset(): void {
    this.#backoff = null;
  }
}
