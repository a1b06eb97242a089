import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator, type SimulatorOptions } from '../../sim/server/launch.ts';
import { METHODS, type Result } from '../../src/protocol/methods.ts';
import { type Outcome, runCli } from './testing/command-line.ts';
import { callArray, DaemonProcess, sectionFor } from './testing/daemon-process.ts';
import { blackHole, type DeadArray, muteArray } from './testing/dead-arrays.ts';

type Settings = Record<string, string | number>;
interface Storage {
  readonly id: string;
  readonly config: Settings;
}

let daemon: DaemonProcess;
/** What a test started. */
let started: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  daemon = new DaemonProcess();
});
afterEach(async () => {
  await daemon.dispose();
  for (const end of started) await end();
  started = [];
});

async function simulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const sim = await launchSimulator({ blocks: 'memory', delays: false, ...options });
  started.push(() => sim.stop());
  return sim;
}

/** A daemon that serves these storages, as storage.cfg names them. */
async function serve(sim: Simulator, storages: Readonly<Record<string, Settings>>): Promise<readonly Storage[]> {
  const made = Object.entries(storages).map(([id, more]) => ({ id, config: sectionFor(sim, more) }));
  for (const { id } of made) daemon.secret(id, sim.apiKey);
  const sections = made.map(({ id, config }) => {
    const lines = Object.entries(config).map(([key, value]) => `\t${key} ${value}\n`);
    return `truenasplugin: ${id}\n${lines.join('')}\n`;
  });
  daemon.storageCfg(sections.join(''));
  await daemon.start();
  return made;
}

const cli = (...argv: readonly string[]): Promise<Outcome> => runCli(daemon, ...argv);
type Status = Result<'overview.status'>['storages'][number];

async function statusOf(id: string): Promise<Status & { readonly exit: number }> {
  const { out, status } = await cli('status', id, '--json');
  const [row] = METHODS['overview.status'].result.parse(JSON.parse(out)).storages;
  if (row === undefined) throw new Error(`no storage ${id} in ${out}`);
  return { ...row, exit: status };
}

async function healthOf(id: string): Promise<{ readonly exit: number; readonly faults: readonly string[]; readonly text: string }> {
  const { out, status } = await cli('health', id, '--json');
  const { storages } = METHODS['overview.health'].result.parse(JSON.parse(out));
  const faults = storages.flatMap(({ checks }) => checks.filter(({ state }) => state !== 'ok'));
  return {
    exit: status,
    faults: faults.map(({ name, state }) => `${name}: ${state}`),
    text: faults.map(({ message }) => message).join('\n'),
  };
}

/** The daemon's answer to one poll of pvestatd that has so many ms. */
async function poll(storage: Storage, ms: number): Promise<Result<'storage.status'>> {
  return daemon.call('storage.status', { storage, deadline_ms: ms });
}

describe('an array that cannot be reached', () => {
  // Less than the deadline of the call: otherwise it would end with DEADLINE and not with an answer.
  const LIMIT = { first: 2_500, later: 100 };

  async function beside(dead: DeadArray): Promise<{ good: Storage; gone: Storage }> {
    started.push(() => dead.end());
    const sim = await simulator();
    const [good, gone] = await serve(sim, { good: {}, gone: { api_host: dead.host, api_port: dead.port } });
    if (good === undefined || gone === undefined) throw new Error('test');
    await daemon.says('storage good is healthy');
    return { good, gone };
  }

  it.each([
    ['mute', muteArray],
    ['without any answer to a SYN', blackHole],
  ])('F-013: %s: inactive within two seconds, then at once, and a good one is served meanwhile', async (_what, make) => {
    const { good, gone } = await beside(await make());
    const order: string[] = [];
    const first = poll(gone, LIMIT.first).finally(() => order.push('gone'));
    for (let n = 0; n < 5; n += 1) expect(await poll(good, LIMIT.later)).toMatchObject({ active: true });
    order.push('good');
    expect(await first).toMatchObject({
      active: false,
      total: 0,
      reason: expect.stringMatching(/does not answer|not connected/) as string,
    });
    for (let n = 0; n < 5; n += 1) {
      expect(await poll(gone, LIMIT.later)).toMatchObject({ active: false });
      expect(await daemon.call('storage.check', { storage: gone, deadline_ms: LIMIT.later })).toMatchObject({ reachable: false });
    }
    expect(await statusOf('gone')).toMatchObject({ state: 'down', exit: 2, volumes: null });
    const { out, status } = await cli('status');
    expect(status).toBe(2);
    expect(out).toMatch(/^good +healthy /m);
    expect(out).toMatch(/^gone +down /m);
    expect((await healthOf('good')).exit).toBe(0);
    expect(await healthOf('gone')).toMatchObject({ exit: 2, faults: ['state: critical', 'connection: critical'] });
  });

  it('hangs at the login: the same', async () => {
    const sim = await simulator();
    for (const method of ['auth.login_ex', 'auth.login_with_api_key']) sim.faults.add({ method, fault: 'drop-answer' });
    const [gone] = await serve(sim, { gone: {} });
    if (gone === undefined) throw new Error('test');
    expect(await poll(gone, LIMIT.first)).toMatchObject({ active: false });
    expect(await poll(gone, LIMIT.later)).toMatchObject({ active: false });
  });
});

