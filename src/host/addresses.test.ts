import { describe, expect, it } from 'vitest';
import { deadlineAfter } from '../core/deadline.ts';
import { systemClock } from '../core/system-clock.ts';
import { canonicalAddress, portalText, resolveHost } from './addresses.ts';

describe('addresses', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['FD00:0:0::1', 'fd00::1'],
    ['[fd00::1]', 'fd00::1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['NAS.example', 'nas.example'],
  ])('has one spelling for %s', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });

  it('puts brackets around IPv6 only', () => {
    expect(portalText({ host: 'fd00::1', port: 3260 })).toBe('[fd00::1]:3260');
    expect(portalText({ host: 'nas', port: 3260 })).toBe('nas:3260');
  });

  it('F-009: resolves names to addresses and leaves addresses alone', async () => {
    const deadline = deadlineAfter(systemClock, 30_000, 'test');
    await expect(resolveHost('FD00::0:1', deadline)).resolves.toEqual(['fd00::1']);
    const local = await resolveHost('localhost', deadline);
    expect(local.some((address) => address === '127.0.0.1' || address === '::1')).toBe(true);
  });
});
