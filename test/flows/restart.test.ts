import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { contentsOf, sectionFor } from './testing/daemon-process.ts';
import { ManagedDaemon } from './testing/managed-daemon.ts';
import { type Outcome, PvesmLite } from './testing/pvesm-lite.ts';
import { called, until } from './testing/waiting.ts';

let sim: Simulator;
let daemon: ManagedDaemon;
let pvesm: PvesmLite;

beforeEach(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  daemon = new ManagedDaemon();
  pvesm = new PvesmLite(daemon);
  const lines = Object.entries(sectionFor(sim, { 'truenas-username': sim.username })).map(([name, value]) => `\t${name} ${value}`);
  daemon.storageCfg(`truenasplugin: tn\n${lines.join('\n')}\n`);
  daemon.secret('tn', sim.apiKey);
});
afterEach(async () => {
  await daemon.dispose();
  await sim.stop();
});

const done = (outcome: Outcome): string => {
  expect(outcome).toMatchObject({ status: 0, err: '' });
  return outcome.out;
};

describe('below a service manager that holds the socket', () => {
  it('tells that it is ready, alive (F-041), reloading and stopping', async () => {
    await daemon.start({ WATCHDOG_USEC: '600000' });
    await daemon.event('notify WATCHDOG=1', 3);
    daemon.order('reload');
    await daemon.event('notify RELOADING=1', 1);
    await daemon.event('notify READY=1', 2);
    daemon.order('restart');
    await daemon.event('notify STOPPING=1', 1);
    await daemon.event('ended', 1);
    await daemon.event('notify READY=1', 3);
    const order = daemon.events.filter((event) => /^(started|ended|notify (READY|RELOADING|STOPPING))/.test(event));
    expect(order.map((event) => event.replace(/ \d+/g, ' N'))).toEqual([
      ...['started N', 'notify READY=1', 'notify RELOADING=1', 'notify READY=1', 'notify STOPPING=1', 'ended N N'],
      ...['started N', 'notify READY=1'],
    ]);
    expect(daemon.events.find((event) => event.startsWith('ended'))).toMatch(/ 0$/);
  });

  it('reads the log level, the key and the certificates anew at SIGHUP, with one further login and no failed call', async () => {
    await daemon.start({}, ['--no-level']);
    done(await pvesm.run(['status', 'tn']));
    expect(daemon.output).not.toContain(' debug ');
    const logins = sim.calls()['auth.login_ex'] ?? 0;
    writeFileSync(join(daemon.directory, 'defaults'), 'LOG_LEVEL=debug\n');
    daemon.order('reload');
    await called(sim, 'auth.login_ex', logins + 1);
    await daemon.event('notify READY=1', 2);
    done(await pvesm.run(['status', 'tn']));
    await daemon.says(' debug ');
    expect(sim.calls()['auth.login_ex']).toBe(logins + 1);
    expect(daemon.count('started')).toBe(1);
  });

  it('finishes an allocation that is under way at a restart, and serves the calls that come meanwhile', async () => {
    await daemon.start();
    sim.faults.add({ fault: 'latency', method: 'pool.dataset.create', ms: 1_500, times: 1 });
    const slow = pvesm.run(['alloc', 'tn', '100', '', '1048576']);
    await called(sim, 'pool.dataset.create', 1);
    daemon.order('restart');
    const meanwhile = [pvesm.run(['status', 'tn']), pvesm.run(['list', 'tn']), pvesm.run(['alloc', 'tn', '101', '', '1048576'])];
    expect(done(await slow).trim()).toBe('tn:vm-100-disk-0');
    for (const outcome of await Promise.all(meanwhile)) done(outcome);
    await daemon.event('started', 2);
    await daemon.event('notify READY=1', 2);
    expect((await contentsOf(sim)).zvols.filter((name) => name.includes('vm-')).sort()).toEqual([
      `${sim.dataset}/vm-100-disk-0`,
      `${sim.dataset}/vm-101-disk-0`,
    ]);
    expect(daemon.journal).toEqual([]);
  });

  it('fails no call of many while it is restarted again and again', async () => {
    await daemon.start();
    const outcomes: Promise<Outcome>[] = [];
    for (let restart = 1; restart <= 3; restart += 1) {
      for (let vmid = 0; vmid < 3; vmid += 1) outcomes.push(pvesm.run(['alloc', 'tn', String(100 * restart + vmid), '', '4096']));
      outcomes.push(pvesm.run(['list', 'tn']), pvesm.run(['status', 'tn']));
      daemon.order('restart');
      await daemon.event('started', restart + 1);
    }
    for (const outcome of outcomes) done(await outcome);
    const contents = await contentsOf(sim);
    expect([contents.zvols.length, contents.extents, contents.mappings]).toEqual([9, 9, 9]);
    expect(new Set(contents.luns).size).toBe(9);
    expect(daemon.journal).toEqual([]);
  });

  it('has a read that was under way answered by the next daemon when it is killed, and takes back an allocation', async () => {
    await daemon.start();
    done(await pvesm.run(['alloc', 'tn', '100', '', '1048576']));
    sim.faults.add({ fault: 'latency', method: 'iscsi.extent.create', ms: 60_000, times: 1 });
    const lost = pvesm.run(['alloc', 'tn', '101', '', '1048576']);
    await called(sim, 'iscsi.extent.create', 2);
    daemon.order('kill');
    const { status, err } = await lost;
    expect([status, err]).toEqual([1, expect.stringContaining('takes back what it did not finish')]);
    const listed = done(await pvesm.run(['list', 'tn']));
    expect(listed).toContain('vm-100-disk-0');
    await until(
      () => daemon.journal.length === 0,
      () => `the journal is empty: ${daemon.journal.join(' ')}`,
    );
    const contents = await contentsOf(sim);
    expect([daemon.journal, contents.zvols, contents.extents]).toEqual([[], [`${sim.dataset}/vm-100-disk-0`], 1]);
  });
});
