import { beforeEach, describe, expect, it } from 'vitest';
import type { ArrayConnection } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import type { StorageSection } from '../config/storage-cfg.ts';
import { FakeHost } from '../host/testing/fake-host.ts';
import { PromMeter } from '../observe/metrics.ts';
import { allocate } from '../volumes/allocate.ts';
import type { StorageContext } from '../volumes/context.ts';
import type { StorageState } from '../volumes/storage-state.ts';
import { World } from '../volumes/testing/world.ts';
import { metricsSource, type MetricsSource } from './collect-metrics.ts';

const GIB = 2 ** 30;
const SETTINGS = { api_host: 'nas', dataset: 'tank/pve', target_iqn: 'pve', discovery_portal: '127.0.0.1' };
const section = (id: string, more: Record<string, string> = {}): StorageSection => ({
  type: 'truenasplugin',
  id,
  line: 1,
  properties: { ...SETTINGS, ...more },
});

let world: World;
let sections: readonly StorageSection[] | Error;
let known: readonly StorageContext[];
let state: StorageState['state'];
let summary: { entries: number; oldest: number | null };
let source: MetricsSource;

beforeEach(async () => {
  world = await new World(new FakeHost()).warm();
  sections = [section('tn')];
  known = [world.context];
  state = 'healthy';
  summary = { entries: 0, oldest: null };
  const meter = new PromMeter();
  source = metricsSource({
    meter,
    configured: () => (sections instanceof Error ? Promise.reject(sections) : Promise.resolve(sections)),
    known: () => known,
    state: () => state,
    journal: {
      get summary() {
        return summary;
      },
    },
    processMetrics: () => undefined,
    version: '1.2.3',
    node: 'pve1',
    clock: world.clock,
  });
});

/** Values of one metric: labels without names, joined, to the value. */
async function values(name: string): Promise<Record<string, number>> {
  const metric = (await source.snapshot()).find((one) => one.name === name);
  if (metric === undefined) throw new Error(`no metric ${name}`);
  return Object.fromEntries(metric.values.map(({ labels, value }) => [Object.values(labels).join(' '), value]));
}

function connectionIs(more: Partial<ArrayConnection>): void {
  const before = world.array.connection();
  world.array.connection = () => ({ ...before, ...more });
}

describe('without a call to the array', () => {
  it('tells space, volumes, sizes and over-commitment', async () => {
    for (const size of [5 * GIB, 10 * GIB]) await world.run((context, deadline) => allocate(context, { vmid: 100, size }, deadline));
    world.array.dataset_ = { ...world.array.dataset_, used: 4 * GIB, available: 6 * GIB };
    await world.run((context, deadline) => context.inventory.refreshDataset('tank/pve', deadline));
    world.array.calls.length = 0;
    expect(await values('pve_truenas_dataset_available_bytes')).toEqual({ 'tn tank/pve': 6 * GIB });
    expect(await values('pve_truenas_dataset_used_bytes')).toEqual({ 'tn tank/pve': 4 * GIB });
    expect(await values('pve_truenas_volumes')).toEqual({ tn: 2 });
    expect(await values('pve_truenas_volume_size_bytes')).toEqual({ tn: 15 * GIB });
    expect(await values('pve_truenas_overcommit_ratio')).toEqual({ tn: 1.5 });
    expect(world.array.calls).toEqual([]);
  });

  it('tells state and session of the array', async () => {
    connectionIs({ sessionSince: world.clock.now() - 90_000, inFlight: 3 });
    expect(await values('pve_truenas_array_up')).toEqual({ 'nas:443': 1 });
    expect(await values('pve_truenas_session_age_seconds')).toEqual({ 'nas:443': 90 });
    expect(await values('pve_truenas_api_calls_in_flight')).toEqual({ 'nas:443': 3 });
    expect(await values('pve_truenas_rate_limit_seconds_left')).toEqual({ 'nas:443': 0 });
    expect(await values('pve_truenas_storage_state')).toEqual({ 'tn healthy': 1, 'tn degraded': 0, 'tn down': 0 });
    expect(world.array.calls).toEqual([]);
  });

  it('tells of a lost array: down, no session age, and what was known before with its growing age', async () => {
    await world.clock.advance(40_000);
    state = 'down';
    connectionIs({ state: 'waiting', since: world.clock.now(), sessionSince: null, error: new StorageError('ARRAY_UNREACHABLE', 'gone') });
    await world.clock.advance(30_000);
    expect(await values('pve_truenas_array_up')).toEqual({ 'nas:443': 0 });
    expect(await values('pve_truenas_session_age_seconds')).toEqual({ 'nas:443': 0 });
    expect(await values('pve_truenas_storage_state')).toMatchObject({ 'tn down': 1 });
    expect((await values('pve_truenas_inventory_age_seconds'))['nas:443 zvols']).toBeGreaterThanOrEqual(70);
    expect(await values('pve_truenas_volumes')).toEqual({ tn: 0 });
  });

  it('tells how long a rate limit lasts, never less than nothing', async () => {
    connectionIs({ limited: { until: world.clock.now() + 41_000, reason: 'login window' } });
    expect(await values('pve_truenas_rate_limit_seconds_left')).toEqual({ 'nas:443': 41 });
    await world.clock.advance(50_000);
    expect(await values('pve_truenas_rate_limit_seconds_left')).toEqual({ 'nas:443': 0 });
  });

  it('tells the state that the watch knows', async () => {
    state = 'degraded';
    expect(await values('pve_truenas_storage_state')).toMatchObject({ 'tn healthy': 0, 'tn degraded': 1 });
  });

  it('says nothing of volumes and ages that were never read', async () => {
    known = [new World(new FakeHost()).context];
    for (const name of ['pve_truenas_volumes', 'pve_truenas_volume_size_bytes', 'pve_truenas_overcommit_ratio']) {
      expect(await values(name)).toEqual({});
    }
    expect(await values('pve_truenas_inventory_age_seconds')).toEqual({});
  });

  it('says nothing of volumes while the target is not there, since some may be foreign', async () => {
    known = [await new World(new FakeHost(), world.array, { target: 'other' }).warm().then(({ context }) => context)];
    expect(await values('pve_truenas_volumes')).toEqual({});
    expect(await values('pve_truenas_dataset_available_bytes')).toEqual({ 'tn tank/pve': 1e12 });
  });
});

