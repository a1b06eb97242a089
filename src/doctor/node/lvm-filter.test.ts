import { describe, expect, it } from 'vitest';
import { recorded } from '../../host/testing/recordings.ts';
import { accepts, judgeLvm, parseLvmConfig } from './lvm-filter.ts';

const BOTH = { disks: true, maps: true };
const filtered = (globalFilter: readonly string[], kinds = BOTH): string =>
  judgeLvm({ globalFilter, filter: ['a|.*|'], devicesFile: false }, kinds).state;

it('F-117, F-752: what Debian ships looks into every disk', () => {
  const settings = parseLvmConfig(recorded('lvm-2.03.31/lvmconfig').stdout);
  expect(settings).toEqual({ globalFilter: ['a|.*|'], filter: ['a|.*|'], devicesFile: false });
  expect(judgeLvm(settings, BOTH)).toMatchObject({ state: 'warning', cure: expect.stringContaining('global_filter') as string });
});

describe('filters', () => {
  it.each([
    ["PVE's own", ['r|/dev/zd.*|', 'r|/dev/rbd.*|'], 'warning'],
    ['our advice', ['r|/dev/disk/by-id/scsi-36589cfc.*|', 'r|/dev/disk/by-id/wwn-0x6589cfc.*|', 'r|/dev/mapper/36589cfc.*|'], 'ok'],
    ['all that is not listed', ['a|^/dev/nvme.*|', 'r|.*|'], 'ok'],
    ['all disks, maps forgotten', ['r|^/dev/sd.*|', 'r|/dev/disk/.*|', 'a|.*|'], 'warning'],
    ['the accepting one stands before', ['a|/dev/sd.*|', 'r|/dev/disk/by-id/.*|', 'r|/dev/mapper/36589cfc.*|'], 'warning'],
    ['a pattern that JavaScript does not know decides nothing', ['r|(|', 'a|.*|'], 'warning'],
  ] as const)('%s', (_what, filter, state) => {
    expect(filtered(filter)).toBe(state);
  });

  it('multipath needs both, the disks below a map and the map', () => {
    const disksOnly = ['r|/dev/sd.*|', 'r|/dev/disk/by-id/scsi-.*|', 'r|/dev/disk/by-id/wwn-.*|', 'r|/dev/disk/by-path/.*|'];
    expect(filtered(disksOnly, { disks: true, maps: false })).toBe('ok');
    expect(filtered(['r|/dev/mapper/.*|'], { disks: false, maps: true })).toBe('warning');
  });

  it("LVM's rule: the first pattern that matches a name decides, one accepted name is enough, unknown is accepted", () => {
    expect(accepts(['r|a|', 'a|.*|'], ['/dev/a'])).toBe(false);
    expect(accepts(['a|b|', 'r|.*|'], ['/dev/a', '/dev/b'])).toBe(true);
    expect(accepts(['r|a|'], ['/dev/x'])).toBe(true);
    expect(accepts([], ['/dev/x'])).toBe(true);
  });
});
