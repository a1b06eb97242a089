import { describe, expect, it } from 'vitest';
import { formatSize, GIB, KIB, MIB, parseSize, TIB } from './sizes.ts';

describe('formatSize', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [KIB, '1.00 KB'],
    [1.5 * MIB, '1.50 MB'],
    [8.5 * GIB, '8.50 GB'],
    [10 * GIB, '10.00 GB'],
    [2.25 * TIB, '2.25 TB'],
    [2048 * TIB, '2048.00 TB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatSize(bytes)).toBe(text));
});

describe('parseSize', () => {
  it.each([
    ['100G', 100 * GIB],
    ['1.5T', 1.5 * TIB],
    ['0.5g', GIB / 2],
    ['528K', 528 * KIB],
    ['4MiB', 4 * MIB],
    ['4 MB', 4 * MIB],
    ['0.0001M', KIB],
  ])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', '100', '0G', '-1G', '1e3G', '1,5G', 'G', '1P', '10GG', '1..5G', '99999999999T', 'NaNG', '1G;rm', '\u0661G'])(
    'refuses %j',
    (text) => expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: 'SIZE_INVALID' }) as Error),
  );
});
