import type { ArrayConnection, Release } from '../core/array-port.ts';
import { deadlineAfter } from '../core/deadline.ts';
import { formatDuration } from '../core/durations.ts';
import { asStorageError, NotSentError, StorageError } from '../core/errors.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { type ArrayGate, heldBack, type Limit, type LoginTicket } from './array-gate.ts';
import type { ArrayConfig } from './array-key.ts';
import { Attempts, readKey } from './attempt.ts';
import { Changes } from './changes.ts';
import type { Connection } from './connection.ts';
import { Downtime } from './downtime.ts';
import { type Established, isFinal } from './establish.ts';
import { prove } from './proof.ts';
import { keepAwayMs } from './rate-limits.ts';
import { ReconnectDelay } from './reconnect-delay.ts';
import { Renewal } from './renewal.ts';
import { authority } from './tls.ts';
import { Upkeep } from './upkeep.ts';
import type { Vitals } from './vitals.ts';

/**
 * Of an array that is down (F-013): whoever has less than `patient` ms is told so at once, everybody else waits for an attempt
 * that begins within `soon` ms and for its outcome, but no longer than `patient` ms.
 */
const NEWS = { soon: 5_000, patient: 10_000 };
/** Retired connections finish what runs on them, but no longer than the slowest call may take. */
const DRAIN_MS = 300_000;

type State = ArrayConnection['state'];

export interface SessionOptions {
  readonly config: ArrayConfig;
  readonly apiKey: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
  readonly gate: ArrayGate;
  readonly vitals: Vitals;
  onNotification(method: string, params: unknown): void;
  /** A new session stands; events may have been missed. */
  onReconnected(): void;
}

