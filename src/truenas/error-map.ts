import * as z from 'zod';
import type { ErrorCode } from '../core/error-catalogue.ts';
import { type ErrorDetails, NotSentError, OutcomeUnknownError, type RefusalItem, RefusedError, type StorageError } from '../core/errors.ts';
import { type LimitKind, limitOf } from './rate-limits.ts';
import type { WireError } from './wire/envelope.ts';
import type { ApiRequest } from './wire/request.ts';

/** errno numbers of truenas-api 2.2. */
const EPERM = 1;
const ENOENT = 2;
const EACCES = 13;
const EBUSY = 16;
const EEXIST = 17;
const EINVAL = 22;
const ENOSPC = 28;
const ESERVICESTARTFAILURE = 202;
export const ENOTAUTHENTICATED = 207;

const METHOD_CALL_ERROR = -32001;
const METHOD_NOT_FOUND = -32601;
const MAX_REASON = 600;

const validationItems = z.array(z.tuple([z.string().nullable(), z.string(), z.number().int()]).rest(z.unknown()));

/** True when the array said that nobody is logged in on this connection: the call was not looked at (truenas-api 2.2, order of checks). */
export function isNotAuthenticated(error: unknown): boolean {
  return error instanceof RefusedError && error.errno === ENOTAUTHENTICATED;
}

/**
 * Translates an error answer into one of our errors, by code, errno and `extra[]` alone (F-003, F-004); text is looked at only
 * where libzfs' words are the only source. A change that died of an unexpected exception, or whose service reload failed, may
 * have been made (F-301): its outcome is unknown.
 */
export function refusal(request: ApiRequest<unknown>, error: WireError): StorageError {
  const limit = limitOf(request.method, error);
  if (limit !== null) return limited(limit, request, error);
  const data = error.data ?? undefined;
  if (data === undefined) return withoutData(request, error);
  const extra = refusalItems(data.extra);
  const errno = extra[0]?.errno ?? data.error ?? 0;
  const reason = reasonOf(data.reason ?? error.message, extra);
  const message = `${request.what}: ${reason}`;
  const facts = { method: request.method, errno, errname: data.errname ?? null, attribute: extra[0]?.attribute ?? null };
  if (request.effect === 'change' && mayHaveHappened(error.code, errno, data.reason ?? '')) {
    return new OutcomeUnknownError('OUTCOME_UNKNOWN', `${message} (it may have been done all the same)`, { facts });
  }
  const code = errorCode(request, errno, extra, reason);
  return new RefusedError(code, message, { errno, extra }, { facts, ...authorisation(code, request) });
}

function withoutData(request: ApiRequest<unknown>, error: WireError): StorageError {
  const facts = { method: request.method, code: error.code };
  const text = error.code === METHOD_NOT_FOUND ? `this TrueNAS has no method ${request.method}` : plain(error.message);
  return new RefusedError('CALL_REFUSED', `${request.what}: ${text}`, { errno: 0 }, { facts });
}

/** Refused before it was looked at: for the caller the call was not sent. */
function limited(kind: LimitKind, request: ApiRequest<unknown>, error: WireError): StorageError {
  const code = LIMIT_CODES[kind];
  const reason = error.data?.reason ?? error.message;
  const message = `${request.what}: ${LIMIT_WORDS[kind]} (${plain(reason.replace(/^\[[A-Z0-9]+\]\s*/, ''))})`;
  const facts = { method: request.method, code: error.code, errno: error.data?.error ?? null };
  return new NotSentError(code, message, { facts });
}

const LIMIT_CODES = { login: 'AUTH_RATE_LIMITED', concurrency: 'TOO_MANY_CALLS', requests: 'RATE_LIMITED' } as const;
const LIMIT_WORDS = {
  login: 'TrueNAS takes no more logins from this address for now',
  concurrency: 'TrueNAS has too many calls of this connection to do',
  requests: 'TrueNAS takes no more requests for now',
} as const;

function authorisation(code: ErrorCode, request: ApiRequest<unknown>): ErrorDetails {
  if (code !== 'NOT_AUTHORIZED' || request.roles.length === 0) return {};
  const roles = request.roles.join(' or ');
  return { hints: [`TrueNAS: Credentials > Groups > Privileges: give the user of the API key the role ${roles}`] };
}

/** `[attribute, message, errno]` of validation errors; anything else that stands in `extra` is none. */
function refusalItems(extra: unknown): RefusalItem[] {
  const parsed = validationItems.safeParse(extra);
  if (!parsed.success) return [];
  return parsed.data.map(([attribute, message, errno]) => ({ attribute, message: plain(message), errno }));
}

/** The array's own words, without `[ERRNAME]` and without anything that looks like a traceback. */
function reasonOf(reason: string, extra: readonly RefusalItem[]): string {
  if (extra.length > 0) {
    const lines = extra.map((item) =>
      item.attribute === null || item.attribute === '' ? item.message : `${item.attribute}: ${item.message}`,
    );
    return plain(lines.join('; '));
  }
  return plain(reason.replace(/^\[[A-Z0-9]+\]\s*/, ''));
}

