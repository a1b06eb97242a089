import type { Simulator } from '../../sim/server/launch.ts';
import type { NodeUnderTest } from './node-under-test.ts';

const GIB = 2 ** 30;
const volume = 'vm-100-disk-0';
/** How many allocations, and then deletions, run side by side. */
export const AT_ONCE = 50;

/** One row of the table: what is done. They run in this order on one node; each begins with what the ones before it left. */
export type Operation = (node: NodeUnderTest, sim: Simulator) => Promise<unknown>;

export const OPERATIONS = {
  'cold start': (node) => node.call('storage.activate'),
  'storage.activate': (node) => node.call('storage.activate'),
  'storage.check': (node) => node.call('storage.check'),
  'storage.status': (node) => node.call('storage.status'),
  'volume.list': (node) => node.call('volume.list'),
  'overview.status': (node) => node.call('overview.status'),
  'overview.list': (node) => node.call('overview.list'),
  'overview.metrics': (node) => node.call('overview.metrics'),
  'overview.preflight': (node) => node.call('overview.preflight', { storage_id: 'tn', operation: 'allocate', size: GIB }),
  'overview.health': (node) => node.call('overview.health'),
  'storage.validate': (node) => node.call('storage.validate', { action: 'update' }),
  'volume.allocate': (node) => node.call('volume.allocate', { vmid: 100, size: GIB }),
  'volume.path': (node) => node.call('volume.path', { volume }),
  'volume.size': (node) => node.call('volume.size', { volume }),
  'volume.activate': (node) => node.call('volume.activate', { volume }),
  'volume.deactivate': (node) => node.call('volume.deactivate', { volume }),
  'snapshot.create': (node) => node.call('snapshot.create', { volume, snapshot: 's1' }),
  'snapshot.list': (node) => node.call('snapshot.list', { volume }),
  reconnect: async (node, sim) => {
    sim.faults.add({ fault: 'cut-before', nth: 1 });
    await node.acrossReconnect(node.call('snapshot.list', { volume }));
    await node.call('storage.activate');
  },
  'snapshot.rollback-check': (node) => node.call('snapshot.rollback-check', { volume, snapshot: 's1' }),
  'snapshot.rollback': (node) => node.call('snapshot.rollback', { volume, snapshot: 's1' }),
  'snapshot.delete': (node) => node.call('snapshot.delete', { volume, snapshot: 's1' }),
  'volume.resize': (node) => node.call('volume.resize', { volume, size: 2 * GIB }),
  'volume.free': (node) => node.call('volume.free', { volume }),
  [`${AT_ONCE} allocations at once`]: (node) =>
    Promise.all(Array.from({ length: AT_ONCE }, (_, n) => node.call('volume.allocate', { vmid: 200 + n, size: GIB }))),
  [`${AT_ONCE} deletions at once`]: (node) =>
    Promise.all(Array.from({ length: AT_ONCE }, (_, n) => node.call('volume.free', { volume: `vm-${200 + n}-disk-0` }))),
} as const satisfies Readonly<Record<string, Operation>>;

export type OperationName = keyof typeof OPERATIONS;
