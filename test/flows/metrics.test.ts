import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { DaemonProcess, sectionFor } from './testing/daemon-process.ts';

const GIB = 2 ** 30;
const CLI = join(import.meta.dirname, '../../dist/pve-truenas.mjs');
const daemon = new DaemonProcess();
let sim: Simulator;
let storage: { id: string; config: Record<string, string | number> };
const socketPath = join(daemon.directory, 'run/metrics.sock');

beforeAll(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  daemon.secret('tn', sim.apiKey);
  storage = { id: 'tn', config: sectionFor(sim) };
  const lines = Object.entries(storage.config).map(([name, value]) => `\t${name} ${value}\n`);
  daemon.storageCfg(`truenasplugin: tn\n${lines.join('')}\tcontent images\n\ntruenasplugin: broken\n\tapi_host nas\n\tdataset /bad/\n`);
  await daemon.start({}, ['--metrics-listen', '127.0.0.1:0']);
  await daemon.call('storage.activate', { storage });
});
afterAll(async () => {
  await daemon.dispose();
  await sim.stop();
});

function scrape(where: { socketPath: string } | { host: string; port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ ...where, path: '/metrics', headers: { accept: 'application/openmetrics-text' } }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}

/** Value of one sample, by its name and labels in the order of the catalogue. */
async function sample(name: string): Promise<number | undefined> {
  const line = (await scrape({ socketPath })).split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

async function cli(...args: string[]): Promise<{ status: number | null; out: string }> {
  const child = spawn(process.execPath, [CLI, '--socket', daemon.socket, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, out };
}

describe('the metrics of a daemon', () => {
  it('follow what it does', async () => {
    const label = (operation: string, outcome: string): string =>
      `pve_truenas_operations_total{storage="tn",operation="${operation}",outcome="${outcome}"}`;
    expect(await sample('pve_truenas_volumes{storage="tn"}')).toBe(0);
    await daemon.call('volume.allocate', { storage, vmid: 100, size: 3 * GIB });
    await daemon.ask('volume.free', { storage, volume: 'vm-100-disk-7' });
    expect(await sample(label('volume.allocate', 'ok'))).toBe(1);
    expect(await sample(label('volume.free', 'VOLUME_MISSING'))).toBe(1);
    expect(await sample('pve_truenas_volumes{storage="tn"}')).toBe(1);
    expect(await sample('pve_truenas_volume_size_bytes{storage="tn"}')).toBe(3 * GIB);
    expect(await sample(`pve_truenas_array_up{array="${sim.host}:${sim.port}"}`)).toBe(1);
    expect(await sample('pve_truenas_storage_state{storage="tn",state="healthy"}')).toBe(1);
    expect(await sample('pve_truenas_storage_state{storage="broken",state="down"}')).toBe(1);
    expect(await sample('process_resident_memory_bytes')).toBeGreaterThan(1e7);
  });

  it('cost no API call', async () => {
    sim.resetCalls();
    for (let n = 0; n < 5; n += 1) await scrape({ socketPath });
    await daemon.call('overview.metrics', {});
    expect(sim.calls()).toEqual({});
  });

  it('never hold a secret or the name of a volume', async () => {
    const text = await scrape({ socketPath });
    expect(text).not.toContain(sim.apiKey);
    expect(text).not.toContain(sim.apiKey.split('-')[1]);
    expect(text).not.toContain('vm-100');
  });

  it('are served on the loopback port too, and end with # EOF', async () => {
    const port = Number(/metrics are served \{"at":"127\.0\.0\.1:(\d+)"/.exec(daemon.output)?.[1]);
    expect((await scrape({ host: '127.0.0.1', port })).endsWith('# EOF\n')).toBe(true);
  });

  it('are printed by the command line: tables, JSON and text, in a pipe', async () => {
    expect((await cli('metrics')).out).toMatch(/^pve_truenas_volume_size_bytes +storage=tn +3\.00 GiB$/m);
    expect(JSON.parse((await cli('metrics', '--json')).out)).toMatchObject({ metrics: expect.any(Array) as unknown });
    const { status, out } = await cli('metrics', '--openmetrics');
    expect(status).toBe(0);
    expect(out.endsWith('# EOF\n')).toBe(true);
  });

  it('can be asked for while clients hang on the socket, and nothing else is disturbed', async () => {
    const hanging = Array.from({ length: 10 }, () => connect(socketPath));
    await Promise.all(hanging.map((socket) => once(socket, 'connect')));
    for (const socket of hanging) socket.write('GET /metrics HTTP/1.1\r\nX-Slow:');
    expect(await scrape({ socketPath })).toContain('# EOF');
    expect((await daemon.call('daemon.hello', {})).protocol).toBe(1);
    for (const socket of hanging) socket.destroy();
  });

  it('have a socket for root only, which is gone after a clean end and replaced after a kill', async () => {
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    await daemon.end('SIGKILL');
    expect(existsSync(socketPath)).toBe(true);
    await daemon.start();
    expect(await scrape({ socketPath })).toContain('# EOF');
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(existsSync(socketPath)).toBe(false);
    await daemon.start({}, ['--no-metrics-socket']);
    expect(existsSync(socketPath)).toBe(false);
  });
});

it.each(['0.0.0.0:9927', '192.0.2.7:9927', 'localhost:9927'])(
  'a daemon that is to serve metrics on %s does not start, and says why',
  async (address) => {
    const other = new DaemonProcess();
    await expect(other.start({}, ['--metrics-listen', address])).rejects.toThrow(
      /--metrics-listen.*(?:not a loopback address|127\.0\.0\.1:PORT)/,
    );
    await other.dispose();
  },
);