it('an array that goes is noticed, told once, and comes back by itself; without a poll', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sim-'));
  started.push(async () => {
    rmSync(directory, { recursive: true, force: true });
    await Promise.resolve();
  });
  const before = await launchSimulator({ blocks: 'memory', delays: false, state: directory });
  const [storage] = await serve(before, { tn: {} });
  if (storage === undefined) throw new Error('test');
  await daemon.says('storage tn is healthy');
  expect(await statusOf('tn')).toMatchObject({ state: 'healthy', exit: 0, volumes: 0 });
  await before.stop();
  // within the grace it is served from memory, so that a restart of the middleware is no alarm
  expect(await poll(storage, 100)).toMatchObject({ active: true });
  await daemon.says('storage tn: degraded -> down');
  expect(await poll(storage, 100)).toMatchObject({ active: false, reason: expect.stringContaining(String(before.port)) as string });
  expect(await statusOf('tn')).toMatchObject({ state: 'down', exit: 2 });
  await simulator({
    state: directory,
    listen: { host: before.host, port: before.port },
    portal: { host: '127.0.0.1', port: Number(before.portal.split(':')[1]) },
  });
  await daemon.says('storage tn: down -> healthy');
  expect(await poll(storage, 1_000)).toMatchObject({ active: true });
  expect(await statusOf('tn')).toMatchObject({ state: 'healthy', exit: 0 });
  expect(daemon.output.split('degraded -> down')).toHaveLength(2);
});

describe('what is wrong on the array', () => {
  it('a stopped service: degraded by its event, critical in health, over when it runs again', async () => {
    const sim = await simulator();
    await serve(sim, { tn: {} });
    await daemon.says('storage tn is healthy');
    await callArray(sim, 'service.control', 'STOP', 'iscsitarget', {});
    await daemon.says('storage tn: healthy -> degraded: the iSCSI service is not running');
    expect(await statusOf('tn')).toMatchObject({ state: 'degraded', exit: 1, reasons: [{ code: 'service' }] });
    const { exit, faults } = await healthOf('tn');
    expect({ exit, faults: faults.filter((one) => !one.startsWith('portal')) }).toEqual({
      exit: 2,
      faults: ['state: warning', 'service: critical'],
    });
    expect((await cli('health')).out).toContain('cure: TrueNAS: System > Services > iSCSI');
    await callArray(sim, 'service.control', 'START', 'iscsitarget', {});
    await daemon.says('storage tn: degraded -> healthy');
  });

  it('a degraded pool: a warning with the words of zpool (F-370); a suspended one takes the storage down', async () => {
    const sim = await simulator();
    const [storage] = await serve(sim, { tn: {} });
    if (storage === undefined) throw new Error('test');
    await daemon.says('storage tn is healthy');
    await sim.command({ command: 'pool-status', status: 'DEGRADED', detail: 'One or more devices could not be opened.' });
    expect(await healthOf('tn')).toMatchObject({ exit: 1, faults: ['state: warning', 'pool: warning'] });
    expect(await statusOf('tn')).toMatchObject({
      state: 'degraded',
      exit: 1,
      reason: "pool 'tank' is DEGRADED: One or more devices could not be opened.",
    });
    expect(await poll(storage, 100)).toMatchObject({ active: true });
    await sim.command({ command: 'pool-status', status: 'SUSPENDED' });
    expect((await healthOf('tn')).exit).toBe(2);
    expect(await poll(storage, 100)).toMatchObject({ active: false, reason: expect.stringContaining('SUSPENDED') as string });
    await sim.command({ command: 'pool-status', status: 'ONLINE' });
    expect(await healthOf('tn')).toMatchObject({ exit: 0, faults: [] });
    expect(await poll(storage, 100)).toMatchObject({ active: true });
  });

  it('one of two portals down: a warning in health, and degraded without a call', async () => {
    const sim = await simulator();
    await serve(sim, { tn: { portals: '127.0.0.1:9' } });
    await daemon.says('portal 127.0.0.1:9 does not answer, 1 of 2 portals left');
    expect(await statusOf('tn')).toMatchObject({ state: 'degraded', exit: 1, reasons: [{ code: 'portal' }] });
    expect(await healthOf('tn')).toMatchObject({ exit: 1, faults: ['state: warning', 'portal 127.0.0.1:9: warning'] });
  });

  it('slow answers: degraded after several, over after several fast ones', async () => {
    const sim = await simulator();
    await serve(sim, { tn: {} });
    await daemon.says('storage tn is healthy');
    const id = sim.faults.add({ method: '*', fault: 'latency', ms: 1_600 });
    await healthOf('tn');
    await healthOf('tn');
    await daemon.says('storage tn: healthy -> degraded: TrueNAS answers slowly');
    expect(await statusOf('tn')).toMatchObject({ state: 'degraded', exit: 1 });
    sim.faults.remove(id);
    await daemon.says('storage tn: degraded -> healthy');
  });

  it('a dataset that is removed takes its storage down, and no other one on the array', async () => {
    const sim = await simulator();
    const other = 'tank/other';
    await callArray(sim, 'pool.dataset.create', { name: other, type: 'FILESYSTEM' });
    const [, second] = await serve(sim, { tn: {}, second: { dataset: other } });
    if (second === undefined) throw new Error('test');
    await daemon.says('storage second is healthy');
    await callArray(sim, 'pool.dataset.delete', other, {});
    await daemon.says('storage second: healthy -> down');
    expect(await poll(second, 2_500)).toMatchObject({ active: false, reason: expect.stringContaining(other) as string });
    expect(await statusOf('tn')).toMatchObject({ state: 'healthy' });
    await callArray(sim, 'pool.dataset.create', { name: other, type: 'FILESYSTEM' });
    await daemon.says('storage second: down -> healthy');
  });
});

