import { deadlineAfter, stepsOf } from '../core/deadline.ts';
import { asStorageError, StorageError } from '../core/errors.ts';
import type { Clock, Log } from '../core/ports.ts';
import type { LoginTicket } from './array-gate.ts';
import { type ArrayConfig, apiKeyHash } from './array-key.ts';
import { type Established, establish } from './establish.ts';
import { authority } from './tls.ts';
import type { Vitals } from './vitals.ts';

export interface AttemptOptions {
  readonly config: ArrayConfig;
  readonly apiKey: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
  readonly vitals: Vitals;
  /** Aborts what is under way. */
  readonly signal: AbortSignal;
  onNotification(method: string, params: unknown): void;
  /** A session that was opened is of no use any more. */
  onLost(established: Established, reason: StorageError): void;
}

/** Reads the key and its hash. Errors: SECRET_MISSING. */
export async function readKey(read: () => Promise<string>): Promise<{ apiKey: string; hash: string }> {
  const apiKey = (await read()).trim();
  if (apiKey === '') throw new StorageError('SECRET_MISSING', 'the API key is empty');
  return { apiKey, hash: apiKeyHash(apiKey) };
}

/** Opens sessions, one attempt at a time, and knows at which step it is. */
export class Attempts {
  readonly #options: AttemptOptions;
  #current: AbortSignal | null = null;
  #logins = 0;

  constructor(options: AttemptOptions) {
    this.#options = options;
  }

  /** Attempts that got as far as a login. */
  get logins(): number {
    return this.#logins;
  }

  /** `the TLS handshake with nas:443 (1.2 s)`; empty when no attempt is under way. */
  get steps(): readonly string[] {
    return this.#current === null ? [] : stepsOf(this.#current);
  }

  /** One attempt, bounded so that callers with the usual deadline hear its cause and not just their own timeout (F-049). */
  async open(apiKey: string, ticket: LoginTicket): Promise<Established> {
    const { config, clock, log, vitals } = this.#options;
    const deadline = deadlineAfter(clock, config.apiTimeoutMs * 0.8, `connect to ${authority(config)}`, this.#options.signal);
    this.#current = deadline.signal;
    let failed: StorageError | null = null;
    try {
      const whole: { session: Established | null } = { session: null };
      const events = {
        onNotification: (method: string, params: unknown) => this.#options.onNotification(method, params),
        onClosed: (reason: StorageError) => {
          if (whole.session !== null) this.#options.onLost(whole.session, reason);
        },
      };
      const onLoginCall = (): void => {
        if (!ticket.used) this.#logins += 1;
        ticket.spend();
      };
      const established = await establish({ config, apiKey, clock, log, vitals, events, onLoginCall }, deadline);
      whole.session = established;
      const { closedBecause } = established.connection;
      if (closedBecause !== null) throw closedBecause;
      return established;
    } catch (error) {
      failed = asStorageError(error);
      throw failed;
    } finally {
      deadline.release();
      if (ticket.used) vitals.login(failed?.code ?? 'ok');
      ticket.end(failed);
      if (this.#current === deadline.signal) this.#current = null;
    }
  }
}
