import { beforeEach, describe, expect, it } from 'vitest';
import { beginStep } from '../core/deadline.ts';
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

describe('a call whose time is over (F-049)', () => {
  const within = async (handler: Handlers['volume.free'], params: object): Promise<unknown> => {
    const rpc = createRpc({ 'volume.free': handler } as unknown as Handlers, clock, new RecordingLog(), meter);
    const line = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'volume.free', params: { protocol: 1, storage, volume: 'v', ...params } });
    let answer: unknown = null;
    void rpc(line, new AbortController().signal).then((text) => {
      answer = JSON.parse(text ?? 'null');
    });
    await clock.advance(Number(Object.values(params)[0]) - 40);
    return answer;
  };

  it('tells the real reason, with time for what has to be taken back before', async () => {
    const answer = await within(
      async (_params, deadline) => {
        await new Promise((resolve) => deadline.signal.addEventListener('abort', resolve));
        await clock.sleep(1_500); // takes back
        throw new StorageError('OUTCOME_UNKNOWN', 'delete zvol tank/v: TrueNAS did not answer pool.dataset.delete within 43 s');
      },
      { deadline_ms: 45_000 },
    );
    expect(answer).toMatchObject({ error: { data: { code: 'OUTCOME_UNKNOWN' } } });
  });

  it('is answered before the caller gives up, with what was under way, although the work goes on', async () => {
    const answer = await within(
      async (_params, deadline) => {
        const step = beginStep(deadline, 'delete zvol tank/v');
        await clock.sleep(600_000);
        step.end();
        return {};
      },
      { deadline_ms: 45_000 },
    );
    expect(answer).toMatchObject({
      error: {
        message: 'volume.free: not done within 43 s; under way: delete zvol tank/v (43 s)',
        data: { code: 'DEADLINE', state: 'not known yet: the daemon goes on, and takes back what it does not finish' },
      },
    });
    await clock.advance(600_000);
  });

  it.each([
    [2_000, 1_750],
    [5_000, 4_750],
    [50_000, 48_000],
    [200, 150],
  ])('of %i ms gives its work %i ms', async (deadline_ms, expected) => {
    let left = 0;
    await within(
      (_params, deadline) => {
        left = deadline.remaining();
        return Promise.resolve({});
      },
      { deadline_ms },
    );
    expect(left).toBe(expected);
  });
});
