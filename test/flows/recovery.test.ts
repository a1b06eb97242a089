import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../sim/server/free-port.ts';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { DaemonProcess, sectionFor } from './testing/daemon-process.ts';
import { until } from './testing/waiting.ts';

const daemons: DaemonProcess[] = [];
const simulators: Simulator[] = [];
afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon.dispose()));
  await Promise.all(simulators.splice(0).map((sim) => sim.stop()));
});

async function simulator(options: Parameters<typeof launchSimulator>[0] = {}): Promise<Simulator> {
  const sim = await launchSimulator({ delays: false, ...options });
  simulators.push(sim);
  return sim;
}

async function daemonFor(settings: Record<string, string | number>, key: string): Promise<DaemonProcess> {
  const daemon = new DaemonProcess();
  daemons.push(daemon);
  const lines = Object.entries(settings).map(([name, value]) => `\t${name} ${value}`);
  daemon.storageCfg(`truenasplugin: tn\n${lines.join('\n')}\n`);
  daemon.secret('tn', key);
  await daemon.start();
  return daemon;
}

/** How often the daemon has said it. */
function count(daemon: DaemonProcess, text: string): number {
  return daemon.output.split(text).length - 1;
}

async function times(daemon: DaemonProcess, text: string, wanted: number): Promise<void> {
  await until(
    () => count(daemon, text) >= wanted,
    () => `the daemon said '${text}' ${wanted} times, but:\n${daemon.output}`,
  );
}

const API_KEY = `1-${'k'.repeat(64)}`;

describe('the daemon comes back by itself', () => {
  it('to an array that was down since before its start, and to one that was restarted, with one login each', async () => {
    const port = await freePort('127.0.0.1');
    const listen = { host: '127.0.0.1', port };
    const state = { apiKey: API_KEY, listen } as const;
    const settings = { api_host: '127.0.0.1', api_port: port, api_insecure: 1, dataset: 'tank/proxmox', target_iqn: 'proxmox' };
    const daemon = await daemonFor({ ...settings, discovery_portal: '127.0.0.1', 'truenas-username': 'truenas_admin' }, API_KEY);
    await daemon.says('nothing listens on');
    const first = await simulator(state);
    await daemon.says('logged in to TrueNAS');
    expect(first.calls()['auth.login_ex']).toBe(1);
    await first.stop();
    await daemon.says('the session with TrueNAS is lost');
    const second = await simulator(state);
    await times(daemon, 'logged in to TrueNAS', 2);
    expect(second.calls()['auth.login_ex']).toBe(1);
    const storage = { id: 'tn', config: { type: 'truenasplugin', ...settings, discovery_portal: '127.0.0.1' } };
    expect(
      (await daemon.call('storage.check', { storage: { ...storage, config: { ...storage.config, 'truenas-username': 'truenas_admin' } } }))
        .reachable,
    ).toBe(true);
  });

  it('takes a rotated key with the next call, without a restart and without a failed call', async () => {
    const sim = await simulator();
    const section = sectionFor(sim, { 'truenas-username': sim.username });
    const daemon = await daemonFor(section, sim.apiKey);
    await daemon.says('logged in to TrueNAS');
    const storage = { id: 'tn', config: section };
    const fresh = await sim.createKey(sim.username, ['FULL_ADMIN'], 'rotated');
    daemon.secret('tn', fresh);
    await sim.command({ command: 'revoke-key', id: Number(sim.apiKey.split('-')[0]) });
    expect((await daemon.call('storage.status', { storage, deadline_ms: 10_000 })).active).toBe(true);
    expect(sim.calls()['auth.login_ex']).toBe(2);
    const sessions = (await sim.command({ command: 'sessions' })) as readonly unknown[];
    expect(sessions.length).toBe(1);
  });
});

describe('a caller whose time is over', () => {
  it('is told in time which step it was, and what state things are in', async () => {
    const sim = await simulator();
    const section = sectionFor(sim);
    const daemon = await daemonFor(section, sim.apiKey);
    await daemon.says('logged in to TrueNAS');
    const storage = { id: 'tn', config: section };
    await daemon.call('storage.activate', { storage });
    sim.faults.add({ method: 'pool.dataset.create', fault: 'mute' });
    const { error } = await daemon.ask('volume.allocate', { storage, vmid: 100, size: 1024 ** 3, deadline_ms: 3_000 });
    expect(error?.message).toMatch(/pool\.dataset\.create within \d(\.\d)? s/);
    expect(error?.data?.code).toBe('OUTCOME_UNKNOWN');
    expect(error?.data?.state).toMatch(/\S/);
    sim.faults.clear();
  });

  it('is told at which step of connecting the array hangs, and other storages do not notice', async () => {
    const sim = await simulator();
    const taken: Socket[] = [];
    const mute = createServer((socket) => taken.push(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const address = mute.address();
    const port = address === null || typeof address === 'string' ? 0 : address.port;
    const section = sectionFor(sim);
    const daemon = await daemonFor(section, sim.apiKey);
    daemon.secret('hung', sim.apiKey);
    await daemon.says('logged in to TrueNAS');
    const hung = { id: 'hung', config: { ...section, api_port: port } };
    const asked = daemon.call('storage.check', { storage: hung, deadline_ms: 2_000 });
    expect((await daemon.call('storage.check', { storage: { id: 'tn', config: section }, deadline_ms: 2_000 })).reachable).toBe(true);
    const told = await asked;
    expect(told.reachable).toBe(false);
    expect(told.reason).toMatch(/the TLS handshake with 127\.0\.0\.1:\d+/);
    for (const socket of taken) socket.destroy();
    await new Promise((resolve) => mute.close(resolve));
  });
});
