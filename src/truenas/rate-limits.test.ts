import { describe, expect, it } from 'vitest';
import { NotSentError, RefusedError } from '../core/errors.ts';
import { refusal } from './error-map.ts';
import { isHttpLimit, limitOf, retryAfterMs } from './rate-limits.ts';
import { zvolDelete } from './wire/datasets.ts';
import { wireError } from './wire/envelope.ts';

/** An error answer as middlewared frames it (truenas-api 2.2), with a traceback. */
function answer(errno: number, errname: string, text: string, extra: unknown = null): unknown {
  const formatted = `Traceback (most recent call last):\n  File "rate_limit/cache.py", line 1\nTooManyRequests: rate limit\n`;
  const reason = `[${errname}] ${text}`;
  return {
    code: -32001,
    message: 'Method call error',
    data: { error: errno, errname, reason, trace: { class: 'CallError', formatted }, extra },
  };
}
const kind = (method: string, wire: unknown): string | null => limitOf(method, wireError.parse(wire));

describe('limits of the array, by code first and by words second', () => {
  it.each([
    ['the login limit of TrueNAS', 'auth.login_ex', answer(16, 'EBUSY', 'Rate Limit Exceeded'), 'login'],
    ['the same of the older login', 'auth.login_with_api_key', answer(16, 'EBUSY', 'Rate Limit Exceeded'), 'login'],
    ['a login that is busy in other words', 'auth.login_ex', answer(16, 'EBUSY', 'try again'), 'login'],
    [
      'the concurrency limit of TrueNAS',
      'pool.dataset.query',
      { code: -32000, message: 'Maximum number of concurrent calls (20) has exceeded' },
      'concurrency',
    ],
    ['a code of HTTP', 'pool.dataset.query', { code: 429, message: 'slow down' }, 'requests'],
    ['a code of gateways', 'pool.dataset.query', { code: -32029, message: 'slow down' }, 'requests'],
    ['words alone', 'iscsi.extent.query', answer(14, 'EFAULT', 'Too many requests, try again later'), 'requests'],
    ['words alone, without data', 'iscsi.extent.query', { code: -32603, message: 'API rate limit exceeded' }, 'requests'],
    ['words alone, with EBUSY', 'pool.dataset.delete', answer(16, 'EBUSY', 'Rate Limit Exceeded'), 'requests'],
  ])('knows %s', (_what, method, wire, expected) => expect(kind(method, wire)).toBe(expected));

  it.each([
    ['a busy dataset', 'pool.dataset.delete', answer(16, 'EBUSY', "Failed to delete dataset: cannot destroy 'tank/x': dataset is busy")],
    ['a busy dataset of that name', 'pool.dataset.delete', answer(16, 'EBUSY', "cannot destroy 'tank/rate limit': dataset is busy")],
    ['a missing one of that name', 'pool.dataset.query', answer(2, 'ENOENT', 'Dataset rate limit does not exist')],
    ['a path of that name', 'pool.dataset.create', answer(14, 'EFAULT', 'cannot create tank/rate-limit/vm-1: out of space')],
    [
      'a traceback that speaks of it (F-004)',
      'pool.dataset.query',
      answer(14, 'EFAULT', 'boom\nTraceback (most recent call last):\n rate limit'),
    ],
    [
      'a validation error',
      'iscsi.extent.create',
      { ...(answer(22, 'EINVAL', 'rate limit', [['x.name', 'rate limit', 22]]) as object), code: -32602 },
    ],
    ['a missing role', 'pool.dataset.query', answer(13, 'EACCES', 'Not authorized: rate limit')],
    ['an expired session', 'pool.dataset.query', answer(207, 'ENOTAUTHENTICATED', 'Not authenticated')],
    ['a wrong argument of a login', 'auth.login_ex', answer(22, 'EINVAL', 'no')],
    ['100 000 characters', 'pool.dataset.query', answer(14, 'EFAULT', 'y'.repeat(100_000))],
  ])('takes %s for no limit', (_what, method, wire) => expect(kind(method, wire)).toBeNull());

  it('makes them calls that were not sent, without a traceback; a busy dataset is a refusal (F-003, F-004)', () => {
    const destroy = zvolDelete('tank/x')('25.10');
    const limited = refusal(destroy, wireError.parse(answer(16, 'EBUSY', 'Rate Limit Exceeded')));
    expect(limited).toBeInstanceOf(NotSentError);
    expect(limited).toMatchObject({ code: 'RATE_LIMITED', state: undefined });
    expect(limited.message).toBe('delete zvol tank/x: TrueNAS takes no more requests for now (Rate Limit Exceeded)');
    const busy = refusal(destroy, wireError.parse(answer(16, 'EBUSY', "cannot destroy 'tank/x': dataset is busy")));
    expect(busy).toBeInstanceOf(RefusedError);
    expect(busy.code).toBe('VOLUME_BUSY');
    expect(refusal(destroy, wireError.parse({ code: -32000, message: 'Maximum number' })).code).toBe('TOO_MANY_CALLS');
  });

  it.each([
    [429, '', true],
    [503, 'Too Many Requests', true],
    [403, '<h1>You are being rate limited</h1>', true],
    [502, 'Bad Gateway', false],
    [200, '["too many requests"]', false],
    [404, '', false],
  ])('HTTP %i with the text %j: %s', (status, body, expected) => expect(isHttpLimit(status, body)).toBe(expected));

  it.each([
    ['12', 12_000],
    ['0', 1000],
    ['99999999', 600_000],
    ['Wed, 25 Nov 2026 00:00:30 GMT', 30_000],
    ['Tue, 24 Nov 2026 00:00:00 GMT', 1000],
    [undefined, 60_000],
    ['soon', 60_000],
    ['-5', 60_000],
  ])('Retry-After %j is %i ms', (header, expected) => expect(retryAfterMs(header, Date.UTC(2026, 10, 25))).toBe(expected));
});
