import type { Release } from '../core/array-port.ts';
import { deadlineAfter, withDeadline } from '../core/deadline.ts';
import { asStorageError, NotSentError, OutcomeUnknownError, type StorageError } from '../core/errors.ts';
import { NO_METER } from '../core/metrics.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { callOn } from './call.ts';
import { callLimitMs } from './call-limits.ts';
import { Connection } from './connection.ts';
import { finishJob, prepareForJobs } from './jobs.ts';
import { login, loginWithPassword } from './login.ts';
import { openSocket } from './socket.ts';
import { assertEncrypted, authority, type Endpoint } from './tls.ts';
import { discoverApi } from './versions.ts';
import { Vitals } from './vitals.ts';
import type { RequestFor } from './wire/request.ts';
import { systemVersion } from './wire/session.ts';

/** A login that is used once and kept nowhere. */
export type AdminCredential =
  | { readonly username: string; readonly password: string }
  | { readonly username: string; readonly apiKey: string };

interface AdminOptions {
  readonly endpoint: Endpoint;
  readonly credential: AdminCredential;
  readonly clock: Clock;
}

interface Open {
  readonly connection: Connection;
  readonly release: Release;
}

/** ms for connection and login */
const OPEN_MS = 30_000;
/** ms for one call, but for those that call-limits.ts gives more */
const CALL_MS = 30_000;

/**
 * A session of an administrator for as long as a set-up takes. Unlike Session it is nobody's second caller, does not keep itself
 * alive and hears no events; a connection that was lost is opened anew at the next call.
 */
export class AdminSession {
  readonly #options: AdminOptions;
  #open: Open;
  readonly version: string;

  private constructor(options: AdminOptions, open: Open, version: string) {
    this.#options = options;
    this.#open = open;
    this.version = version;
  }

  /** Connects and logs in, once. Errors: those of connectTls, discoverApi, openSocket and the logins. */
  static async open(options: AdminOptions, signal: AbortSignal): Promise<AdminSession> {
    const open = await connect(options, signal);
    const work = (deadline: Deadline): Promise<string> => callOn(open.connection, systemVersion(), deadline);
    try {
      const version = await withDeadline(options.clock, CALL_MS, 'reading the version of TrueNAS', work, signal);
      return new AdminSession(options, open, version);
    } catch (error) {
      open.connection.abort(asStorageError(error));
      throw error;
    }
  }

  get release(): Release {
    return this.#open.release;
  }

  /**
   * One call. A read whose answer got lost is made once more over a new connection, a change never is (law 2).
   * Errors: NotSentError, RefusedError, OutcomeUnknownError.
   */
  async call<T>(build: RequestFor<T>, signal: AbortSignal): Promise<T> {
    try {
      return await this.#once(build, signal);
    } catch (error) {
      const lost = error instanceof OutcomeUnknownError || (error instanceof NotSentError && error.code === 'CALL_NOT_SENT');
      if (!lost || build(this.release).effect === 'change' || signal.aborted) throw error;
      return await this.#once(build, signal);
    }
  }

  close(reason: StorageError): void {
    this.#open.connection.abort(reason);
  }

  async #once<T>(build: RequestFor<T>, signal: AbortSignal): Promise<T> {
    if (this.#open.connection.closedBecause !== null) this.#open = await connect(this.#options, signal);
    const { connection, release } = this.#open;
    const { clock } = this.#options;
    const request = build(release);
    const deadline = deadlineAfter(clock, callLimitMs(request.method, CALL_MS), request.what, signal);
    try {
      if (!request.job) return await callOn(connection, request, deadline);
      await prepareForJobs(connection, release, deadline);
      return await finishJob({ connection, release, request, clock, deadline });
    } finally {
      deadline.release();
    }
  }
}

/** Never repeats a failed login: every attempt counts against the server's limit (truenas-api 3.3). */
function connect({ endpoint, credential, clock }: AdminOptions, signal: AbortSignal): Promise<Open> {
  assertEncrypted(endpoint);
  const work = async (deadline: Deadline): Promise<Open> => {
    const api = await discoverApi(endpoint, clock.now(), deadline);
    const vitals = new Vitals(clock, NO_METER, authority(endpoint));
    const connection = new Connection(clock, { onNotification: () => undefined, onClosed: () => undefined }, vitals);
    connection.attach(await openSocket(endpoint, api.path, connection, clock, deadline));
    const common = { connection, deadline, onCall: () => undefined };
    try {
      if ('apiKey' in credential) await login({ ...common, credential, release: api.release });
      else await loginWithPassword({ ...common, ...credential });
    } catch (error) {
      // An open socket keeps the program from ending.
      connection.abort(asStorageError(error));
      throw error;
    }
    connection.markLoggedIn();
    return { connection, release: api.release };
  };
  return withDeadline(clock, OPEN_MS, `the login to ${authority(endpoint)}`, work, signal);
}
