import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { withDeadline } from '../../src/core/deadline.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import { BUDGETS } from './budgets.ts';
import { type ArrayUnderTest, violations } from './compare.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { type Operation, type OperationName, OPERATIONS } from './operations.ts';

const GIB = 2 ** 30;
const operations = Object.entries(OPERATIONS) as [OperationName, Operation][];

const ARRAYS = [
  { release: '25.10', volumes: 0 },
  { release: '25.10', volumes: 100 },
  { release: '25.10', volumes: 1000 },
  { release: '25.04', volumes: 100 },
  { release: '26.0', volumes: 100 },
] as const satisfies readonly ArrayUnderTest[];

/** Fills the array from another node. */
async function fill(sim: Simulator, volumes: number): Promise<void> {
  const other = await NodeUnderTest.start(sim);
  const atOnce = 20;
  for (let made = 0; made < volumes; made += atOnce) {
    await Promise.all(Array.from({ length: atOnce }, (_, n) => other.call('volume.allocate', { vmid: 1000 + made + n, size: GIB })));
  }
  await other.stop();
}

describe.each(ARRAYS)('on $release with $volumes volumes', ({ release, volumes }) => {
  let sim: Simulator;
  let node: NodeUnderTest;

  beforeAll(async () => {
    sim = await launchSimulator({ release, blocks: 'memory', delays: false });
    await fill(sim, volumes);
    node = await NodeUnderTest.start(sim);
  });
  afterAll(async () => {
    await node.stop();
    await sim.stop();
  });

  // In the order of the table: each begins with what the ones before it left.
  it.each(operations)('%s keeps its budget', async (name, operation) => {
    const measured = await node.measure(() => operation(node, sim));
    expect(violations(BUDGETS[name], measured, { release, volumes })).toEqual([]);
  });

  it('an added call is noticed', async () => {
    // A node of its own: the clock of the other one is near the minute at which space is read anew.
    const fresh = await NodeUnderTest.start(sim);
    await fresh.call('storage.status');
    const { array } = await fresh.context();
    const measured = await fresh.measure(async () => {
      await fresh.call('storage.status');
      await withDeadline(systemClock, 10_000, 'one too many', (deadline) => array.ping(deadline));
    });
    expect(violations(BUDGETS['storage.status'], measured, { release, volumes })).toEqual([
      'system.version: 1 calls, the budget is 0',
      expect.stringMatching(/bytes sent, the budget is 0$/),
      expect.stringMatching(/bytes received, the budget is 0$/),
    ]);
    await fresh.stop();
  });
});
