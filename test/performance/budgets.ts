import type { Release } from '../../src/core/array-port.ts';
import type { Calls } from './node-under-test.ts';
import { AT_ONCE, type OperationName } from './operations.ts';

export interface Budget {
  /** API calls, with those that follow in the background: exactly these, on an array with no, a hundred and a thousand volumes. */
  readonly calls: Calls;
  /** Bytes of our messages, at most. */
  readonly sent: number;
  /** Bytes of the array's messages with its events, at most: so many, and so many more for each volume that is there already. */
  readonly received: number;
  readonly perVolume?: number;
}

const NONE: Budget = { calls: {}, sent: 0, received: 0 };
/** What a login is, with the events that are subscribed to. */
const LOGIN: Calls = { 'auth.login_with_api_key': 1, 'auth.me': 1, 'core.subscribe': 7, 'system.version': 1 };
/** What the inventory of one storage is read with. */
const INVENTORY: Calls = {
  'auth.me': 1,
  'pool.dataset.query': 2,
  'iscsi.extent.query': 1,
  'iscsi.targetextent.query': 1,
  'iscsi.target.query': 1,
  'iscsi.global.config': 1,
  'iscsi.portal.query': 1,
  'service.query': 1,
};
/** What the watch of an array looks at after a login, and once a minute. */
const WATCH: Calls = { 'system.version': 1, 'pool.query': 1 };
/** What is asked twice, since the first caller and the watch load side by side. */
const TWICE: Calls = { 'auth.me': 1, 'pool.dataset.query': 1, 'service.query': 1 };
/** What `health` and the check of a changed storage look at. */
const LOOK: Calls = {
  'auth.me': 1,
  'system.version': 1,
  'pool.query': 1,
  'pool.dataset.query': 1,
  'iscsi.target.query': 1,
  'iscsi.global.config': 1,
  'iscsi.portal.query': 1,
  'service.query': 1,
};
const ALLOCATE: Calls = {
  'pool.dataset.create': 1,
  'iscsi.extent.create': 1,
  'iscsi.targetextent.create': 1,
  'iscsi.targetextent.query': 1,
};
const FREE: Calls = { 'iscsi.targetextent.delete': 1, 'iscsi.extent.delete': 1, 'pool.dataset.delete': 1, 'pool.dataset.query': 1 };

/**
 * What each operation may ask of the array. Names are those of 25.10; `NAMES` has what other releases call them. A number that falls is
 * welcome and belongs here; one that rises needs a reason that is worth it on an array with forty nodes.
 */
export const BUDGETS: Readonly<Record<OperationName, Budget>> = {
  // from nothing, and after the connection was lost in the middle of a read
  'cold start': { calls: sum(LOGIN, INVENTORY, WATCH, TWICE), sent: 3_100, received: 8_800, perVolume: 1_550 },
  reconnect: { calls: sum(LOGIN, INVENTORY, WATCH, { 'pool.snapshot.query': 2 }), sent: 2_950, received: 8_000, perVolume: 1_550 },

  // F-618, F-619: what pvestatd and the command line ask all the time costs nothing
  'storage.activate': NONE,
  'storage.check': NONE,
  'storage.status': NONE,
  'volume.list': NONE,
  'volume.path': NONE,
  'volume.size': NONE,
  'volume.activate': NONE,
  'volume.deactivate': NONE,
  'overview.status': NONE,
  'overview.list': NONE,
  'overview.metrics': NONE,

  // F-615, F-616: three changes and one look. The Perl plugin needs 8 and 10 to 12
  'volume.allocate': { calls: ALLOCATE, sent: 1_080, received: 8_000, perVolume: 48 },
  'volume.free': { calls: FREE, sent: 840, received: 1_450 },
  [`${AT_ONCE} allocations at once`]: { calls: times(AT_ONCE, ALLOCATE), sent: 54_000, received: 515_000, perVolume: 2_400 },
  [`${AT_ONCE} deletions at once`]: { calls: times(AT_ONCE, FREE), sent: 42_000, received: 72_000 },
  'volume.resize': { calls: { 'pool.dataset.update': 1 }, sent: 145, received: 6_700 },

  // F-617: the Perl plugin needs 1 for a snapshot, 5 to delete it, 4 to roll back
  'snapshot.create': { calls: { 'pool.snapshot.create': 1 }, sent: 185, received: 3_200 },
  'snapshot.list': { calls: { 'pool.snapshot.query': 1 }, sent: 205, received: 240 },
  'snapshot.rollback-check': { calls: { 'pool.snapshot.query': 1 }, sent: 205, received: 240 },
  'snapshot.rollback': {
    calls: { 'pool.snapshot.rollback': 1, 'pool.snapshot.query': 1, 'pool.dataset.query': 1 },
    sent: 790,
    received: 1_550,
  },
  'snapshot.delete': { calls: { 'pool.snapshot.delete': 1, 'pool.snapshot.query': 1 }, sent: 340, received: 260 },

  // what an operator asks looks at the array itself
  'overview.health': { calls: LOOK, sent: 1_030, received: 3_350 },
  'storage.validate': { calls: LOOK, sent: 1_030, received: 3_350 },
  'overview.preflight': { calls: LOOK, sent: 1_040, received: 3_850 },
};

/** What another release calls a method of 25.10. */
export const NAMES: Readonly<Record<Release, Readonly<Record<string, string>>>> = {
  '25.04': Object.fromEntries(['create', 'delete', 'query', 'rollback'].map((verb) => [`pool.snapshot.${verb}`, `zfs.snapshot.${verb}`])),
  '25.10': {},
  '26.0': {},
};

function sum(...all: readonly Calls[]): Calls {
  const total: Record<string, number> = {};
  for (const calls of all) for (const [method, count] of Object.entries(calls)) total[method] = (total[method] ?? 0) + count;
  return total;
}

function times(factor: number, calls: Calls): Calls {
  return Object.fromEntries(Object.entries(calls).map(([method, count]) => [method, count * factor]));
}
