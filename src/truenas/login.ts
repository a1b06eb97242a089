import type { Release } from '../core/array-port.ts';
import type { ErrorCode } from '../core/error-catalogue.ts';
import { NotSentError, OutcomeUnknownError, RefusedError, StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { callOn } from './call.ts';
import type { Connection } from './connection.ts';
import { isInvalidParams, isMethodMissing } from './error-map.ts';
import { scramExchange, scramUsername, splitApiKey } from './scram.ts';
import type { ApiRequest } from './wire/request.ts';
import { type LoginAnswer, loginByKeyAlone, loginPassword, loginPlain, loginScram, whoAmI } from './wire/session.ts';

export interface Credential {
  /** Owner of the key, or null where the storage does not name one. */
  readonly username: string | null;
  readonly apiKey: string;
}

export interface LoginOptions {
  readonly connection: Connection;
  readonly credential: Credential;
  readonly release: Release;
  readonly deadline: Deadline;
  /** Told right before each call that TrueNAS counts. */
  readonly onCall: () => void;
}

/**
 * Logs the connection in; returns the user's name. Never repeats a failed attempt: every attempt counts against the server's
 * limit of 20 a minute (truenas-api 3.3).
 * Errors: AUTH_FAILED (wrong, revoked or expired key), NOT_AUTHORIZED, AUTH_RATE_LIMITED, ARRAY_UNREACHABLE, ARRAY_PROTOCOL.
 */
export async function login(options: LoginOptions): Promise<string> {
  const { username } = options.credential;
  try {
    return username === null ? await loginWithKeyAlone(options) : await loginAs(options, username);
  } catch (error) {
    throw trueCause(error);
  }
}

/**
 * Logs the connection in with a password, for a set-up by an administrator. Errors: as login; AUTH_FAILED also where TrueNAS asks
 * for a second factor, which cannot be given here.
 */
export async function loginWithPassword(
  options: Omit<LoginOptions, 'credential' | 'release'> & { readonly username: string; readonly password: string },
): Promise<string> {
  const { username, password, connection, deadline, onCall } = options;
  try {
    onCall();
    const answer = await callOn(connection, loginPassword(username, password), deadline);
    if (answer.response_type === 'AUTH_ERR') {
      throw authFailed(`TrueNAS does not accept the password of the user ${username}`, undefined, PASSWORD_ADVICE);
    }
    if (answer.response_type === 'OTP_REQUIRED') {
      throw authFailed(`TrueNAS wants a one-time password for the user ${username}`, undefined, {
        causes: ['two-factor authentication is on for this user'],
        hints: ['use an API key of this user instead of the password: TrueNAS asks for no second factor then'],
      });
    }
    return accepted(answer, username);
  } catch (error) {
    throw trueCause(error);
  }
}

const PASSWORD_ADVICE = {
  causes: ['a typing mistake', 'the user has no password login', 'the user is no administrator'],
  hints: ['TrueNAS: Credentials > Users', 'log in to the web interface of TrueNAS with the same name and password'],
};

/** One call of a login. */
function counted<T>({ connection, deadline, onCall }: LoginOptions, request: ApiRequest<T>): Promise<T> {
  onCall();
  return callOn(connection, request, deadline);
}

async function loginAs(options: LoginOptions, username: string): Promise<string> {
  const { credential, release } = options;
  const key = splitApiKey(credential.apiKey);
  if (release === '26.0' && key !== null && scramUsername(username)) {
    try {
      return await loginWithScram(options, username, key);
    } catch (error) {
      // A server that does not know the mechanism says so before it looks at the key; a refused key never comes this way.
      if (!isInvalidParams(error)) throw error;
    }
  }
  try {
    return accepted(await counted(options, loginPlain(username, credential.apiKey)), username);
  } catch (error) {
    if (!isMethodMissing(error)) throw error;
    return await loginWithKeyAlone(options);
  }
}

async function loginWithScram(options: LoginOptions, username: string, key: { id: string; secret: string }): Promise<string> {
  const exchange = scramExchange(username, key);
  const first = await counted(options, loginScram('CLIENT_FIRST_MESSAGE', exchange.first));
  if (first.response_type !== 'SCRAM_RESPONSE') return accepted(first, username);
  const final = await counted(options, loginScram('CLIENT_FINAL_MESSAGE', await exchange.final(first.rfc_str)));
  if (final.response_type !== 'SCRAM_RESPONSE') return accepted(final, username);
  exchange.verify(final.rfc_str);
  return final.user_info?.pw_name ?? username;
}

async function loginWithKeyAlone(options: LoginOptions): Promise<string> {
  const { connection, credential, deadline } = options;
  if (!(await counted(options, loginByKeyAlone(credential.apiKey)))) throw authFailed('TrueNAS does not accept the API key');
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

function authFailed(
  message: string,
  cause?: unknown,
  advice: { causes?: readonly string[]; hints?: readonly string[] } = {},
): StorageError {
  return new StorageError('AUTH_FAILED', message, { ...advice, ...(cause === undefined ? {} : { cause }) });
}

const PASSED_ON: readonly ErrorCode[] = ['ARRAY_PROTOCOL', 'AUTH_RATE_LIMITED', 'RATE_LIMITED', 'TOO_MANY_CALLS'];

/** F-048: a login that was not answered, or not looked at for lack of patience, says nothing about the key. */
function trueCause(error: unknown): unknown {
  if (error instanceof NotSentError && PASSED_ON.includes(error.code)) return error;
  if (error instanceof OutcomeUnknownError || error instanceof NotSentError) {
    const why = error.cause instanceof Error ? ` (${error.cause.message})` : '';
    return new StorageError('ARRAY_UNREACHABLE', `TrueNAS did not answer the login${why}`, { cause: error });
  }
  if (isMethodMissing(error)) {
    return new StorageError('RELEASE_UNSUPPORTED', 'this TrueNAS has no login that pve-truenas knows', {
      causes: ['this TrueNAS is newer than this version of pve-truenas knows'],
      hints: ['install the newest version of pve-truenas', 'curl -k https://HOST/api/versions'],
      cause: error,
    });
  }
  if (error instanceof RefusedError) {
    return authFailed(`TrueNAS refuses the login: ${error.message}`, error);
  }
  return error;
}
