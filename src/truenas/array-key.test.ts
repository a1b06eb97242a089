import { describe, expect, it } from 'vitest';
import { apiKeyHash, arrayKey, bareHost, normalFingerprint } from './array-key.ts';
import { config } from './testing/harness.ts';

describe('which storages share a connection (F-052)', () => {
  const hash = apiKeyHash('1-abc');
  const same = arrayKey(config(443), hash);

  it.each([
    [{ apiHost: 'other' }],
    [{ apiPort: 444 }],
    [{ apiScheme: 'ws' as const }],
    [{ apiInsecure: false }],
    [{ fingerprint: 'AA:BB' }],
    [{ caFile: '/etc/x.pem' }],
    [{ preferIpv4: true }],
    [{ apiUsername: 'root' }],
  ])('not those that differ in %j', (over) => {
    expect(arrayKey(config(443, over), hash)).not.toBe(same);
  });

  it('not those with other keys', () => {
    expect(arrayKey(config(443), apiKeyHash('1-abd'))).not.toBe(same);
  });

  it('those that mean the same', () => {
    expect(arrayKey(config(443, { apiTimeoutMs: 1 }), apiKeyHash(' 1-abc\n'))).toBe(same);
    expect(arrayKey(config(443, { apiHost: '[::1]' }), hash)).toBe(arrayKey(config(443, { apiHost: '::1' }), hash));
    expect(arrayKey(config(443, { fingerprint: 'aabb' }), hash)).toBe(arrayKey(config(443, { fingerprint: 'AA:BB' }), hash));
  });

  it('keeps no key', () => {
    expect(same).not.toContain('1-abc');
  });

  it('writes hosts and fingerprints one way', () => {
    expect([bareHost('[fe80::1]'), bareHost('nas')]).toEqual(['fe80::1', 'nas']);
    expect(normalFingerprint('aa bb-cc')).toBe('AA:BB:CC');
  });
});
