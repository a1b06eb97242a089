import type { Release } from '../core/array-port.ts';
import type { StorageError } from '../core/errors.ts';
import { asStorageError, RefusedError } from '../core/errors.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import type { ArrayConfig } from './array-key.ts';
import { callOn } from './call.ts';
import { Connection, type ConnectionEvents } from './connection.ts';
import { collections } from './events.ts';
import { login } from './login.ts';
import { openSocket } from './socket.ts';
import { assertEncrypted } from './tls.ts';
import { discoverApi } from './versions.ts';
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
  readonly events: ConnectionEvents;
  /** Told right before the login is sent, so that attempts can be counted. */
  onLogin(): void;
}

/**
 * From nothing to a session: which API, socket, one login, version, events. Costs one GET and, besides the login, one round trip.
 * Errors: those of connectTls, discoverApi, openSocket and login.
 */
export async function establish(options: EstablishOptions, deadline: Deadline): Promise<Established> {
  const { config, clock, log } = options;
  assertEncrypted(config);
  const api = await discoverApi(config, deadline);
  if (api.newer) log.warn('TrueNAS is newer than this plugin knows', { path: api.path, release: api.release });
  const connection = new Connection(clock, options.events);
  connection.attach(await openSocket(config, api.path, connection, deadline));
  try {
    options.onLogin();
    const username = await login(connection, { username: config.apiUsername, apiKey: options.apiKey }, api.release, deadline);
    connection.markLoggedIn();
    const [version] = await Promise.all([
      callOn(connection, systemVersion(), deadline),
      ...collections(api.release).map((collection) => listen(connection, collection, log, deadline)),
    ]);
    return { connection, release: api.release, version, username };
  } catch (error) {
    const reason = asStorageError(error);
    connection.abort(reason);
    throw reason;
  }
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