describe('several storages', () => {
  const second = (): Promise<World> => new World(new FakeHost(), world.array, { id: 'second' }).warm();

  it('on one array make one array', async () => {
    sections = [section('tn'), section('second')];
    known = [world.context, (await second()).context];
    expect(await values('pve_truenas_array_up')).toEqual({ 'nas:443': 1 });
    expect(await values('pve_truenas_volumes')).toEqual({ tn: 0, second: 0 });
  });

  it('one that is gone from storage.cfg vanishes, with its array', async () => {
    sections = [section('tn'), section('other')];
    known = [world.context, { ...world.context, config: { ...world.context.config, id: 'other', apiHost: 'nas2' } }];
    expect(Object.keys(await values('pve_truenas_array_up'))).toEqual(['nas:443', 'nas2:443']);
    sections = [section('tn')];
    expect(Object.keys(await values('pve_truenas_array_up'))).toEqual(['nas:443']);
    expect(Object.keys(await values('pve_truenas_storage_state'))).toEqual(['tn healthy', 'tn degraded', 'tn down']);
    expect(Object.keys(await values('pve_truenas_dataset_used_bytes'))).toEqual(['tn tank/pve']);
  });

  it('one with a fault in its settings is down, one that is disabled or for other nodes is not told of', async () => {
    sections = [
      section('tn'),
      section('faulty', { api_port: 'x' }),
      section('off', { disable: '1' }),
      section('elsewhere', { nodes: 'pve7' }),
      section('off-and-faulty', { api_port: 'x', disable: '1' }),
    ];
    expect(await values('pve_truenas_storage_state')).toEqual({
      'tn healthy': 1,
      'tn degraded': 0,
      'tn down': 0,
      'faulty healthy': 0,
      'faulty degraded': 0,
      'faulty down': 1,
    });
  });

  it('are told of from memory when storage.cfg cannot be read', async () => {
    sections = new Error('EIO');
    expect(await values('pve_truenas_storage_state')).toMatchObject({ 'tn healthy': 1 });
  });
});

it('brackets an IPv6 address of an array', async () => {
  known = [{ ...world.context, config: { ...world.context.config, apiHost: '2001:db8::1' } }];
  expect(await values('pve_truenas_array_up')).toEqual({ '[2001:db8::1]:443': 1 });
});

it('tells of journal and program', async () => {
  summary = { entries: 2, oldest: world.clock.now() - 61_000 };
  expect(await values('pve_truenas_journal_entries')).toEqual({ '': 2 });
  expect(await values('pve_truenas_journal_oldest_seconds')).toEqual({ '': 61 });
  summary = { entries: 0, oldest: null };
  expect(await values('pve_truenas_journal_oldest_seconds')).toEqual({ '': 0 });
  expect(await values('pve_truenas_build_info')).toEqual({ '1.2.3 pve1': 1 });
});

it('begins the counters of a storage at 0, so that their first increase is seen', async () => {
  expect(await values('pve_truenas_lun_conflicts_total')).toEqual({ tn: 0 });
});