/** One login per array and credential, kept alive, renewed, never looping on a wrong key (design law 9). */
export class Session {
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #at: string;
  readonly #delay: ReconnectDelay;
  readonly #upkeep: Upkeep;
  readonly #attempts: Attempts;
  readonly #renewal: Renewal;
  readonly #downtime: Downtime;
  readonly #changes = new Changes();
  readonly #closing = new AbortController();
  readonly #retired = new Set<Connection>();
  #state: State = 'idle';
  #since: number;
  #error: StorageError | null = null;
  #current: Established | null = null;
  /** Monotonic ms; the same since the epoch for those who ask. */
  #ready = { since: 0, epoch: 0 };
  #retryAt = 0;
  #cancelRetry: () => void = () => undefined;
  #refusedKey: string | null = null;
  #last: { release: Release; version: string } | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#at = authority(options.config);
    this.#since = options.clock.now();
    this.#delay = new ReconnectDelay(() => options.config.apiRetryDelayMs);
    this.#attempts = new Attempts({
      ...options,
      signal: this.#closing.signal,
      onLost: (established, reason) => this.#lost(established, reason),
    });
    this.#renewal = new Renewal({
      ...options,
      attempts: this.#attempts,
      signal: this.#closing.signal,
      current: () => this.#current,
      enter: (fresh, seamless) => this.#enter(fresh, seamless),
    });
    this.#downtime = new Downtime(options.clock);
    this.#upkeep = new Upkeep({
      clock: options.clock,
      maxAgeMs: () => options.config.connectionMaxAgeMs,
      answeredAt: () => Math.max(options.vitals.answeredAt, this.#ready.since),
      prove: () => this.#prove(),
      renew: () => this.#renew(),
    });
  }

  status(): ArrayConnection {
    const { vitals, gate } = this.#options;
    const limit = this.#current === null ? this.#loginLimit() : gate.onCalls();
    return {
      state: this.#state,
      since: this.#since,
      error: this.#state === 'ready' ? null : this.#error,
      release: this.#last?.release ?? null,
      version: this.#last?.version ?? null,
      logins: this.#attempts.logins,
      latencyMs: vitals.latencyMs,
      heardAt: vitals.heardAt,
      recentRetries: vitals.recentRetries,
      limited: limit === null ? null : { until: limit.until, reason: limit.reason },
      step: this.#state === 'connecting' ? (this.#attempts.steps[0] ?? null) : null,
      sessionSince: this.#current === null ? null : this.#ready.epoch,
      renewalError: this.#renewal.error,
      inFlight: (this.#current?.connection.inFlight ?? 0) + [...this.#retired].reduce((sum, each) => sum + each.inFlight, 0),
    };
  }

  /**
   * The session to make a call on; connects when there is none. Whoever has the time waits for the first attempt, through a short
   * loss, and until a login window of the array is over; when the array is down, or that takes longer than the deadline, it fails
   * with the reason. Errors: NotSentError of any connection error, AUTH_RATE_LIMITED, RATE_LIMITED, SHUTTING_DOWN.
   */
  async acquire(deadline: Deadline): Promise<Established> {
    const came = this.#clock.monotonic();
    const failuresBefore = this.#downtime.failures;
    let counted = false;
    for (;;) {
      if (this.#state === 'closed') throw new NotSentError('SHUTTING_DOWN', 'the connection to TrueNAS is closed');
      if (this.#current !== null) return this.#current;
      if (this.#state === 'refused' && !(await this.#keyChanged())) throw this.#failure();
      this.#downtime.wanted();
      if (this.#state === 'idle' || this.#state === 'refused') this.#connect();
      const limit = this.#loginLimit();
      if (limit !== null) {
        if (!counted) this.#options.vitals.heldBack(limit.code);
        counted = true;
        if (limit.until - this.#clock.now() >= deadline.remaining()) throw heldBack(limit, this.#what(), this.#clock.now());
      } else if (this.#downtime.isDown && this.#noNews(deadline, this.#downtime.failures > failuresBefore)) throw this.#failure();
      await this.#untilChange(deadline, came);
    }
  }

  /** TrueNAS says that this session is not logged in: let it go and log in anew. */
  expired(established: Established): void {
    if (this.#current !== established) return;
    this.#letGo('expired');
    this.#retire(established.connection);
    // A server that forgets sessions at once must not be flooded with logins.
    if (this.#downtime.stoodLong) {
      this.#delay.reset();
      this.#connect();
    } else this.#waitAndRetry(new StorageError('CALL_NOT_SENT', 'the session on TrueNAS has ended'));
  }

  /** Settings or key were changed: whatever stopped the session, try again at the next call. */
  credentialChanged(): void {
    this.#refusedKey = null;
    if (this.#state === 'refused') this.#setState('idle', null);
  }

  /** Logs in anew, before the session that stands is let go; where none stands, at the next call. */
  renew(): void {
    this.credentialChanged();
    if (this.#current !== null && !this.#renewal.underWay) void this.#renew();
  }

  /** The settings are others: the age of the session that stands is measured anew. */
  tuned(): void {
    if (this.#current !== null) this.#upkeep.start(this.#ready.since);
  }

  /** Ends the session for good; calls under way end with an unknown outcome. */
  close(): void {
    if (this.#state === 'closed') return;
    const reason = new StorageError('SHUTTING_DOWN', 'the connection to TrueNAS is closed');
    this.#cancelRetry();
    this.#upkeep.stop();
    const current = this.#current;
    this.#current = null;
    this.#setState('closed', reason);
    this.#closing.abort(reason);
    current?.connection.abort(reason);
    for (const connection of [...this.#retired]) connection.abort(reason);
  }

  /** Starts an attempt, which everybody waits for. The outcome is in the state. */
  #connect(): void {
    this.#cancelRetry();
    // A renewal under way is the fastest way to a new session; when it fails, `#retry` goes on.
    if (this.#renewal.underWay) {
      this.#retryAt = this.#clock.monotonic();
      this.#setState('waiting', this.#error);
      return;
    }
    const ticket = this.#options.gate.takeLogin();
    if (ticket === null) {
      this.#waitAndRetry(this.#error);
      return;
    }
    this.#setState('connecting', this.#error);
    void this.#tryToConnect(ticket);
  }

  async #tryToConnect(ticket: LoginTicket): Promise<void> {
    let keyHash: string | null = null;
    try {
      const { apiKey, hash } = await readKey(this.#options.apiKey);
      keyHash = hash;
      this.#enter(await this.#attempts.open(apiKey, ticket), false);
    } catch (thrown) {
      const error = asStorageError(thrown);
      ticket.end(error);
      if (this.#closing.signal.aborted) return;
      this.#options.log.warn('no session with TrueNAS', { code: error.code, reason: error.message });
      // What the array limits ends by itself; whoever has the time waits for that.
      if (keepAwayMs(error) === null) this.#downtime.failed();
      if (isFinal(error)) {
        this.#refusedKey = keyHash;
        this.#setState('refused', error);
      } else this.#waitAndRetry(error);
    }
  }

  /** `seamless`: the one before heard all events until now. */
  #enter(established: Established, seamless: boolean): void {
    if (this.#closing.signal.aborted) {
      established.connection.abort(new StorageError('SHUTTING_DOWN', 'the connection to TrueNAS is closed'));
      return;
    }
    const { release, version, username } = established;
    const before = this.#current;
    const lostBecause = this.#downtime.over();
    if (lostBecause !== null) this.#options.vitals.reconnected(before === null ? lostBecause : 'max-age');
    this.#cancelRetry();
    this.#current = established;
    if (before !== null) this.#retire(before.connection);
    this.#last = { release, version };
    this.#ready = { since: this.#clock.monotonic(), epoch: this.#clock.now() };
    this.#refusedKey = null;
    this.#renewal.forget();
    this.#setState('ready', null);
    this.#options.log.info(before === null ? 'logged in to TrueNAS' : 'renewed the session with TrueNAS', { version, release, username });
    this.#upkeep.start(this.#ready.since);
    if (!seamless) this.#options.onReconnected();
  }

  #lost(established: Established, reason: StorageError): void {
    this.#retired.delete(established.connection);
    if (this.#current !== established) return;
    this.#letGo(reason.code);
    this.#options.log.warn('the session with TrueNAS is lost', { code: reason.code, reason: reason.message });
    if (this.#downtime.stoodLong) this.#delay.reset();
    this.#options.gate.refusedLogin(reason, this.#clock.monotonic());
    this.#waitAndRetry(reason);
  }

  #letGo(reason: string): void {
    this.#current = null;
    this.#downtime.lost(reason);
    this.#upkeep.stop();
  }

  #waitAndRetry(error: StorageError | null): void {
    const limit = this.#options.gate.onLogins();
    const held = limit === null ? 0 : limit.until - this.#clock.now();
    const wait = Math.max(held, error === null ? 0 : this.#delay.next(error));
    this.#retryAt = this.#clock.monotonic() + wait;
    this.#cancelRetry();
    this.#cancelRetry = this.#clock.after(wait, () => this.#retry());
    this.#setState('waiting', error ?? (limit === null ? null : heldBack(limit, this.#what(), this.#clock.now())));
  }

  #retry(): void {
    if (this.#state !== 'waiting' || this.#renewal.underWay) return;
    if (this.#downtime.isMissed) this.#connect();
    else this.#setState('idle', this.#error);
  }

  async #renew(): Promise<boolean | number> {
    const outcome = await this.#renewal.run();
    // The session may have been lost meanwhile, and nobody else has tried to get another one.
    if (this.#retryAt <= this.#clock.monotonic()) this.#retry();
    return outcome;
  }

  async #prove(): Promise<void> {
    const session = this.#current;
    if (session === null) return;
    const { apiTimeoutMs } = this.#options.config;
    const proof = await prove(session, this.#clock, apiTimeoutMs, this.#closing.signal);
    if (proof === 'expired') this.expired(session);
    if (proof !== 'silent' || this.#current !== session) return;
    this.#letGo('ARRAY_UNREACHABLE');
    this.#retire(session.connection);
    const silent = `TrueNAS left the question for its version unanswered for ${formatDuration(apiTimeoutMs)}`;
    this.#waitAndRetry(new StorageError('ARRAY_UNREACHABLE', silent, { causes: ['the middleware of TrueNAS hangs'] }));
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
      return (await readKey(this.#options.apiKey)).hash !== this.#refusedKey;
    } catch {
      return false;
    }
  }

  /** True for a caller who has no time for the next attempt, or has seen one fail. */
  #noNews(deadline: Deadline, sawFailure: boolean): boolean {
    const wait = this.#state === 'waiting' ? this.#retryAt - this.#clock.monotonic() : 0;
    return sawFailure || deadline.remaining() < NEWS.patient || wait > NEWS.soon;
  }

  /** What holds the next login back, while no attempt is under way. */
  #loginLimit(): Limit | null {
    return this.#state === 'waiting' ? this.#options.gate.onLogins() : null;
  }

  async #untilChange(deadline: Deadline, came: number): Promise<void> {
    const down = this.#downtime.isDown && this.#loginLimit() === null;
    const bounded = deadlineAfter(this.#clock, down ? NEWS.patient : deadline.remaining(), `connecting to ${this.#at}`, deadline.signal);
    const changed = await this.#changes.next(bounded.signal);
    bounded.release();
    if (changed) return;
    if (!deadline.signal.aborted) throw this.#failure();
    const waited = formatDuration(this.#clock.monotonic() - came);
    const { steps } = this.#attempts;
    const where = steps.length === 0 ? '' : `, still at ${steps.join(', ')}`;
    const known = this.#error === null ? '' : `; last failure: ${this.#error.message}`;
    throw new NotSentError('ARRAY_UNREACHABLE', `not connected to ${this.#at} within ${waited}${where}${known}`, {
      cause: deadline.signal.reason,
    });
  }

  #what(): string {
    return `not logged in to ${this.#at}`;
  }

  /** Why there is no session, as a call that was not sent. */
  #failure(): NotSentError {
    const error = this.#error ?? new StorageError('ARRAY_UNREACHABLE', `not connected to ${this.#at}`);
    const { causes, hints, facts } = error;
    return new NotSentError(error.code, error.message, { causes, hints, facts, cause: error });
  }

  #setState(state: State, error: StorageError | null): void {
    if (this.#state !== state) this.#since = this.#clock.now();
    this.#state = state;
    this.#error = error;
    this.#changes.tell();
  }
}
