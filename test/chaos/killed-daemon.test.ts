import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import type { FaultInput } from '../../sim/faults/fault-model.ts';
import { contentsOf, DaemonProcess, sectionFor } from '../flows/testing/daemon-process.ts';
import { called, until } from '../flows/testing/waiting.ts';

const GIB = 2 ** 30;

interface Stage {
  readonly sim: Simulator;
  readonly daemon: DaemonProcess;
  readonly storage: { readonly id: string; readonly config: Record<string, string | number> };
}

/** A test on an array and a daemon, not yet started, of its own: most of its time a daemon waits for what may still come true. */
function onStage(test: (stage: Stage) => Promise<void>): () => Promise<void> {
  return async () => {
    const daemon = new DaemonProcess();
    const sim = await launchSimulator({ blocks: 'memory', delays: false });
    try {
      daemon.secret('tn', sim.apiKey);
      await test({ sim, daemon, storage: { id: 'tn', config: sectionFor(sim) } });
    } finally {
      await daemon.dispose();
      await sim.stop();
    }
  };
}

/** Kills the daemon when the array has got (`drop-answer`: and done) the call `method` of an operation, and starts it again. */
async function killAt(
  { sim, daemon, storage }: Stage,
  fault: FaultInput & { method: string },
  operation: () => Promise<unknown>,
): Promise<void> {
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

/** The next extent is created `ms` after it was asked for. */
async function slowCreation({ sim, daemon, storage }: Stage, ms: number): Promise<void> {
  await daemon.call('storage.activate', { storage });
  sim.resetCalls();
  sim.faults.add({ method: 'iscsi.extent.create', fault: 'latency', ms, times: 1 });
}

async function settled({ daemon }: Stage): Promise<void> {
  await daemon.start();
  await daemon.says('operation settled');
  expect(daemon.journal).toEqual([]);
}

describe.concurrent('law 5: a daemon that is killed between any two steps leaves nothing unfinished and loses nothing finished', () => {
  const steps = ['pool.dataset.create', 'iscsi.extent.create', 'iscsi.targetextent.create'] as const;
  for (const method of steps) {
    for (const fault of ['drop-answer', 'mute'] as const) {
      it(
        `allocation, killed at ${method} (${fault === 'mute' ? 'not done' : 'done'})`,
        onStage(async (stage) => {
          const { sim, daemon, storage } = stage;
          await killAt(stage, { method, fault }, () => daemon.ask('volume.allocate', { storage, vmid: 100, size: GIB }));
          expect(daemon.journal).toHaveLength(1);
          await settled(stage);
          expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
          await daemon.end('SIGTERM');
        }),
      );
    }
  }

  for (const method of ['iscsi.targetextent.delete', 'iscsi.extent.delete', 'pool.dataset.delete']) {
    for (const fault of ['drop-answer', 'mute'] as const) {
      it(
        `deletion, killed at ${method} (${fault === 'mute' ? 'not done' : 'done'}): is finished, and the other volume stays`,
        onStage(async (stage) => {
          const { sim, daemon, storage } = stage;
          await daemon.start();
          const { volname: kept } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
          const { volname: volume } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
          await daemon.end('SIGTERM');
          await killAt(stage, { method, fault }, () => daemon.ask('volume.free', { storage, volume }));
          await settled(stage);
          expect(await contentsOf(sim)).toMatchObject({ zvols: [`${String(sim.dataset)}/${kept}`], extents: 1, mappings: 1 });
          await daemon.call('volume.free', { storage, volume: kept });
          await daemon.end('SIGTERM');
        }),
      );
    }
  }

  it(
    'a caller that goes away in the middle (PVE’s 60 s alarm) leaves nothing either',
    onStage(async (stage) => {
      const { sim, daemon, storage } = stage;
      await daemon.start();
      await slowCreation(stage, 1500);
      const request = { jsonrpc: '2.0', id: 1, method: 'volume.allocate', params: { protocol: 1, storage, vmid: 100, size: GIB } };
      const socket = connect(daemon.socket, () => socket.write(`${JSON.stringify(request)}\n`));
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
    }),
  );

  it(
    'SIGTERM finishes what runs before it ends',
    onStage(async (stage) => {
      const { sim, daemon, storage } = stage;
      await daemon.start();
      await slowCreation(stage, 500);
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
    }),
  );
});
