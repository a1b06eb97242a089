import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { RELEASES } from '../../src/core/array-port.ts';
import { contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';

const GIB = 2 ** 30;
const EMPTY = { zvols: [], extents: 0, mappings: 0, snapshots: 0, luns: [] };
/** Calls that keep a session and its cache, and change nothing. */
const isChange = (method: string): boolean => /\.(?:create|update|delete|rollback|clone)$/.test(method);

describe.each(RELEASES)('the life of a volume on %s', (release) => {
  let sim: Simulator;
  const daemon = new DaemonProcess();
  let storage: { id: string; config: Record<string, string | number> };

  beforeAll(async () => {
    sim = await launchSimulator({ release, blocks: 'memory', delays: false });
    daemon.secret('tn', sim.apiKey);
    storage = { id: 'tn', config: sectionFor(sim) };
    await daemon.start();
    await daemon.call('storage.activate', { storage });
  });
  afterAll(async () => {
    await daemon.dispose();
    await sim.stop();
  });

  /** Runs an operation and counts what it asked of the array. */
  async function counted(work: () => Promise<unknown>): Promise<{ changes: number; reads: number }> {
    sim.resetCalls();
    await work();
    const calls = Object.entries(sim.calls());
    const sum = (wanted: boolean): number =>
      calls.filter(([method]) => isChange(method) === wanted).reduce((total, [, count]) => total + count, 0);
    return { changes: sum(true), reads: sum(false) };
  }

  it('F-615..F-619: asks no more than the floor of each operation', async () => {
    const volume = 'vm-100-disk-0';
    const allocated = await counted(() => daemon.call('volume.allocate', { storage, vmid: 100, size: GIB }));
    expect(allocated.changes).toBe(3);
    expect(allocated.reads).toBeLessThanOrEqual(2);
    expect(await counted(() => daemon.call('storage.status', { storage }))).toEqual({ changes: 0, reads: 0 });
    expect(await counted(() => daemon.call('storage.check', { storage }))).toEqual({ changes: 0, reads: 0 });
    expect(await counted(() => daemon.call('volume.list', { storage }))).toEqual({ changes: 0, reads: 0 });
    expect(await counted(() => daemon.call('volume.size', { storage, volume }))).toEqual({ changes: 0, reads: 0 });
    expect(await counted(() => daemon.call('volume.path', { storage, volume }))).toEqual({ changes: 0, reads: 0 });
    expect(await counted(() => daemon.call('volume.resize', { storage, volume, size: 2 * GIB }))).toEqual({ changes: 1, reads: 0 });
    expect(await counted(() => daemon.call('snapshot.create', { storage, volume, snapshot: 's1' }))).toEqual({ changes: 1, reads: 0 });
    await daemon.call('snapshot.delete', { storage, volume, snapshot: 's1' });
    const freed = await counted(() => daemon.call('volume.free', { storage, volume }));
    expect(freed.changes).toBe(3);
    expect(freed.reads).toBeLessThanOrEqual(1);
    expect(await contentsOf(sim)).toEqual(EMPTY);
  });

  it('goes through snapshots, a blocked rollback, resize and free with snapshots', async () => {
    const { volname: volume } = await daemon.call('volume.allocate', {
      storage,
      vmid: 101,
      name: 'vm-101-cloudinit',
      size: 4 * 1024 * 1024,
    });
    await daemon.call('snapshot.create', { storage, volume, snapshot: 'one' });
    await daemon.call('snapshot.create', { storage, volume, snapshot: 'two' });
    expect(await daemon.call('snapshot.rollback-check', { storage, volume, snapshot: 'one' })).toEqual({ blockers: ['two'] });
    const blocked = await daemon.ask('snapshot.rollback', { storage, volume, snapshot: 'one' });
    expect(blocked.error).toMatchObject({ data: { code: 'ROLLBACK_BLOCKED' } });
    await daemon.call('snapshot.rollback', { storage, volume, snapshot: 'two' });
    expect((await daemon.call('snapshot.list', { storage, volume })).snapshots.map((snapshot) => snapshot.name)).toEqual(['one', 'two']);
    expect((await daemon.ask('snapshot.create', { storage, volume, snapshot: 'two' })).error).toMatchObject({
      data: { code: 'SNAPSHOT_EXISTS' },
    });
    expect((await daemon.ask('volume.resize', { storage, volume, size: 1024 * 1024 })).error).toMatchObject({
      data: { code: 'SHRINK_REFUSED' },
    });
    expect((await daemon.ask('volume.allocate', { storage, vmid: 101, name: 'vm-101-cloudinit', size: GIB })).error).toMatchObject({
      data: { code: 'VOLUME_EXISTS' },
    });
    await daemon.call('volume.free', { storage, volume });
    expect((await daemon.ask('volume.free', { storage, volume })).error).toMatchObject({ data: { code: 'VOLUME_MISSING' } });
    expect(await contentsOf(sim)).toEqual(EMPTY);
  });

  it('sees what another client makes and removes, by event', async () => {
    const other = new DaemonProcess('pve2');
    other.secret('tn', sim.apiKey);
    await other.start();
    try {
      const { volname: volume } = await other.call('volume.allocate', { storage, vmid: 200, size: GIB });
      expect(await daemon.call('volume.size', { storage, volume })).toMatchObject({ size: GIB });
      await daemon.call('volume.free', { storage, volume });
      expect(await contentsOf(sim)).toEqual(EMPTY);
    } finally {
      await other.dispose();
    }
  });
});
