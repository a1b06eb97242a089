import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import type { FaultInput } from '../../sim/faults/fault-model.ts';
import { contentsOf, DaemonProcess, sectionFor } from '../flows/testing/daemon-process.ts';
import { called, until } from '../flows/testing/waiting.ts';

const GIB = 2 ** 30;
let sim: Simulator;
let daemon: DaemonProcess;
let storage: { id: string; config: Record<string, string | number> };

beforeEach(async () => {
  daemon = new DaemonProcess();
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  daemon.secret('tn', sim.apiKey);
  storage = { id: 'tn', config: sectionFor(sim) };
});
afterEach(async () => {
  await daemon.dispose();
  await sim.stop();
});

/** Kills the daemon when the array has got (`drop-answer`: and done) the call `method` of an operation, and starts it again. */
async function killAt(fault: FaultInput & { method: string }, operation: () => Promise<unknown>): Promise<void> {
  await daemon.start();
  await daemon.call('storage.activate', { storage });
  sim.resetCalls();
  sim.faults.add(fault);
  const lost = operation().then(
    () => 'answered',
    () => 'lost',
  );
  await called(sim, fault.method);
  // The answer is withheld, so that the daemon dies between this step and the next.
  await daemon.end('SIGKILL');
  expect(await lost).toBe('lost');
  sim.faults.clear();
}

async function settled(): Promise<void> {
  await daemon.start();
  await daemon.says('operation settled');
  expect(daemon.journal).toEqual([]);
}

describe('law 5: a daemon that is killed between any two steps leaves nothing unfinished and loses nothing finished', () => {
  const steps = ['pool.dataset.create', 'iscsi.extent.create', 'iscsi.targetextent.create'] as const;
  for (const method of steps) {
    for (const fault of ['drop-answer', 'mute'] as const) {
      it(`allocation, killed at ${method} (${fault === 'mute' ? 'not done' : 'done'})`, async () => {
        await killAt({ method, fault }, () => daemon.ask('volume.allocate', { storage, vmid: 100, size: GIB }));
        expect(daemon.journal).toHaveLength(1);
        await settled();
        expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
        await daemon.end('SIGTERM');
      });
    }
  }

  for (const method of ['iscsi.targetextent.delete', 'iscsi.extent.delete', 'pool.dataset.delete']) {
    for (const fault of ['drop-answer', 'mute'] as const) {
      it(`deletion, killed at ${method} (${fault === 'mute' ? 'not done' : 'done'}): is finished, and the other volume stays`, async () => {
        await daemon.start();
        const { volname: kept } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
        const { volname: volume } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
        await daemon.end('SIGTERM');
        await killAt({ method, fault }, () => daemon.ask('volume.free', { storage, volume }));
        await settled();
        expect(await contentsOf(sim)).toMatchObject({ zvols: [`${String(sim.dataset)}/${kept}`], extents: 1, mappings: 1 });
        await daemon.call('volume.free', { storage, volume: kept });
        await daemon.end('SIGTERM');
      });
    }
  }

  it('a caller that goes away in the middle (PVE’s 60 s alarm) leaves nothing either', async () => {
    await daemon.start();
    await daemon.call('storage.activate', { storage });
    sim.resetCalls();
    sim.faults.add({ method: 'iscsi.extent.create', fault: 'latency', ms: 1500, times: 1 });
    const { connect } = await import('node:net');
    const socket = connect(daemon.socket, () =>
      socket.write(
        `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'volume.allocate', params: { protocol: 1, storage, vmid: 100, size: GIB } })}\n`,
      ),
    );
    await called(sim, 'iscsi.extent.create');
    socket.destroy();
    await daemon.says('volume.allocate on storage');
    sim.faults.clear();
    await until(
      async () => (await contentsOf(sim)).zvols.length === 0 && daemon.journal.length === 0,
      () => `nothing is left: ${daemon.journal.join(' ')}`,
      90_000,
    );
    await daemon.end('SIGTERM');
  });

  it('SIGTERM finishes what runs before it ends', async () => {
    await daemon.start();
    await daemon.call('storage.activate', { storage });
    sim.resetCalls();
    sim.faults.add({ method: 'iscsi.extent.create', fault: 'latency', ms: 500, times: 1 });
    const answer = daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
    await called(sim, 'iscsi.extent.create');
    const status = daemon.end('SIGTERM');
    const { volname: volume } = await answer;
    expect(await status).toBe(0);
    sim.faults.clear();
    await daemon.start();
    await daemon.call('volume.free', { storage, volume });
    expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
    await daemon.end('SIGTERM');
  });
});
