import type { Release } from '../core/array-port.ts';
import { NotSentError, OutcomeUnknownError, RefusedError, StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { callOn } from './call.ts';
import type { Connection } from './connection.ts';
import { isInvalidParams, isMethodMissing, isRateLimited } from './error-map.ts';
import { scramExchange, scramUsername, splitApiKey } from './scram.ts';
import { type LoginAnswer, loginByKeyAlone, loginPlain, loginScram, whoAmI } from './wire/session.ts';

export interface Credential {
  /** Owner of the key, or null where the storage does not name one. */
  readonly username: string | null;
  readonly apiKey: string;
}

/**
 * Logs the connection in; returns the user's name. Never repeats a failed attempt: every attempt counts against the server's
 * limit of 20 a minute (truenas-api 3.3).
 * Errors: AUTH_FAILED (wrong, revoked or expired key), NOT_AUTHORIZED, AUTH_RATE_LIMITED, ARRAY_UNREACHABLE, ARRAY_PROTOCOL.
 */
export async function login(connection: Connection, credential: Credential, release: Release, deadline: Deadline): Promise<string> {
  try {
    if (credential.username === null) return await loginWithKeyAlone(connection, credential.apiKey, deadline);
    return await loginAs(connection, credential.username, credential.apiKey, release, deadline);
  } catch (error) {
    throw trueCause(error);
  }
}

async function loginAs(connection: Connection, username: string, apiKey: string, release: Release, deadline: Deadline): Promise<string> {
  const key = splitApiKey(apiKey);
  if (release === '26.0' && key !== null && scramUsername(username)) {
    try {
      return await loginWithScram(connection, username, key, deadline);
    } catch (error) {
      // A server that does not know the mechanism says so before it looks at the key; a refused key never comes this way.
      if (!isInvalidParams(error)) throw error;
    }
  }
  try {
    const answer = await callOn(connection, loginPlain(username, apiKey), deadline);
    return accepted(answer, username);
  } catch (error) {
    if (!isMethodMissing(error)) throw error;
    return await loginWithKeyAlone(connection, apiKey, deadline);
  }
}

async function loginWithScram(
  connection: Connection,
  username: string,
  key: { id: string; secret: string },
  deadline: Deadline,
): Promise<string> {
  const exchange = scramExchange(username, key);
  const first = await callOn(connection, loginScram('CLIENT_FIRST_MESSAGE', exchange.first), deadline);
  if (first.response_type !== 'SCRAM_RESPONSE') return accepted(first, username);
  const final = await callOn(connection, loginScram('CLIENT_FINAL_MESSAGE', await exchange.final(first.rfc_str)), deadline);
  if (final.response_type !== 'SCRAM_RESPONSE') return accepted(final, username);
  exchange.verify(final.rfc_str);
  return final.user_info?.pw_name ?? username;
}

async function loginWithKeyAlone(connection: Connection, apiKey: string, deadline: Deadline): Promise<string> {
  if (!(await callOn(connection, loginByKeyAlone(apiKey), deadline))) throw authFailed('TrueNAS does not accept the API key');
  return await callOn(connection, whoAmI(), deadline);
}

/** The user's name out of a positive answer; every other answer as its error. */
function accepted(answer: LoginAnswer, username: string): string {
  switch (answer.response_type) {
    case 'SUCCESS':
      return answer.user_info?.pw_name ?? username;
    case 'AUTH_ERR':
      throw authFailed(`TrueNAS does not accept the API key for the user ${username}`);
    case 'EXPIRED':
      throw authFailed(`the API key of the user ${username} has expired or was revoked`);
    case 'OTP_REQUIRED':
      throw authFailed(`TrueNAS wants a one-time password for the user ${username}: it did not take the key for an API key`);
    case 'DENIED':
      throw new StorageError('NOT_AUTHORIZED', `the user ${username} may not use the API of TrueNAS`, {
        hints: ['TrueNAS: Credentials > Groups > Privileges: give a group of the user a privilege with API access'],
      });
    case 'REDIRECT':
      throw new StorageError('ARRAY_UNREACHABLE', 'the standby controller of a TrueNAS pair answered', {
        hints: ['set api_host to the virtual address of the pair'],
        facts: { urls: answer.urls },
      });
    case 'SCRAM_RESPONSE':
      throw new StorageError('ARRAY_PROTOCOL', 'TrueNAS answered a plain login with a SCRAM challenge');
  }
}

function authFailed(message: string, cause?: unknown): StorageError {
  return new StorageError('AUTH_FAILED', message, cause === undefined ? {} : { cause });
}

/** F-048: a login that was not answered, or not looked at for lack of patience, says nothing about the key. */
function trueCause(error: unknown): unknown {
  if (isRateLimited(error)) {
    return new StorageError('AUTH_RATE_LIMITED', 'TrueNAS takes no more logins from this address for now', { cause: error });
  }
  if (error instanceof OutcomeUnknownError || (error instanceof NotSentError && error.code !== 'ARRAY_PROTOCOL')) {
    const why = error.cause instanceof Error ? ` (${error.cause.message})` : '';
    return new StorageError('ARRAY_UNREACHABLE', `TrueNAS did not answer the login${why}`, { cause: error });
  }
  if (error instanceof RefusedError) {
    return authFailed(`TrueNAS refuses the login: ${error.message}`, error);
  }
  return error;
}
