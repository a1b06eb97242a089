import type { Release } from '../core/array-port.ts';
import { beginStep } from '../core/deadline.ts';
import { asStorageError, RefusedError, StorageError } from '../core/errors.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import type { ArrayConfig } from './array-key.ts';
import { callOn } from './call.ts';
import { Connection, type ConnectionEvents } from './connection.ts';
import { collections } from './events.ts';
import { freshest } from './freshest.ts';
import { login } from './login.ts';
import { openSocket } from './socket.ts';
import { assertEncrypted, authority } from './tls.ts';
import { type ApiChoice, discoverApi } from './versions.ts';
import type { Vitals } from './vitals.ts';
import { subscribe, systemVersion } from './wire/session.ts';

/** A connection that is logged in and hears events: what calls are made on. */
export interface Established {
  readonly connection: Connection;
  readonly release: Release;
  /** `TrueNAS-25.10.6` */
  readonly version: string;
  readonly username: string;
}

export interface EstablishOptions {
  readonly config: ArrayConfig;
  readonly apiKey: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly vitals: Vitals;
  readonly events: ConnectionEvents;
  /** Told right before each call of the login is sent, so that they can be counted. */
  readonly onLoginCall: () => void;
}

/**
 * From nothing to a session: which API, socket, one login, version, events. Costs one GET and, besides the login, one round trip.
 * Errors: those of connectTls, discoverApi, openSocket and login.
 */
export async function establish(options: EstablishOptions, deadline: Deadline): Promise<Established> {
  const { config, clock, log, apiKey, onLoginCall } = options;
  assertEncrypted(config);
  const { connection, api } = await freshest(
    clock,
    deadline,
    (own) => open(options, own),
    (late) => late.connection.abort(new StorageError('ARRAY_UNREACHABLE', 'another connection was faster')),
  );
  if (api.newer) log.warn('TrueNAS is newer than this plugin knows', { path: api.path, release: api.release });
  const step = beginStep(deadline, `the login to ${authority(config)}`);
  try {
    const credential = { username: config.apiUsername, apiKey };
    const username = await login({ connection, credential, release: api.release, onCall: onLoginCall, deadline });
    connection.markLoggedIn();
    step.next(`reading the version of ${authority(config)} and subscribing to its events`);
    const [version] = await Promise.all([
      callOn(connection, systemVersion(), deadline),
      ...collections(api.release).map((collection) => listen(connection, collection, log, deadline)),
    ]);
    return { connection, release: api.release, version, username };
  } catch (error) {
    const reason = deadline.signal.aborted ? tooLate(step.ranOut(), error) : asStorageError(error);
    connection.abort(reason);
    throw reason;
  } finally {
    step.end();
  }
}

/** Up to the login: costs nothing that TrueNAS counts. */
async function open(options: EstablishOptions, deadline: Deadline): Promise<{ connection: Connection; api: ApiChoice }> {
  const { config, clock, events, vitals } = options;
  const api = await discoverApi(config, clock.now(), deadline);
  const connection = new Connection(clock, events, vitals);
  connection.attach(await openSocket(config, api.path, connection, clock, deadline));
  return { connection, api };
}

/** A login that was not answered says nothing about the key (F-048). */
function tooLate(what: string, cause: unknown): StorageError {
  return new StorageError('ARRAY_UNREACHABLE', what, {
    causes: ['the middleware of TrueNAS is busy or hangs', 'TrueNAS is rebooting', 'api_timeout is too short for the way to TrueNAS'],
    hints: ['pve-truenas health', 'raise api_timeout'],
    cause,
  });
}

/** Events are hints, so a user without the role for one collection still gets a session. */
async function listen(connection: Connection, collection: string, log: Log, deadline: Deadline): Promise<void> {
  try {
    await callOn(connection, subscribe(collection), deadline);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    log.warn('TrueNAS sends no events for a collection', { collection, reason: error.message });
  }
}

/** True for failures that another attempt with the same settings and key cannot cure: the session stops (design law 9). */
export function isFinal(error: StorageError): boolean {
  return error.code === 'AUTH_FAILED' || error.code === 'SECRET_MISSING' || error.code === 'INSECURE_TRANSPORT';
}
