import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { RELEASES } from '../../src/core/array-port.ts';
import { contentsOf, DaemonProcess, sectionFor } from '../flows/testing/daemon-process.ts';
import { until } from '../flows/testing/waiting.ts';

const GIB = 2 ** 30;

describe.each(RELEASES)('F-056, F-206, F-302 on %s: a lost answer or a cut connection never makes two of anything', (release) => {
  let sim: Simulator;
  let daemon: DaemonProcess;
  let storage: { id: string; config: Record<string, string | number> };

  beforeEach(async () => {
    daemon = new DaemonProcess();
    sim = await launchSimulator({ release, blocks: 'memory', delays: false });
    daemon.secret('tn', sim.apiKey);
    storage = { id: 'tn', config: sectionFor(sim, { api_timeout: 2 }) };
    await daemon.start();
    await daemon.call('storage.activate', { storage });
  });
  afterEach(async () => {
    await daemon.dispose();
    await sim.stop();
  });

  for (const fault of ['cut-before', 'cut-after'] as const) {
    for (const method of ['pool.dataset.create', 'iscsi.extent.create', 'iscsi.targetextent.create']) {
      it(`allocation: ${fault} at ${method}`, async () => {
        sim.faults.add({ method, fault, nth: 1 });
        const { result } = await daemon.ask('volume.allocate', { storage, vmid: 100, size: GIB });
        sim.faults.clear();
        const made = await contentsOf(sim);
        const count = result === undefined ? 0 : 1;
        expect(made).toMatchObject({ extents: count, mappings: count });
        expect(made.zvols).toHaveLength(count);
        if (result !== undefined) await daemon.call('volume.free', { storage, volume: (result as { volname: string }).volname });
        expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
      });
    }
    for (const method of ['iscsi.targetextent.delete', 'iscsi.extent.delete', 'pool.dataset.delete']) {
      it(`deletion: ${fault} at ${method}`, async () => {
        const { volname: volume } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
        sim.faults.add({ method, fault, nth: 1 });
        await daemon.ask('volume.free', { storage, volume });
        sim.faults.clear();
        await until(
          async () => (await contentsOf(sim)).zvols.length === 0,
          () => 'the zvol is gone',
        );
        expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
      });
    }
  }

  it('a full pool refuses with the reason and leaves nothing', async () => {
    sim.faults.add({ fault: 'pool-full' });
    const { error } = await daemon.ask('volume.allocate', { storage, vmid: 100, size: GIB });
    expect(error?.data?.code).toBe('NO_SPACE');
    sim.faults.clear();
    expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
  });

  it('F-002: an expired session is renewed without a failed call', async () => {
    sim.faults.add({ method: 'pool.dataset.create', fault: 'session-expired', nth: 1 });
    const { volname: volume } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
    sim.faults.clear();
    await daemon.call('volume.free', { storage, volume });
    expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
  });
});

describe('F-013: an array that does not answer', () => {
  it('is told inactive in time, its list fails instead of being empty, and another storage does not notice', async () => {
    const dead = await launchSimulator({ blocks: 'memory', delays: false });
    const alive = await launchSimulator({ blocks: 'memory', delays: false });
    const daemon = new DaemonProcess();
    daemon.secret('dead', dead.apiKey);
    daemon.secret('alive', alive.apiKey);
    await daemon.start();
    try {
      const deadStorage = { id: 'dead', config: sectionFor(dead, { api_timeout: 2 }) };
      const aliveStorage = { id: 'alive', config: sectionFor(alive) };
      dead.faults.add({ fault: 'mute' });
      const [status, other] = await Promise.all([
        daemon.call('storage.status', { storage: deadStorage }),
        daemon.call('storage.status', { storage: aliveStorage }),
      ]);
      expect(status.active).toBe(false);
      expect(status.reason).not.toBe('');
      expect(other.active).toBe(true);
      const list = await daemon.ask('volume.list', { storage: deadStorage, deadline_ms: 3000 });
      expect(list.error).toBeDefined();
      dead.faults.clear();
      await expect.poll(async () => (await daemon.call('storage.status', { storage: deadStorage })).active, { timeout: 60_000 }).toBe(true);
    } finally {
      await daemon.dispose();
      await dead.stop();
      await alive.stop();
    }
  });
});
