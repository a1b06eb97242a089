import { describe, expect, it } from 'vitest';
import { humanSize, propertyObject, resourceProperty, snapshotProperty, zfsSize } from './property-format.ts';

const GIB = 1_073_741_824;
const none = { source: 'NONE', from: null } as const;

describe('sizes in words', () => {
  it('are those of humanfriendly from 25.10 on', () => {
    expect([0, 1, 512, 1024, 1536, GIB, 1.5 * GIB, 1_105_920, 1024 ** 5].map(humanSize)).toEqual([
      '0 bytes',
      '1 byte',
      '512 bytes',
      '1 KiB',
      '1.5 KiB',
      '1 GiB',
      '1.5 GiB',
      '1.05 MiB',
      '1 PiB',
    ]);
  });
  it('are those of zfs before', () => {
    expect([0, 512, 57_344, GIB, 1.5 * GIB, 104_018_485_248].map(zfsSize)).toEqual(['0B', '512B', '56K', '1G', '1.50G', '96.9G']);
  });
});

describe('property objects (truenas-api 7.2)', () => {
  it('say null for a reservation of 0 and "" for no origin', () => {
    expect(propertyObject('25.10', 'refreservation', { raw: '0', source: 'DEFAULT', from: null })).toEqual({
      parsed: null,
      rawvalue: '0',
      value: null,
      source: 'DEFAULT',
      source_info: null,
    });
    expect(propertyObject('25.10', 'origin', { raw: 'none', ...none })).toMatchObject({ parsed: '', rawvalue: '', value: '' });
  });
  it('have booleans, numbers, dates and block sizes', () => {
    expect(propertyObject('25.10', 'readonly', { raw: 'off', source: 'INHERITED', from: 'tank' })).toEqual({
      parsed: false,
      rawvalue: 'off',
      value: 'OFF',
      source: 'INHERITED',
      source_info: 'tank',
    });
    expect(propertyObject('25.10', 'volblocksize', { raw: '16384', ...none })).toMatchObject({ parsed: 16_384, value: '16K' });
    expect(propertyObject('25.10', 'creation', { raw: '1700000000', ...none })).toMatchObject({
      parsed: { $date: 1_700_000_000_000 },
      value: 'Tue Nov 14 22:13 2023',
    });
    expect(propertyObject('25.10', 'compressratio', { raw: '1.00', ...none })).toMatchObject({ parsed: '1.00', value: '1.00x' });
  });
  it('have other forms for snapshots and resources', () => {
    expect(snapshotProperty('used', '57344')).toEqual({ parsed: 57_344, rawvalue: '57344', value: '56K', source: 'NONE' });
    expect(resourceProperty('used', { raw: '57344', ...none }, true)).toEqual({
      raw: '57344',
      source: { type: 'NONE', value: null },
      value: 57_344,
    });
    expect(resourceProperty('origin', { raw: 'none', ...none }, false)).toEqual({ raw: 'none', source: null, value: null });
  });
});
