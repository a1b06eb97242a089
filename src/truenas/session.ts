import type { ArrayConnection, Release } from '../core/array-port.ts';
import { asStorageError, NotSentError, StorageError } from '../core/errors.ts';
import { deadlineAfter } from '../core/deadline.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { type ArrayConfig, apiKeyHash } from './array-key.ts';
import type { Connection } from './connection.ts';
import { type Established, establish, isFinal } from './establish.ts';
import { ReconnectDelay } from './reconnect-delay.ts';
import { authority } from './tls.ts';

/** TrueNAS ends sessions 30 days after the login (truenas-api 3.2, F-002); ours are replaced well before. */
const RENEW_AFTER_MS = 28 * 86_400_000;
const RENEWAL_CHECK_MS = 3_600_000;
/** A call waits for the next attempt when it comes this soon; else it fails at once (F-013). */
const PATIENCE_MS = 5_000;
/** Retired connections finish what runs on them, but no longer than the slowest call may take. */
const DRAIN_MS = 300_000;

type State = ArrayConnection['state'];

export interface SessionOptions {
  readonly config: ArrayConfig;
  readonly apiKey: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
  onNotification(method: string, params: unknown): void;
  /** A new session stands; events may have been missed. */
  onReconnected(): void;
}

/** One login per array and credential, kept alive, renewed, never looping on a wrong key (design law 9). */
export class Session {
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #delay: ReconnectDelay;
  readonly #closing = new AbortController();
  readonly #retired = new Set<Connection>();
  #state: State = 'idle';
  #since: number;
  #error: StorageError | null = null;
  #current: Established | null = null;
  #readySince = 0;
  #attempt: Promise<void> | null = null;
  #retryAt = 0;
  #cancelRetry: () => void = () => undefined;
  #cancelRenewal: () => void = () => undefined;
  #stoodBefore = false;
  #refusedKey: string | null = null;
  #logins = 0;
  #last: { release: Release; version: string } | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#since = options.clock.now();
    this.#delay = new ReconnectDelay(options.config.apiRetryDelayMs);
  }

  status(): ArrayConnection {
    return {
      state: this.#state,
      since: this.#since,
      error: this.#state === 'ready' ? null : this.#error,
      release: this.#last?.release ?? null,
      version: this.#last?.version ?? null,
      logins: this.#logins,
      latencyMs: null,
      heardAt: 0,
      recentRetries: 0,
      limited: null,
      inFlight: (this.#current?.connection.inFlight ?? 0) + [...this.#retired].reduce((sum, each) => sum + each.inFlight, 0),
    };
  }

  /**
   * The session to make a call on; connects when there is none. Waits through attempts that are due soon when a session stood
   * before, so that a short loss of the connection costs time and nothing else; fails with the cause of the last failure otherwise.
   * Errors: NotSentError of any connection error, of the deadline, SHUTTING_DOWN.
   */
  async acquire(deadline: Deadline): Promise<Established> {
    for (;;) {
      if (this.#state === 'closed') throw new NotSentError('SHUTTING_DOWN', 'the connection to TrueNAS is closed');
      if (this.#current !== null) return this.#current;
      if (this.#state === 'refused' && !(await this.#keyChanged())) throw this.#failure();
      const wait = this.#attempt === null && this.#state === 'waiting' ? this.#retryAt - this.#clock.monotonic() : 0;
      if (wait > PATIENCE_MS) throw this.#failure();
      if (wait > 0) {
        await this.#until(this.#clock.sleep(wait, deadline.signal), deadline);
        continue;
      }
      await this.#until(this.#attempt ?? this.#connect(), deadline);
      if (!this.#stoodBefore && !this.#isReady()) throw this.#failure();
    }
  }

  /** TrueNAS says that this session is not logged in: let it go and log in anew. */
  expired(established: Established): void {
    if (this.#current !== established) return;
    this.#current = null;
    this.#retire(established.connection);
    const error = new StorageError('CALL_NOT_SENT', 'the session on TrueNAS has ended');
    this.#cancelRenewal();
    // A server that forgets sessions at once must not be flooded with logins.
    if (this.#stoodLong()) {
      this.#delay.reset();
      void this.#connect();
    } else this.#waitAndRetry(error);
  }

  /** Settings or key were changed: whatever stopped the session, try again at the next call. */
  credentialChanged(): void {
    if (this.#state === 'refused') this.#setState('idle', null);
    this.#refusedKey = null;
  }

  /** Ends the session for good; calls under way end with an unknown outcome. */
  close(): void {
    if (this.#state === 'closed') return;
    const reason = new StorageError('SHUTTING_DOWN', 'the connection to TrueNAS is closed');
    this.#cancelRetry();
    this.#cancelRenewal();
    this.#setState('closed', reason);
    this.#closing.abort(reason);
    const current = this.#current;
    this.#current = null;
    current?.connection.abort(reason);
    for (const connection of [...this.#retired]) connection.abort(reason);
  }

  /** Starts an attempt and makes it the one that everybody waits for. Never rejects: the outcome is in the state. */
  #connect(): Promise<void> {
    this.#cancelRetry();
    this.#setState('connecting', this.#error);
    const attempt = this.#tryToConnect().finally(() => {
      this.#attempt = null;
    });
    this.#attempt = attempt;
    return attempt;
  }

  async #tryToConnect(): Promise<void> {
    let keyHash: string | null = null;
    try {
      const apiKey = await this.#readKey();
      keyHash = apiKeyHash(apiKey);
      this.#enter(await this.#open(apiKey));
    } catch (thrown) {
      const error = asStorageError(thrown);
      if (this.#closing.signal.aborted) return;
      this.#options.log.warn('no session with TrueNAS', { code: error.code, reason: error.message });
      if (isFinal(error)) {
        this.#refusedKey = keyHash;
        this.#setState('refused', error);
      } else this.#waitAndRetry(error);
    }
  }

  async #readKey(): Promise<string> {
    const apiKey = (await this.#options.apiKey()).trim();
    if (apiKey === '') throw new StorageError('SECRET_MISSING', 'the API key is empty');
    return apiKey;
  }

  /** One attempt, bounded so that callers with the usual deadline hear its cause and not just their own timeout (F-049). */
  async #open(apiKey: string): Promise<Established> {
    const { config, clock, log } = this.#options;
    const deadline = deadlineAfter(clock, config.apiTimeoutMs * 0.8, `connect to ${authority(config)}`, this.#closing.signal);
    try {
      const whole: { session: Established | null } = { session: null };
      const events = {
        onNotification: (method: string, params: unknown) => this.#options.onNotification(method, params),
        onClosed: (reason: StorageError) => {
          if (whole.session !== null) this.#lost(whole.session, reason);
        },
      };
      const onLogin = (): void => {
        this.#logins += 1;
      };
      const established = await establish({ config, apiKey, clock, log, events, onLogin }, deadline);
      whole.session = established;
      const { closedBecause } = established.connection;
      if (closedBecause !== null) throw closedBecause;
      return established;
    } finally {
      deadline.release();
    }
  }

  #enter(established: Established): void {
    if (this.#closing.signal.aborted) {
      established.connection.abort(new StorageError('SHUTTING_DOWN', 'the connection to TrueNAS is closed'));
      return;
    }
    const { release, version, username } = established;
    if (this.#current !== null) this.#retire(this.#current.connection);
    this.#current = established;
    this.#last = { release, version };
    this.#readySince = this.#clock.monotonic();
    this.#stoodBefore = true;
    this.#refusedKey = null;
    this.#setState('ready', null);
    this.#options.log.info('logged in to TrueNAS', { version, release, username });
    this.#scheduleRenewal();
    this.#options.onReconnected();
  }

  #lost(established: Established, reason: StorageError): void {
    this.#retired.delete(established.connection);
    if (this.#current !== established) return;
    this.#current = null;
    this.#cancelRenewal();
    this.#options.log.warn('the session with TrueNAS is lost', { code: reason.code, reason: reason.message });
    if (this.#stoodLong()) this.#delay.reset();
    this.#waitAndRetry(reason);
  }

  #waitAndRetry(error: StorageError): void {
    const wait = this.#delay.next(error);
    this.#retryAt = this.#clock.monotonic() + wait;
    this.#setState('waiting', error);
    this.#cancelRetry();
    // An array that was never reached is asked when somebody wants something of it; a lost one at once, for its events.
    this.#cancelRetry = this.#clock.after(wait, () => {
      if (this.#state !== 'waiting' || this.#attempt !== null) return;
      if (this.#stoodBefore) void this.#connect();
      else this.#setState('idle', error);
    });
  }

  #stoodLong(): boolean {
    return this.#clock.monotonic() - this.#readySince > 60_000;
  }

  #scheduleRenewal(): void {
    this.#cancelRenewal();
    this.#cancelRenewal = this.#clock.after(RENEWAL_CHECK_MS, () => {
      if (this.#current === null) return;
      this.#scheduleRenewal();
      if (this.#clock.monotonic() - this.#readySince >= RENEW_AFTER_MS) void this.#renew();
    });
  }

  /** The new session is logged in before the old one is let go; when that fails, the old one goes on until the next check. */
  async #renew(): Promise<void> {
    try {
      this.#enter(await this.#open(await this.#readKey()));
    } catch (error) {
      this.#options.log.warn('the session with TrueNAS could not be renewed yet', { reason: asStorageError(error).message });
    }
  }

  #retire(connection: Connection): void {
    this.#retired.add(connection);
    this.#clock.after(DRAIN_MS, () => connection.abort(new StorageError('ARRAY_UNREACHABLE', 'an old session was closed')));
    connection.retire();
  }

  async #keyChanged(): Promise<boolean> {
    const code = this.#error?.code;
    if (code !== 'AUTH_FAILED' && code !== 'SECRET_MISSING') return false;
    try {
      return apiKeyHash(await this.#readKey()) !== this.#refusedKey;
    } catch {
      return false;
    }
  }

  async #until(what: Promise<unknown>, deadline: Deadline): Promise<void> {
    let onAbort = (): void => undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      onAbort = () => {
        const where = `not connected to ${authority(this.#options.config)} in time`;
        const known = this.#error === null ? '' : `; last failure: ${this.#error.message}`;
        reject(new NotSentError('ARRAY_UNREACHABLE', `${where}${known}`, { cause: deadline.signal.reason }));
      };
      deadline.signal.addEventListener('abort', onAbort, { once: true });
      if (deadline.signal.aborted) onAbort();
    });
    try {
      await Promise.race([what.catch(() => undefined), aborted]);
      if (deadline.signal.aborted) await aborted;
    } finally {
      deadline.signal.removeEventListener('abort', onAbort);
    }
  }

  /** Why there is no session, as a call that was not sent. */
  #isReady(): boolean {
    return this.#current !== null;
  }

  #failure(): NotSentError {
    const error = this.#error ?? new StorageError('ARRAY_UNREACHABLE', `not connected to ${authority(this.#options.config)}`);
    return new NotSentError(error.code, error.message, { causes: error.causes, hints: error.hints, facts: error.facts, cause: error });
  }

  #setState(state: State, error: StorageError | null): void {
    if (this.#state !== state) this.#since = this.#clock.now();
    this.#state = state;
    this.#error = error;
  }
}
