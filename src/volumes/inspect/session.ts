import type { ArrayConnection } from '../../core/array-port.ts';
import { describeLimit } from '../../core/durations.ts';
import { asStorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import type { InspectContext } from './inspect-context.ts';
import { type Check, failed, ok, warning } from './check.ts';

/** Which setting a failure to connect points at. */
const BLAME: Readonly<Record<string, string>> = {
  ARRAY_UNREACHABLE: 'api_host',
  ARRAY_PROTOCOL: 'api_port',
  TLS_UNTRUSTED: 'fingerprint',
  CONFIG_INVALID: 'truenas-ca',
  INSECURE_TRANSPORT: 'api_scheme',
  AUTH_FAILED: 'api_key',
  AUTH_RATE_LIMITED: 'api_key',
  SECRET_MISSING: 'api_key',
  NOT_AUTHORIZED: 'api_key',
  RELEASE_UNSUPPORTED: 'api_host',
};

/** The session, proven by an authenticated call that is made now (F-002, F-053). */
export async function inspectSession(context: InspectContext, deadline: Deadline): Promise<Check> {
  const { array, config, clock } = context;
  const at = `${config.apiHost}:${config.apiPort}`;
  try {
    const { version } = await array.ready(deadline);
    const sent = clock.monotonic();
    await array.ping(deadline);
    const took = Math.round(clock.monotonic() - sent);
    const connection = array.connection();
    const message = `logged in to ${version} at ${at}, answers within ${took} ms, ${logins(connection)}`;
    const { renewalError } = connection;
    if (renewalError !== null) {
      const why = `${message}; it could not be renewed and goes on until TrueNAS ends it: ${renewalError.message}`;
      return { ...failed('connection', renewalError, BLAME[renewalError.code]), state: 'warning', message: why };
    }
    const limit = limitText(connection, clock.now());
    if (limit === null) return ok('connection', message);
    return warning('connection', `${message}; ${limit}`, { cure: 'wait; fewer programs that log in to TrueNAS from this address' });
  } catch (thrown) {
    const error = asStorageError(thrown);
    const connection = array.connection();
    // A caller's deadline says nothing; what the session waits for does.
    const why = error.code === 'DEADLINE' ? (connection.error ?? error) : error;
    const limit = limitText(connection, clock.now());
    const check = failed('connection', why, BLAME[why.code]);
    return limit === null ? check : { ...check, message: `${check.message}; ${limit}` };
  }
}

function logins({ logins: count, since, sessionSince, inFlight }: ArrayConnection): string {
  const time = new Date(sessionSince ?? since).toISOString().replace(/\.\d+Z$/, 'Z');
  return `session since ${time}, ${count} login${count === 1 ? '' : 's'}, ${inFlight} call${inFlight === 1 ? '' : 's'} under way`;
}

/** "waiting for the array's login window, 41 s left"; null when nothing is held back. `now`: ms since the epoch. */
export function limitText({ limited }: ArrayConnection, now: number): string | null {
  if (limited === null || limited.until <= now) return null;
  return describeLimit(limited, now);
}
