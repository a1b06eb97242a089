import { mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, RecordingLog } from '../../src/core/testing/manual-clock.ts';
import { serveMetrics } from '../../src/daemon/metrics-listeners.ts';

describe('the sockets of the metrics', () => {
  let folder: string;
  let socket: string;
  let log: RecordingLog;
  const ends: (() => Promise<void>)[] = [];
  const others: Server[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'metrics-'));
    socket = join(folder, 'run', 'metrics.sock');
    log = new RecordingLog();
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
    for (const other of others.splice(0)) await new Promise<void>((resolve) => other.close(() => resolve()));
    await rm(folder, { recursive: true });
  });

  async function serve(options: { socket?: string | null; loopback?: { host: string; port: number } }): Promise<() => Promise<void>> {
    const text = (): Promise<string> => Promise.resolve('numbers\n');
    const end = await serveMetrics({ socket: null, loopback: null, ...options, text, clock: new ManualClock(), log });
    ends.push(end);
    return end;
  }

  function get(where: { socketPath: string } | { host: string; port: number }): Promise<string> {
    return new Promise((resolve, reject) => {
      request({ ...where, path: '/metrics' }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve(body));
      })
        .on('error', reject)
        .end();
    });
  }

  const said = (message: string): { at?: unknown; error?: unknown } | undefined =>
    log.lines.find((line) => line.message === message)?.fields;

  it('makes a socket that only root may open, in a directory of its own, and takes it away at the end', async () => {
    const end = await serve({ socket });
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, 'run'))).mode & 0o777).toBe(0o700);
    expect(await get({ socketPath: socket })).toBe('numbers\n');
    await end();
    await expect(stat(socket)).rejects.toThrow('ENOENT');
  });

  it('listens on loopback when asked, and says on which port', async () => {
    await serve({ loopback: { host: '127.0.0.1', port: 0 } });
    const at = String(said('metrics are served')?.at);
    expect(at).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await get({ host: '127.0.0.1', port: Number(at.split(':')[1]) })).toBe('numbers\n');
  });

  it('takes the place of a socket that a killed daemon left', async () => {
    await serve({ socket });
    const left = `${socket}.left`;
    // A listening socket that is renamed and then closed keeps its file, as after SIGKILL.
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(left, resolve));
    await rename(left, join(folder, 'stale.sock'));
    await new Promise<void>((resolve) => dead.close(() => resolve()));
    await serve({ socket: join(folder, 'stale.sock') });
    expect(await get({ socketPath: join(folder, 'stale.sock') })).toBe('numbers\n');
  });

  it('leaves a socket alone at which another daemon answers, and goes on without', async () => {
    await serve({ socket });
    await serve({ socket });
    expect(said('metrics are not served')).toMatchObject({ at: socket, error: expect.stringContaining('already listening') as string });
    expect(await get({ socketPath: socket })).toBe('numbers\n');
  });

  it('leaves a file alone that is no socket', async () => {
    const file = join(folder, 'precious');
    await writeFile(file, 'data');
    await serve({ socket: file });
    expect(said('metrics are not served')).toBeDefined();
    expect((await stat(file)).size).toBe(4);
  });

  it('serves the socket although the port is taken', async () => {
    const other = createServer();
    others.push(other);
    await new Promise<void>((resolve) => other.listen({ host: '127.0.0.1', port: 0 }, resolve));
    await serve({ socket, loopback: { host: '127.0.0.1', port: (other.address() as AddressInfo).port } });
    expect(said('metrics are not served')).toMatchObject({ error: expect.stringContaining('EADDRINUSE') as string });
    expect(await get({ socketPath: socket })).toBe('numbers\n');
  });
});
