import { describe, expect, it } from 'vitest';
import { NotSentError, OutcomeUnknownError, RefusedError, type RefusalItem, type StorageError } from '../core/errors.ts';
import type { ErrorCode } from '../core/error-catalogue.ts';
import { GIB } from '../core/sizes.ts';
import { FakeHost } from '../host/testing/fake-host.ts';
import { allocate } from './allocate.ts';
import { findTarget } from './lookup.ts';
import { FakeArray } from './testing/fake-array.ts';
import { World } from './testing/world.ts';

const ZVOL = 'tank/pve/vm-100-disk-0';

async function failing(method: 'createZvol' | 'createExtent' | 'createMapping', error: Error): Promise<{ w: World; error: StorageError }> {
  const w = await new World(new FakeHost()).warm();
  Object.assign(w.array, { [method]: () => Promise.reject(error) });
  const thrown = await w
    .run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline))
    .catch((caught: unknown) => caught);
  return { w, error: thrown as StorageError };
}

function refused(code: ErrorCode, message: string, extra: readonly RefusalItem[] = []): RefusedError {
  return new RefusedError(code, `create extent pve-x: ${message}`, { errno: extra[0]?.errno ?? 22, extra });
}

const SERVICE = 'the iSCSI service on nas is not running';
const DEVICE = `the zvol was made, but its device /dev/zvol/${ZVOL} is not there yet`;
const ROLE = 'the API key lacks the role SHARING_ISCSI_EXTENT_WRITE';

describe('a failed creation of an extent', () => {
  it('says what for, why it may be, where to look, in which log, and that the zvol was taken back', async () => {
    const { w, error } = await failing('createExtent', refused('CALL_REFUSED', 'Something unexpected.'));
    expect(error).toMatchObject({ code: 'EXTENT_FAILED', state: `nothing is left on TrueNAS: the zvol '${ZVOL}' was taken back` });
    expect(error.message).toMatch(
      /^cannot make the iSCSI extent 'pve-[0-9a-f]{32}' of volume 'tn:vm-100-disk-0' \(dataset 'tank\/pve', zvol path 'zvol\/tank\/pve\/vm-100-disk-0'\): .*Something unexpected\.$/,
    );
    expect(error.causes).toEqual([SERVICE, DEVICE, ROLE, expect.stringMatching(/^the extent name 'pve-.*' is taken already$/)]);
    expect(error.hints.join('\n')).toMatch(
      /System > Services > iSCSI[\s\S]*ls -l \/dev\/zvol[\s\S]*Extents[\s\S]*Privileges[\s\S]*\/var\/log\/middlewared\.log/,
    );
    expect(w.array.contents()).toEqual({ zvols: 0, extents: 0, mappings: 0, snapshots: 0 });
    expect(w.journal.open.size).toBe(0);
  });

  it.each([
    [
      'the device that is missing',
      'iscsi_extent_create.disk',
      "Device '/dev/zvol/x' for volume 'x' does not exist",
      'CALL_REFUSED',
      DEVICE,
    ],
    ['the name', 'iscsi_extent_create.name', 'Extent name must be unique', 'VOLUME_EXISTS', 'the extent name'],
  ] as const)('puts the cause first that the refusal points at: %s', async (_what, attribute, message, code, cause) => {
    const { w, error } = await failing('createExtent', refused(code, message, [{ attribute, message, errno: 22 }]));
    expect(error.code).toBe('EXTENT_FAILED');
    expect(error.causes[0]).toContain(cause);
    expect(error.causes).toHaveLength(4);
    // An extent of this name says nothing about the volume's name: it must not be taken for "exists already".
    expect(w.array.contents()).toMatchObject({ zvols: 0 });
    expect(w.array.count('createZvol')).toBe(1);
  });

  it.each(['NOT_AUTHORIZED', 'NO_SPACE', 'VOLUME_BUSY'] as const)('keeps %s, with the same account', async (code) => {
    const { error } = await failing('createExtent', refused(code, 'no'));
    expect(error).toMatchObject({ code, message: expect.stringContaining(`zvol path 'zvol/${ZVOL}'`) as string });
    expect(error.hints.join()).toContain('/var/log/middlewared.log');
    if (code === 'NOT_AUTHORIZED') expect(error.causes[0]).toBe(ROLE);
  });

  it('stays what it is when nobody was asked or nobody answered', async () => {
    expect((await failing('createExtent', new NotSentError('CALL_NOT_SENT', 'gone'))).error.code).toBe('CALL_NOT_SENT');
    const { w, error } = await failing('createExtent', new OutcomeUnknownError('OUTCOME_UNKNOWN', 'no answer'));
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', state: expect.stringContaining('goes on looking') as string });
    expect(w.journal.left).toHaveLength(1);
  });
});

it('a refused zvol leaves nothing, and says so', async () => {
  const { error } = await failing('createZvol', new RefusedError('CALL_REFUSED', 'create zvol: no', { errno: 14 }));
  expect(error.state).toBe('nothing was changed');
});

it('a refused mapping takes extent and zvol back', async () => {
  const { w, error } = await failing('createMapping', new RefusedError('CALL_REFUSED', 'map extent: no', { errno: 14 }));
  expect(error.state).toContain('was taken back');
  expect(w.array.contents()).toEqual({ zvols: 0, extents: 0, mappings: 0, snapshots: 0 });
});

describe('a target that is not there', () => {
  const names = (count: number): FakeArray => {
    const array = new FakeArray();
    array.targets_ = Array.from({ length: count }, (_unused, n) => ({
      id: n + 1,
      name: `t${n}`,
      iqn: `iqn.2011-03.org.example:t${n}`,
      groups: [],
    }));
    return array;
  };

  it.each([
    [
      'a name',
      'pve',
      2,
      "target 'pve' (setting target_iqn) does not exist on nas: expected 'iqn.2011-03.org.example:pve', 2 found: iqn.2011-03.org.example:t0, iqn.2011-03.org.example:t1; storage.cfg says 'pve'",
    ],
    [
      'an IQN',
      'iqn.2011-03.org.example:pve',
      1,
      "target 'iqn.2011-03.org.example:pve' (setting target_iqn) does not exist on nas: expected 'iqn.2011-03.org.example:pve', 1 found: iqn.2011-03.org.example:t0",
    ],
    [
      'on an array without targets',
      'pve',
      0,
      "target 'pve' (setting target_iqn) does not exist on nas: expected 'iqn.2005-10.org.freenas.ctl:pve', TrueNAS has no target at all; storage.cfg says 'pve'",
    ],
  ])('says how many there are, which, and what was expected: %s', async (_what, target, count, message) => {
    const w = new World(new FakeHost(), names(count), { target });
    await w.warm();
    expect(() => findTarget(w.context)).toThrow(expect.objectContaining({ code: 'TARGET_MISSING', message }) as Error);
  });

  it('shows ten of many, and tells all of them to programs', async () => {
    const w = new World(new FakeHost(), names(40));
    await w.warm();
    try {
      findTarget(w.context);
      expect.unreachable();
    } catch (error) {
      expect((error as StorageError).message).toMatch(/40 found: (?:[^,]+, ){10}\.\.\.;/);
      expect((error as StorageError).facts['found']).toHaveLength(40);
    }
  });
});
