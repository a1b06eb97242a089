import { StorageError } from '../core/errors.ts';
import type { WireError } from './wire/envelope.ts';

/**
 * Why the array takes no more for now.
 * - `login`: more than 20 calls before login within 60 s from one address (truenas-api 3.3).
 * - `concurrency`: more than 20 calls of one connection at once (truenas-api 2).
 * - `requests`: any other limit, of a proxy for example.
 */
export type LimitKind = 'login' | 'concurrency' | 'requests';

const TOO_MANY_CALLS = -32000;
const HTTP_TOO_MANY = 429;
/** JSON-RPC codes that gateways use for HTTP's 429. */
const RPC_TOO_MANY: readonly number[] = [429, -32429, -32029];
const EBUSY = 16;
/** errno numbers that say nothing of their own (truenas-api 2.2): only with these the words count. */
const WITHOUT_MEANING: readonly (number | undefined)[] = [undefined, 0, 11, 14, EBUSY, 22];

/** ms: TrueNAS's window (truenas-api 3.3), also where nobody says how long to wait. */
export const WINDOW_MS = 60_000;
const RETRY_AFTER = { shortest: 1000, longest: 600_000 };

/**
 * What kind of limit an error answer speaks of, or null. By code first: -32000, 429, EBUSY of a login (where nothing can be
 * busy). Then by its own words, without traceback, quotations and paths, and only where errno and `extra` say nothing else: a
 * busy dataset or one that is called "rate limit" is none (F-003, F-004).
 */
export function limitOf(method: string, error: WireError): LimitKind | null {
  if (error.code === TOO_MANY_CALLS) return 'concurrency';
  if (RPC_TOO_MANY.includes(error.code)) return 'requests';
  const data = error.data ?? undefined;
  const login = method.startsWith('auth.');
  if (login && data?.error === EBUSY) return 'login';
  const items: unknown = data?.extra;
  if (Array.isArray(items) && items.length > 0) return null;
  if (!WITHOUT_MEANING.includes(data?.error) || !speaksOfLimit(data?.reason ?? error.message)) return null;
  return login ? 'login' : 'requests';
}

/** Characters of a refusal's text that are looked at: its own words come first. */
const MAX_WORDS = 2000;

/** True when a text that came with a refusal says that there were too many requests. */
export function speaksOfLimit(text: string): boolean {
  const own = (text.slice(0, MAX_WORDS).split(/Traceback \(most recent call last\)/, 1)[0] ?? '')
    .replace(/'[^'\n]*'|"[^"\n]*"|`[^`\n]*`/g, ' ')
    .split(/\s+/)
    .filter((word) => !word.includes('/'))
    .join(' ');
  return /\brate[ -]?limit(?:ed|ing|s)?\b|\btoo many requests\b/i.test(own);
}

/** True for an HTTP answer that says so: status 429, or another refusal whose text does. */
export function isHttpLimit(status: number, body: string): boolean {
  return status === HTTP_TOO_MANY || (status >= 400 && speaksOfLimit(body.slice(0, MAX_WORDS).replace(/<[^<>]{0,200}>/g, ' ')));
}

/** ms that a `Retry-After` header asks for: seconds or a date (RFC 9110, 10.2.3), 1 s to 10 min; a minute where there is none. */
export function retryAfterMs(header: string | undefined, now: number): number {
  const text = header?.trim() ?? '';
  const asked = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) - now : Number.NaN;
  return Number.isFinite(asked) ? Math.min(Math.max(asked, RETRY_AFTER.shortest), RETRY_AFTER.longest) : WINDOW_MS;
}

/** The refusal of an HTTP request for having asked too often. `at`: host:port. */
export function httpLimited(at: string, what: string, status: number, retryAfter: number): StorageError {
  return new StorageError('RATE_LIMITED', `${at} answered ${what} with HTTP status ${status}: too many requests`, {
    facts: { status, retryAfterMs: retryAfter },
  });
}

/** What a failure says about limits: how long to keep away (ms from when it was asked), or null for any other failure. */
export function keepAwayMs(error: StorageError): number | null {
  if (error.code !== 'RATE_LIMITED' && error.code !== 'AUTH_RATE_LIMITED') return null;
  const asked = error.facts['retryAfterMs'];
  return typeof asked === 'number' ? asked : WINDOW_MS;
}
