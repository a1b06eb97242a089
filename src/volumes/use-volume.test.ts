import { describe, expect, it } from 'vitest';
import { FakeHost } from '../host/testing/fake-host.ts';
import { StorageError } from '../core/errors.ts';
import { allocate } from './allocate.ts';
import { attach, detach } from './attach.ts';
import { listVolumes, volumeSize } from './read-volumes.ts';
import { resize } from './resize.ts';
import { createSnapshot, deleteSnapshot, rollback, rollbackBlockers } from './snapshots.ts';
import { World } from './testing/world.ts';

const GIB = 2 ** 30;
const DISK = 'vm-100-disk-0';

async function withDisk(host = new FakeHost()): Promise<World> {
  const w = await new World(host).warm();
  await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
  w.array.calls.length = 0;
  return w;
}

describe('reading', () => {
  it('F-619: list and size need no call with a warm inventory', async () => {
    const w = await withDisk();
    expect(await w.run((context, deadline) => listVolumes(context, {}, deadline))).toMatchObject([{ volname: DISK, size: GIB, vmid: 100 }]);
    expect(await w.run((context, deadline) => volumeSize(context, DISK, deadline))).toMatchObject({ size: GIB });
    expect(w.array.calls).toEqual([]);
  });

  it('F-013, F-368: a list that cannot be read fails instead of being empty', async () => {
    const w = new World(new FakeHost());
    w.array.plan('mappings', 'down');
    await expect(w.run((context, deadline) => listVolumes(context, {}, deadline))).rejects.toMatchObject({ code: 'CALL_NOT_SENT' });
  });

  it('F-367: gives linked clones their base, volumes of the Perl plugins their old id, and leaves foreign zvols out', async () => {
    const w = await withDisk();
    const owner = [...w.array.zvolsById.values()][0]!.userProperties;
    w.array.putZvol('tank/pve/vm-101-disk-0', { origin: 'tank/pve/base-100-disk-1@__base__', userProperties: owner });
    w.array.putZvol('tank/pve/vm-102-disk-0');
    w.array.putMapping(1, w.array.putExtent('vm-102-disk-0', 'tank/pve/vm-102-disk-0').id, 9);
    w.array.putZvol('tank/pve/vm-103-disk-0');
    w.array.putZvol('tank/pve/pve-weight-x');
    w.array.emit({ kind: 'reconnected' });
    const names = (await w.run((context, deadline) => listVolumes(context, {}, deadline))).map((volume) => volume.volname);
    expect(names).toEqual([DISK, 'base-100-disk-1/vm-101-disk-0', 'vol-vm-102-disk-0-lun9']);
  });

  it('finds a volume that another node made without any event', async () => {
    const w = await withDisk();
    const zvol = [...w.array.zvolsById.values()][0]!;
    w.array.putZvol('tank/pve/vm-200-disk-0', { userProperties: zvol.userProperties, volsize: 2 * GIB });
    expect(await w.run((context, deadline) => volumeSize(context, 'vm-200-disk-0', deadline))).toMatchObject({ size: 2 * GIB });
    await expect(w.run((context, deadline) => volumeSize(context, 'vm-201-disk-0', deadline))).rejects.toMatchObject({
      code: 'VOLUME_MISSING',
    });
  });
});

describe('attach and detach', () => {
  it('F-103: looks again when the device is not the volume, and never hands a wrong one out', async () => {
    const host = new FakeHost();
    const w = await withDisk(host);
    const [mapping] = w.array.mappingsById.values();
    w.array.mappingsById.set(mapping!.id, { ...mapping!, lun: 77 }); // someone moved it, no event came
    host.served = (spec) => (spec.lun === 77 ? { naa: spec.naa, size: spec.size } : { naa: '0xother', size: spec.size });
    await w.run((context, deadline) => attach(context, host, DISK, undefined, deadline));
    expect(host.attached.get(`tn/${DISK}`)?.lun).toBe(77);
    host.served = () => ({ naa: '0xother', size: GIB });
    await expect(w.run((context, deadline) => attach(context, host, DISK, undefined, deadline))).rejects.toMatchObject({
      code: 'DEVICE_IDENTITY',
    });
  });

  it('F-316: refuses to open a snapshot instead of handing out the live volume', async () => {
    const w = await withDisk();
    await expect(w.run((context, deadline) => attach(context, context.host, DISK, 's1', deadline))).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
    });
  });

  it('detach succeeds for volumes that were never there and asks the array nothing', async () => {
    const w = new World(new FakeHost());
    await w.run((context, deadline) => detach(context, 'vm-999-disk-0', undefined, deadline));
    expect(w.array.calls).toEqual([]);
  });
});