describe('what is wrong with the key', () => {
  it('missing roles are named with where to add them, by release', async () => {
    for (const release of ['25.04', '25.10'] as const) {
      const sim = await simulator({ release, roles: ['SHARING_ADMIN'] });
      await serve(sim, { tn: {} });
      const { exit, text } = await healthOf('tn');
      expect(exit).toBe(2);
      for (const role of ['DATASET_DELETE', 'SNAPSHOT_WRITE', 'SNAPSHOT_DELETE']) expect(text).toContain(`lacks the role ${role}`);
      expect(text.includes('refuses to roll back')).toBe(release === '25.04');
      await daemon.dispose();
      daemon = new DaemonProcess();
    }
  });

  it('a login that TrueNAS limits: how long it takes', async () => {
    const sim = await simulator();
    const refusal = { fault: 'error', code: -32001, errno: 16, reason: '[EBUSY] Rate Limit Exceeded' } as const;
    for (const method of ['auth.login_ex', 'auth.login_with_api_key']) sim.faults.add({ ...refusal, method });
    await serve(sim, { tn: {} });
    await daemon.says('storage tn is down');
    expect(await statusOf('tn')).toMatchObject({
      state: 'down',
      exit: 2,
      reason: expect.stringMatching(/login window, \d+ s left$/) as string,
    });
    expect((await healthOf('tn')).text).toMatch(/login window, \d+ s left/);
  });
});

describe('what it costs', () => {
  it('status and list of a healthy storage ask nothing; health asks eight times', async () => {
    const sim = await simulator();
    await serve(sim, { tn: {}, second: {} });
    await daemon.says('storage second is healthy');
    await statusOf('tn');
    sim.resetCalls();
    await cli('status');
    await cli('list');
    expect(sim.calls()).toEqual({});
    await healthOf('tn');
    expect(Object.values(sim.calls()).reduce((sum, count) => sum + count, 0)).toBe(8);
  });
});

it('leaves out what is not for this node', async () => {
  const sim = await simulator();
  await serve(sim, { off: { disable: 1 }, elsewhere: { nodes: 'pve7' } });
  const { out, status } = await cli('status');
  expect(status).toBe(0);
  expect(out).toContain('off: disabled in storage.cfg');
  expect(out).toContain('elsewhere: not for this node (nodes pve7)');
  expect((await cli('health')).status).toBe(0);
  expect(sim.calls()).toEqual({});
});
