import { describe, expect, it } from 'vitest';
import { redactParams, redactResult } from './redact.ts';

describe('secrets never reach the wire log', () => {
  it.each([
    ['auth.login_ex', [{ mechanism: 'API_KEY_PLAIN', username: 'u', api_key: 'S' }]],
    ['auth.login_with_api_key', ['S']],
    ['auth.login', ['u', 'S', 'S']],
    ['auth.login_with_token', ['S']],
    ['iscsi.auth.create', [{ tag: 1, user: 'u', secret: 'S', peersecret: 'S' }]],
    ['core.bulk', ['auth.login_with_api_key', [['S'], ['S']]]],
  ])('%s', (method, params) => expect(JSON.stringify(redactParams(method, params))).not.toContain('"S"'));

  it('masks keys in answers about keys, and leaves user properties alone', () => {
    expect(redactResult('api_key.create', { id: 1, key: 'S' })).toEqual({ id: 1, key: '********' });
    expect(redactResult('auth.generate_token', 'S')).toBe('********');
    const params = [{ user_properties: [{ key: 'a:b', value: 'v' }] }];
    expect(redactParams('pool.dataset.create', params)).toEqual(params);
  });

  it('keeps the shape, so that the published schemas still fit', () => {
    expect(redactParams('auth.login', ['u', 'S', null])).toEqual(['u', '********', null]);
  });
});
