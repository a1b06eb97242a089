import { ExponentialBackoff, type IBackoff, decorrelatedJitterGenerator } from 'cockatiel';
import type { ErrorCode } from '../core/error-catalogue.ts';
import type { StorageError } from '../core/errors.ts';

/** ms: an array that comes back is noticed within 15 s, the time of the connecting included. */
const LONGEST_MS = 8_000;
/** What only somebody's hand at TrueNAS or at the settings cures is not asked for at the short delays. */
const HOPELESS: readonly ErrorCode[] = ['RELEASE_UNSUPPORTED', 'TLS_UNTRUSTED', 'CONFIG_INVALID'];
/** ms: found out by logging in, which TrueNAS counts. */
const NOT_LET_IN_MS = 60_000;

/** How long to wait before the next attempt to connect, in ms: decorrelated jitter up to 8 s. What the array limits is array-gate.ts's. */
export class ReconnectDelay {
  readonly #first: () => number;
  #backoff: IBackoff<unknown> | null = null;

  /** `first`: ms of the first delay of a series, as `api_retry_delay`. */
  constructor(first: () => number) {
    this.#first = first;
  }

  next(error: StorageError): number {
    this.#backoff = this.#backoff === null ? this.#series() : this.#backoff.next(undefined);
    if (error.code === 'NOT_AUTHORIZED') return NOT_LET_IN_MS;
    return HOPELESS.includes(error.code) ? LONGEST_MS : this.#backoff.duration;
  }

  #series(): IBackoff<unknown> {
    const initialDelay = Math.min(this.#first(), LONGEST_MS);
    return new ExponentialBackoff({ initialDelay, maxDelay: LONGEST_MS, generator: decorrelatedJitterGenerator }).next();
  }

  /** A session stood long enough: the next loss starts with the short delay again. */
  reset(): void {
    this.#backoff = null;
  }
}
