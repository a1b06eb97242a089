import type { ErrorCode } from '../core/error-catalogue.ts';
import { describeLimit } from '../core/durations.ts';
import { NotSentError, type StorageError } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { keepAwayMs, WINDOW_MS } from './rate-limits.ts';

/**
 * Calls before login that this process makes within 60 s at most. TrueNAS takes 20 from one address (truenas-api 3.3), successful
 * logins included, and another node, daemon or tool may share that address: half of them are left to it. A login is one call,
 * with SCRAM two.
 */
const ALLOWANCE = 10;
const CALLS_OF_A_LOGIN = 2;
/** Left over by renewals, so that a lost session comes back at once whatever `api_connection_max_age` is. */
const LEFT_BY_RENEWALS = 4;
/** ms: nodes behind one address must not come back together; twice as much after each further refusal. */
const SPREAD = { first: 15_000, most: 60_000 };
const AFTER_WINDOW_MS = 1000;

/** Why callers are held back, and until when (ms since the epoch). */
export interface Limit {
  readonly until: number;
  readonly reason: string;
  readonly code: ErrorCode;
}

/** The right to log in once. */
export interface LoginTicket {
  /** Tell it right before each call of the login. */
  spend(): void;
  /** True when a call was made. */
  readonly used: boolean;
  /** The attempt is over, which only the first call says; what was not spent is given back. `error`: null when it succeeded. */
  end(error: StorageError | null): void;
}

interface Closed {
  /** monotonic ms */
  readonly until: number;
  readonly reason: string;
  readonly code: ErrorCode;
}

const LOGIN_REASON = "waiting for the array's login window";
const BUSY_REASON = 'waiting since TrueNAS, or a proxy before it, takes no more requests';
const OWN_REASON = "waiting so as not to use up the array's login allowance";

/**
 * What all sessions of this process with one array share: how often they log in, and until when the array is left alone after
 * it refused a login or a call for their number. One refusal closes it for everybody (F-001).
 */
export class ArrayGate {
  readonly #clock: Clock;
  readonly #random: () => number;
  /** monotonic ms of the login calls made, or reserved by a ticket, within the last 60 s */
  #spent: { at: number }[] = [];
  #logins: Closed | null = null;
  #calls: Closed | null = null;
  #refusals = 0;

  constructor(clock: Clock, random: () => number = Math.random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** What holds logins back; null when one may be tried now. */
  onLogins(purpose: 'connect' | 'renew' = 'connect'): Limit | null {
    const closed = this.#still(this.#logins);
    const own = this.#ownLimit(ALLOWANCE - (purpose === 'renew' ? LEFT_BY_RENEWALS : 0));
    const later = closed === null || (own !== null && own.until > closed.until) ? own : closed;
    return later === null ? null : this.#shown(later);
  }

  /** What holds calls of sessions that stand back. */
  onCalls(): Limit | null {
    const closed = this.#still(this.#calls);
    return closed === null ? null : this.#shown(closed);
  }

  /** The right to log in, or null while `onLogins` holds logins back. */
  takeLogin(purpose: 'connect' | 'renew' = 'connect'): LoginTicket | null {
    if (this.onLogins(purpose) !== null) return null;
    const begun = this.#clock.monotonic();
    let reserved = Array.from({ length: CALLS_OF_A_LOGIN }, () => ({ at: begun }));
    this.#spent.push(...reserved);
    let askedAt: number | null = null;
    let ended = false;
    return {
      get used() {
        return askedAt !== null;
      },
      spend: () => {
        askedAt = this.#clock.monotonic();
        const one = reserved.shift();
        this.#spent = this.#spent.filter((each) => each !== one);
        this.#spent.push({ at: askedAt });
      },
      end: (error) => {
        const back = reserved;
        reserved = [];
        this.#spent = this.#spent.filter((each) => !back.includes(each));
        if (ended) return;
        ended = true;
        if (error !== null) this.refusedLogin(error, askedAt ?? begun);
        else if (askedAt !== null) this.#refusals = 0;
      },
    };
  }

  /** A call was refused for too many requests: nobody asks until it is over. `askedAt`: monotonic ms. */
  refusedCall(error: StorageError, askedAt: number): void {
    const away = keepAwayMs(error);
    if (away !== null) this.#calls = this.#later(this.#calls, askedAt + away + this.#jitter(), BUSY_REASON, error.code);
  }

  /** A connection was refused or ended for too many requests. `askedAt`: monotonic ms. Any other error changes nothing. */
  refusedLogin(error: StorageError, askedAt: number): void {
    const away = keepAwayMs(error);
    if (away === null) return;
    this.#refusals += 1;
    const reason = error.code === 'AUTH_RATE_LIMITED' ? LOGIN_REASON : BUSY_REASON;
    // The window of the array had begun before it refused, so it is over a window after we asked.
    this.#logins = this.#later(this.#logins, askedAt + away + this.#jitter(), reason, error.code);
  }

  #jitter(): number {
    const spread = Math.min(SPREAD.first * 2 ** Math.max(0, this.#refusals - 1), SPREAD.most);
    return AFTER_WINDOW_MS + this.#random() * spread;
  }

  #later(before: Closed | null, until: number, reason: string, code: ErrorCode): Closed {
    return before !== null && before.until > until ? before : { until, reason, code };
  }

  #still(closed: Closed | null): Closed | null {
    return closed !== null && closed.until > this.#clock.monotonic() ? closed : null;
  }

  /** Until a login, with all its calls, fits into what this process allows itself. */
  #ownLimit(allowance: number): Closed | null {
    const now = this.#clock.monotonic();
    this.#spent = this.#spent.filter((each) => each.at > now - WINDOW_MS);
    const surplus = this.#spent.length + CALLS_OF_A_LOGIN - allowance;
    if (surplus <= 0) return null;
    const times = this.#spent.map((each) => each.at).sort((a, b) => a - b);
    const until = (times[surplus - 1] ?? now) + WINDOW_MS;
    return { until, reason: OWN_REASON, code: 'AUTH_RATE_LIMITED' };
  }

  #shown({ until, reason, code }: Closed): Limit {
    return { until: this.#clock.now() + (until - this.#clock.monotonic()), reason, code };
  }
}

/** What a caller is told that a limit leaves no time for. `what`: what it was to do. */
export function heldBack(limit: Limit, what: string, now: number): NotSentError {
  return new NotSentError(limit.code, `${what}: ${describeLimit(limit, now)}`, {
    facts: { secondsLeft: Math.ceil((limit.until - now) / 1000) },
  });
}
