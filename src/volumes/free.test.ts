import { describe, expect, it } from 'vitest';
import { FakeHost } from '../host/testing/fake-host.ts';
import { deadlineAfter } from '../core/deadline.ts';
import { RefusedError } from '../core/errors.ts';
import { allocate } from './allocate.ts';
import { finishFree, free } from './free.ts';
import { createSnapshot } from './snapshots.ts';
import type { Mishap } from './testing/fake-array.ts';
import { World } from './testing/world.ts';

const GIB = 2 ** 30;
const EMPTY = { zvols: 0, extents: 0, mappings: 0, snapshots: 0 };

async function withDisk(host = new FakeHost()): Promise<World> {
  const w = await new World(host).warm();
  await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
  w.array.calls.length = 0;
  return w;
}
const freeIt = (w: World, name = 'vm-100-disk-0'): Promise<void> => w.run((context, deadline) => free(context, name, deadline));

describe('free', () => {
  it('F-616: needs three changes and one read, in the order that never deletes the target', async () => {
    const w = await withDisk();
    await freeIt(w);
    expect(w.array.calls).toEqual(['deleteMapping', 'deleteExtent', 'deleteZvol', 'datasetAndZvol']);
    expect(w.array.contents()).toEqual(EMPTY);
    expect(w.journal.open.size).toBe(0);
  });

  it('removes snapshots that it knows of and ones that it does not know of', async () => {
    const w = await withDisk();
    await w.run((context, deadline) => createSnapshot(context, 'vm-100-disk-0', 's1', deadline));
    await freeIt(w);
    expect(w.array.contents()).toEqual(EMPTY);
    const other = await withDisk();
    other.array.putSnapshot('tank/pve/vm-100-disk-0', 'auto-2026-01-01');
    await freeIt(other);
    expect(other.array.contents()).toEqual(EMPTY);
  });

  it('changes nothing when a clone hangs on a snapshot that is known', async () => {
    const w = await withDisk();
    await w.run((context, deadline) => createSnapshot(context, 'vm-100-disk-0', 's1', deadline));
    w.array.putZvol('other/clone', { origin: 'tank/pve/vm-100-disk-0@s1' });
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'VOLUME_HAS_CLONES' });
    expect(w.array.contents()).toEqual({ zvols: 2, extents: 1, mappings: 1, snapshots: 1 });
    expect(w.array.count('deleteMapping', 'deleteExtent', 'deleteZvol', 'deleteSnapshot')).toBe(0);
  });

  it('changes nothing when somebody exports the zvol by NVMe-oF: TrueNAS would delete the namespace with it', async () => {
    const w = await withDisk();
    w.array.mappingsById.clear();
    w.array.extentsById.clear();
    const subsystem = { id: 1, name: 'other', nqn: null };
    w.array.namespacesById.set(1, { id: 1, nsid: 3, subsystem, disk: 'zvol/tank/pve/vm-100-disk-0', uuid: 'u', enabled: true });
    await w.run((context, deadline) => context.inventory.reconcile(deadline));
    w.array.calls.length = 0;
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'VOLUME_BUSY', message: expect.stringContaining("'other', NSID 3") as string });
    expect(w.array.calls).toEqual(['namespaces']);
    w.array.namespacesById.clear();
    await freeIt(w);
    expect(w.array.contents()).toEqual(EMPTY);
  });

  it('knows an extent that somebody made a moment ago on 25.04, whose events carry ids only', async () => {
    const w = await withDisk();
    w.array.release_ = '25.04';
    const extent = w.array.putExtent('by-hand', 'tank/pve/vm-100-disk-0');
    w.array.emit({ kind: 'extent', id: extent.id, change: 'added' });
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'VOLUME_BUSY', message: expect.stringContaining("'by-hand'") as string });
    expect(w.array.count('deleteMapping', 'deleteExtent', 'deleteZvol')).toBe(0);
  });

  it('exports the volume again when clones of an unknown snapshot forbid the deletion', async () => {
    const w = await withDisk();
    w.array.putSnapshot('tank/pve/vm-100-disk-0', 'auto');
    w.array.putZvol('other/clone', { origin: 'tank/pve/vm-100-disk-0@auto' });
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'VOLUME_HAS_CLONES' });
    expect(w.array.contents()).toEqual({ zvols: 2, extents: 1, mappings: 1, snapshots: 1 });
    expect(w.journal.open.size).toBe(0);
  });

  it('changes nothing while a snapshot that is known is held, and says how to let go of it', async () => {
    const w = await withDisk();
    await w.run((context, deadline) => createSnapshot(context, 'vm-100-disk-0', 's1', deadline));
    w.array.holds.add('tank/pve/vm-100-disk-0@s1');
    await expect(freeIt(w)).rejects.toMatchObject({
      code: 'VOLUME_BUSY',
      message: "volume 'tn:vm-100-disk-0' cannot be deleted: somebody holds its snapshots 'tank/pve/vm-100-disk-0@s1'",
    });
    expect(w.array.contents()).toEqual({ zvols: 1, extents: 1, mappings: 1, snapshots: 1 });
    expect(w.array.count('deleteMapping', 'deleteExtent', 'deleteZvol', 'deleteSnapshot')).toBe(0);
  });

  it('exports the volume again when an unknown snapshot turns out to be held', async () => {
    const w = await withDisk();
    w.array.putSnapshot('tank/pve/vm-100-disk-0', 'auto');
    w.array.holds.add('tank/pve/vm-100-disk-0@auto');
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'VOLUME_BUSY' });
    expect(w.array.contents()).toEqual({ zvols: 1, extents: 1, mappings: 1, snapshots: 1 });
    expect(w.journal.open.size).toBe(0);
  });

  it('is not begun without the role that it ends with', async () => {
    const w = await withDisk();
    w.array.roles_ = ['READONLY_ADMIN', 'DATASET_WRITE', 'SHARING_ISCSI_EXTENT_WRITE', 'SHARING_ISCSI_TARGETEXTENT_WRITE'];
    await w.run((context, deadline) => context.inventory.refreshRoles(deadline));
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'NOT_AUTHORIZED', message: expect.stringContaining('DATASET_DELETE') as string });
    expect(w.array.count('deleteMapping', 'deleteExtent', 'deleteZvol')).toBe(0);
    w.array.roles_ = ['FULL_ADMIN'];
    await freeIt(w);
    expect(w.array.contents()).toEqual(EMPTY);
  });

  it('says what TrueNAS said when the time ends between two attempts', async () => {
    const w = await withDisk();
    w.array.deleteZvol = () => Promise.reject(new RefusedError('VOLUME_BUSY', 'dataset is busy', { errno: 16 }));
    const short = w.run(async (context) => {
      const deadline = deadlineAfter(w.clock, 1000, 'test');
      await free(context, 'vm-100-disk-0', deadline).finally(() => deadline.release());
    });
    await expect(short).rejects.toMatchObject({
      code: 'DELETE_UNCONFIRMED',
      message: expect.stringMatching(
        /'tank\/pve\/vm-100-disk-0' is still there after 2 attempts to delete it \(dataset is busy\)/,
      ) as string,
    });
    expect(w.journal.left).toHaveLength(1);
  });

  it('F-312: refuses while something on this node holds the device, and changes nothing', async () => {
    const host = new FakeHost();
    const w = await withDisk(host);
    host.holders = () => Promise.resolve(['mounted on /mnt']);
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'VOLUME_BUSY' });
    expect(w.array.calls).toEqual([]);
  });

  it('never touches a zvol that is not ours, nor one that someone else exports too', async () => {
    const w = await new World(new FakeHost()).warm();
    w.array.putZvol('tank/pve/vm-100-disk-0');
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'VOLUME_FOREIGN' });
    const shared = await withDisk();
    shared.array.putExtent('by-hand', 'tank/pve/vm-100-disk-0');
    shared.array.emit({ kind: 'reconnected' });
    await expect(freeIt(shared)).rejects.toMatchObject({ code: 'VOLUME_BUSY' });
    expect(shared.array.contents()).toEqual({ zvols: 1, extents: 2, mappings: 1, snapshots: 0 });
  });

  it('frees a volume of the Perl plugins by its old id, whatever LUN stands in it (F-103, F-501, F-508)', async () => {
    const w = await new World(new FakeHost()).warm();
    w.array.putZvol('tank/pve/vm-100-disk-0');
    const extent = w.array.putExtent('vm-100-disk-0-3bb3bd86', 'tank/pve/vm-100-disk-0');
    w.array.extentsById.set(extent.id, { ...extent, name: `vm-100-disk-0-${await sha('tank/pve/vm-100-disk-0')}` });
    w.array.putMapping(1, extent.id, 7);
    w.array.emit({ kind: 'reconnected' });
    await freeIt(w, 'vol-vm-100-disk-0-lun3');
    expect(w.array.contents()).toEqual(EMPTY);
  });

  it('F-313: a volume that is absent is said to be absent', async () => {
    const w = await new World(new FakeHost()).warm();
    await expect(freeIt(w)).rejects.toMatchObject({ code: 'VOLUME_MISSING' });
  });

  it('F-315: believes its eyes, not the answer, and tries again while the zvol is busy', async () => {
    const w = await withDisk();
    let refusals = 2;
    const real = w.array.deleteZvol;
    w.array.deleteZvol = (id) => {
      if (refusals-- > 0) return Promise.resolve(); // "true", and nothing happened (26.0)
      return real(id);
    };
    await freeIt(w);
    expect(w.array.contents()).toEqual(EMPTY);
    const busy = await withDisk();
    busy.array.deleteZvol = () => Promise.reject(new RefusedError('VOLUME_BUSY', 'dataset is busy', { errno: 16 }));
    await expect(freeIt(busy)).rejects.toMatchObject({ code: 'DELETE_UNCONFIRMED' });
    expect(busy.journal.left).toHaveLength(1);
  });

  describe('whatever befalls a call, the deletion ends or is left to be finished', () => {
    for (const method of ['deleteMapping', 'deleteExtent', 'deleteZvol', 'datasetAndZvol'] as const) {
      for (const mishap of ['before', 'after', 'down'] satisfies Mishap[]) {
        it(`${method}: ${mishap}`, async () => {
          const w = await withDisk();
          w.array.plan(method, mishap);
          await freeIt(w).catch(() => undefined);
          for (const operation of w.journal.left) await w.run((context, deadline) => finishFree(context, operation, deadline));
          expect(w.array.contents()).toEqual(EMPTY);
        });
      }
    }
  });

  it('finishing an old deletion leaves a new volume of the same name alone', async () => {
    const w = await withDisk();
    w.array.plan('deleteZvol', 'down');
    await freeIt(w).catch(() => undefined);
    const [operation] = w.journal.left;
    w.array.zvolsById.clear();
    w.array.emit({ kind: 'reconnected' });
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
    await w.run((context, deadline) => finishFree(context, operation!, deadline));
    expect(w.array.contents()).toEqual({ zvols: 1, extents: 1, mappings: 1, snapshots: 0 });
  });
});

async function sha(text: string): Promise<string> {
  const { createHash } = await import('node:crypto');
  return createHash('sha1').update(text).digest('hex').slice(0, 8);
}