/** The array's own words on one line, without control characters, of bounded length. */
function plain(text: string): string {
  const line = untraced(text)
    .replace(/[^\P{C}\n]/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const shown = line === '' ? 'refused without a reason' : line;
  return shown.length > MAX_REASON ? `${shown.slice(0, MAX_REASON)}...` : shown;
}

/** Of a Python traceback only what stands before it or, where that is nothing, the exception at its end. */
function untraced(text: string): string {
  const at = text.search(/Traceback \(most recent call last\)|^[ \t]*File "[^"\n]+", line \d+/m);
  if (at < 0) return text;
  const before = text.slice(0, at);
  if (/[\p{L}\p{N}]/u.test(before)) return before;
  // Frames are indented, the exception itself is not.
  const own = text.slice(at).split('\n').slice(1);
  return own.filter((line) => /^[\p{L}_]/u.test(line) && !line.startsWith('Traceback ')).at(-1) ?? '';
}

/** CallErrors carry `[ERRNAME]`; any other exception came from the middle of the work (truenas-api 2.2), sqlite's refusals excepted. */
function mayHaveHappened(code: number, errno: number, reason: string): boolean {
  if (errno === ESERVICESTARTFAILURE) return true;
  if (code !== METHOD_CALL_ERROR || errno !== EINVAL) return false;
  return !reason.startsWith('[') && !reason.startsWith('(sqlite3.IntegrityError)');
}

function errorCode(request: ApiRequest<unknown>, errno: number, extra: readonly RefusalItem[], reason: string): ErrorCode {
  if (errno === EACCES || errno === EPERM) return 'NOT_AUTHORIZED';
  if (errno === ENOTAUTHENTICATED) return 'AUTH_FAILED';
  // [libzfs]: EFAULT and EINVAL carry the reason in words only (truenas-api 9, 10).
  const words = reason.toLowerCase();
  if (errno === ENOSPC || words.includes('out of space') || words.includes('of your available space')) return 'NO_SPACE';
  if (words.includes('i/o is currently suspended')) return 'POOL_SUSPENDED';
  switch (request.subject) {
    case 'zvol':
      return zvolCode(errno, attributeOf(extra), words);
    case 'snapshot':
      return snapshotCode(errno, attributeOf(extra), words);
    case 'extent':
    case 'mapping':
      return exportCode(errno, attributeOf(extra), words);
    case 'dataset':
      return errno === ENOENT ? 'DATASET_MISSING' : 'CALL_REFUSED';
    case 'other':
      return 'CALL_REFUSED';
  }
}

/** Last part of the first attribute: `volsize` of `pool_dataset_create.volsize`, `data.VOLUME.volsize`. */
function attributeOf(extra: readonly RefusalItem[]): string {
  return extra[0]?.attribute?.split('.').at(-1) ?? '';
}

function zvolCode(errno: number, attribute: string, words: string): ErrorCode {
  if (errno === EEXIST || words.includes('already exists')) return 'VOLUME_EXISTS';
  if (/(parent dataset|zpool) .*does not exist/.test(words)) return 'DATASET_MISSING';
  if (attribute === 'readonly' || words.includes('parent may not be a zfs volume')) return 'DATASET_UNUSABLE';
  if (words.includes('cannot shrink')) return 'SHRINK_REFUSED';
  if (words.includes('dependent clones')) return 'VOLUME_HAS_CLONES';
  if (errno === EBUSY || words.includes('dataset is busy')) return 'VOLUME_BUSY';
  if (errno === ENOENT || /dataset .*does not exist/.test(words)) return 'VOLUME_MISSING';
  if (attribute === 'volsize' || attribute === 'volblocksize') return 'SIZE_INVALID';
  if (attribute === 'name') return 'NAME_INVALID';
  return 'CALL_REFUSED';
}

function snapshotCode(errno: number, attribute: string, words: string): ErrorCode {
  if (words.includes('more recent snapshots')) return 'ROLLBACK_BLOCKED';
  if (attribute === 'defer' || words.includes('dependent clones') || words.includes('following clones')) return 'SNAPSHOT_HAS_CLONES';
  if (errno === EEXIST || words.includes('already exists')) return 'SNAPSHOT_EXISTS';
  if (attribute === 'name') return 'NAME_INVALID';
  if (errno === EBUSY || words.includes('dataset is busy') || words.includes('following holds')) return 'VOLUME_BUSY';
  if (errno === ENOENT || words.includes('not found') || words.includes('does not exist')) return 'SNAPSHOT_MISSING';
  return 'CALL_REFUSED';
}

function exportCode(errno: number, attribute: string, words: string): ErrorCode {
  if (attribute === 'name' && words.includes('unique')) return 'VOLUME_EXISTS';
  if (attribute === 'lunid') return 'LUN_CONFLICT';
  if (words.includes('in use')) return 'VOLUME_BUSY';
  if (errno === ENOENT) return 'EXPORT_MISSING';
  return 'CALL_REFUSED';
}

/**
 * The one refusal of iscsi.extent.create that says "not yet": the zvol stands, its device node does not (F-303). It comes out
 * of the validation, so nothing was created and the call may be made again.
 */
export function isDeviceNotThereYet(error: unknown): boolean {
  return (
    error instanceof RefusedError &&
    error.extra.length === 1 &&
    error.extra.every((item) => item.attribute?.endsWith('.disk') === true && /^Device '\/dev\/zvol\/.*does not exist/.test(item.message))
  );
}

/** True for an error answer whose arguments the server did not understand, which an older release gives to a newer call. */
export function isInvalidParams(error: unknown): boolean {
  return error instanceof RefusedError && error.extra.length > 0 && error.errno === EINVAL;
}

/** True when the array has no such method. */
export function isMethodMissing(error: unknown): boolean {
  return error instanceof RefusedError && error.facts['code'] === METHOD_NOT_FOUND;
}
