import { describe, expect, it } from 'vitest';
import { RateLimit } from './rate-limit.ts';

describe('calls before login (truenas-api 3.3)', () => {
  it('refuses the 21st of a minute, per method and address', () => {
    let now = 0;
    const limit = new RateLimit(() => now);
    const calls = Array.from({ length: 21 }, () => limit.exceeded('core.ping', 'a'));
    expect(calls.filter(Boolean)).toHaveLength(1);
    expect([limit.exceeded('core.ping', 'b'), limit.exceeded('auth.login', 'a')]).toEqual([false, false]);
    now = 59_999;
    expect(limit.exceeded('core.ping', 'a')).toBe(true);
    now = 60_000;
    expect(limit.exceeded('core.ping', 'a')).toBe(false);
  });

  it('refuses everybody once it remembers 100 callers', () => {
    const limit = new RateLimit(() => 0);
    for (let address = 0; address < 100; address += 1) expect(limit.exceeded('core.ping', String(address))).toBe(false);
    expect([limit.exceeded('core.ping', '0'), limit.exceeded('core.ping', 'new')]).toEqual([true, true]);
    limit.clear();
    expect(limit.exceeded('core.ping', '0')).toBe(false);
  });
});
