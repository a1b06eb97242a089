import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';

const GIB = 2 ** 30;
let sim: Simulator;
const nodes = [new DaemonProcess('pve1'), new DaemonProcess('pve2')];

beforeAll(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  for (const node of nodes) {
    node.secret('tn', sim.apiKey);
    await node.start();
  }
});
afterAll(async () => {
  for (const node of nodes) await node.dispose();
  await sim.stop();
});

it('F-604: 50 parallel allocations of one storage from two nodes give 50 disks and 50 LUNs, no error, no orphan', async () => {
  const storage = { id: 'tn', config: sectionFor(sim) };
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_unused, n) =>
      (nodes[n % 2] as DaemonProcess).ask('volume.allocate', { storage, vmid: 100 + (n % 5), size: GIB }),
    ),
  );
  expect(answers.map((answer) => answer.error).filter((error) => error !== undefined)).toEqual([]);
  const names = answers.map((answer) => (answer.result as { volname: string }).volname);
  expect(new Set(names).size).toBe(50);
  const made = await contentsOf(sim);
  expect(made).toMatchObject({ extents: 50, mappings: 50 });
  expect(made.zvols).toHaveLength(50);
  expect(new Set(made.luns).size).toBe(50);
  for (const node of nodes) expect(node.journal).toEqual([]);

  const freed = await Promise.all(names.map((volume, n) => (nodes[(n + 1) % 2] as DaemonProcess).ask('volume.free', { storage, volume })));
  expect(freed.map((answer) => answer.error).filter((error) => error !== undefined)).toEqual([]);
  expect(await contentsOf(sim)).toMatchObject({ zvols: [], extents: 0, mappings: 0 });
});