describe('resize', () => {
  it('is one change, rounds up to the block size and grows the device before it returns', async () => {
    const host = new FakeHost();
    const w = await withDisk(host);
    await w.run((context, deadline) => attach(context, host, DISK, undefined, deadline));
    expect(await w.run((context, deadline) => resize(context, DISK, 2 * GIB + 1024, deadline))).toBe(2 * GIB + 16_384);
    expect(w.array.calls).toEqual(['resizeZvol']);
    expect(host.attached.get(`tn/${DISK}`)?.size).toBe(2 * GIB + 16_384);
  });

  it('refuses to shrink and accepts the size it has', async () => {
    const w = await withDisk();
    await expect(w.run((context, deadline) => resize(context, DISK, GIB / 2, deadline))).rejects.toMatchObject({ code: 'SHRINK_REFUSED' });
    await w.run((context, deadline) => resize(context, DISK, GIB, deadline));
    expect(w.array.calls).toEqual([]);
  });

  it('does not repeat a change that happened although its answer was lost', async () => {
    const w = await withDisk();
    w.array.plan('resizeZvol', 'after');
    await w.run((context, deadline) => resize(context, DISK, 2 * GIB, deadline));
    expect(w.array.calls).toEqual(['resizeZvol', 'zvol']);
  });
});

describe('snapshots', () => {
  const snap = (w: World, name: string): Promise<void> => w.run((context, deadline) => createSnapshot(context, DISK, name, deadline));

  it('F-617: taking one is exactly one change', async () => {
    const w = await withDisk();
    await snap(w, 's1');
    expect(w.array.calls).toEqual(['createSnapshot']);
    await expect(snap(w, 's1')).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
  });

  it('F-318, F-319: a rollback names the newer snapshots, also foreign ones, and destroys none', async () => {
    const w = await withDisk();
    await snap(w, 's1');
    await snap(w, 's2');
    w.array.putSnapshot(`tank/pve/${DISK}`, 'auto-daily');
    expect(await w.run((context, deadline) => rollbackBlockers(context, DISK, 's1', deadline))).toEqual(['s2', 'auto-daily']);
    await expect(w.run((context, deadline) => rollback(context, DISK, 's1', deadline))).rejects.toThrow(/s2, auto-daily/);
    expect(w.array.count('rollback', 'deleteSnapshot')).toBe(0);
  });

  it('F-321: a rollback drops this node’s cached blocks before and after', async () => {
    const host = new FakeHost();
    const w = await withDisk(host);
    await snap(w, 's1');
    await w.run((context, deadline) => attach(context, host, DISK, undefined, deadline));
    await w.run((context, deadline) => rollback(context, DISK, 's1', deadline));
    expect(host.flushed.get(`tn/${DISK}`)).toBe(2);
  });

  it('deleting one that is gone is fine; one that stays although "deleted" is an error (F-315)', async () => {
    const w = await withDisk();
    await w.run((context, deadline) => deleteSnapshot(context, DISK, 'gone', deadline));
    await snap(w, 's1');
    w.array.deleteSnapshot = () => Promise.resolve();
    await expect(w.run((context, deadline) => deleteSnapshot(context, DISK, 's1', deadline))).rejects.toMatchObject({
      code: 'DELETE_UNCONFIRMED',
    });
  });

  it.each(['', '1abc', 'a', 'a b', 'a@b', 'a/b', '-x', 'x'.repeat(41), '../x'])('refuses the name %j', async (name) => {
    const w = await withDisk();
    await expect(snap(w, name)).rejects.toBeInstanceOf(StorageError);
    expect(w.array.calls).toEqual([]);
  });
});
