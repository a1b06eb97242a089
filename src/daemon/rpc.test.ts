import { beforeEach, describe, expect, it } from 'vitest';
import { StorageError } from '../core/errors.ts';
import { ManualClock, RecordingLog } from '../core/testing/manual-clock.ts';
import { PromMeter } from '../observe/metrics.ts';
import { createRpc, type Handlers } from './rpc.ts';

const storage = { id: 'tn', config: {} };
let meter: PromMeter;
let clock: ManualClock;
let ask: (method: string, params: object) => Promise<unknown>;

beforeEach(() => {
  meter = new PromMeter();
  clock = new ManualClock();
  const handlers = {
    'storage.activate': async () => {
      await clock.advance(1_500);
      return {};
    },
    'volume.free': () => Promise.reject(new StorageError('VOLUME_MISSING', 'no such volume')),
    'storage.check': () => Promise.reject(new TypeError('a fault of ours')),
    'overview.exposition': () => Promise.resolve({ text: '' }),
  } as unknown as Handlers;
  const rpc = createRpc(handlers, clock, new RecordingLog(), meter);
  ask = (method, params) => rpc(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }), new AbortController().signal);
});

async function operations(): Promise<unknown> {
  return (await meter.snapshot()).find(({ name }) => name === 'pve_truenas_operations_total')?.values;
}

describe('every call is counted', () => {
  it.each([
    ['one that is done', 'storage.activate', { protocol: 1, storage }, { storage: 'tn', outcome: 'ok' }],
    ['one that failed, by its code', 'volume.free', { protocol: 1, storage, volume: 'v' }, { storage: 'tn', outcome: 'VOLUME_MISSING' }],
    ['a fault of ours', 'storage.check', { protocol: 1, storage }, { storage: 'tn', outcome: 'INTERNAL' }],
    ['one about no storage', 'overview.exposition', { protocol: 1, format: 'openmetrics' }, { storage: '', outcome: 'ok' }],
    [
      'one that cannot be read, under no name',
      'volume.free',
      { protocol: 1, storage: { id: '../x', config: {} } },
      { storage: '', outcome: 'BAD_REQUEST' },
    ],
    ['one of another protocol', 'storage.activate', { protocol: 99, storage }, { storage: '', outcome: 'PROTOCOL_VERSION' }],
  ])('%s', async (_what, operation, params, labels) => {
    await ask(operation, params);
    expect(await operations()).toEqual([{ labels: { operation, ...labels }, value: 1 }]);
  });

  it('with its time', async () => {
    await ask('storage.activate', { protocol: 1, storage });
    const times = (await meter.snapshot()).find(({ name }) => name === 'pve_truenas_operation_duration_seconds')?.distributions;
    expect(times).toMatchObject([{ labels: { storage: 'tn', operation: 'storage.activate' }, count: 1, sum: 1.5 }]);
  });

  it('but for methods that do not exist: a client must not be able to make up labels', async () => {
    await ask('volume.explode', { protocol: 1 });
    expect(await operations()).toEqual([]);
  });
});
