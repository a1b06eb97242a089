import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, RecordingLog } from '../core/testing/manual-clock.ts';
import { MetricsExporter } from './exporter.ts';

let folder: string;
let socketPath: string;
let exporter: MetricsExporter;
let clock: ManualClock;
const log = new RecordingLog();
let text: (format: string) => Promise<string>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'exporter-'));
  socketPath = join(folder, 'm.sock');
  clock = new ManualClock();
  text = (format) => Promise.resolve(`${format} text\n`);
  exporter = new MetricsExporter((format) => text(format), clock, log);
  await exporter.listen({ path: socketPath });
});
afterEach(async () => {
  await exporter.close();
  await rm(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly allow: string | undefined;
  readonly body: string;
}

function ask(path: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, ...options }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', allow: response.headers.allow, body }),
      );
    });
    asking.on('error', reject);
    asking.end();
  });
}

/** A client that speaks by hand. */
async function dial(): Promise<Socket> {
  const socket = connect(socketPath);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function allOf(socket: Socket): Promise<string> {
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  await once(socket, 'close');
  return received;
}

describe('GET /metrics', () => {
  it.each([
    [
      'what Prometheus asks for',
      'application/openmetrics-text;version=1.0.0,text/plain;q=0.5',
      'openmetrics',
      'application/openmetrics-text; version=1.0.0',
    ],
    ['anything', '*/*', 'prometheus', 'text/plain; version=0.0.4'],
    ['a browser', 'text/html,application/xhtml+xml', 'prometheus', 'text/plain; version=0.0.4'],
  ])('answers %s', async (_who, accept, format, type) => {
    const answer = await ask('/metrics', { headers: { accept } });
    expect(answer).toMatchObject({ status: 200, body: `${format} text\n` });
    expect(answer.type).toContain(type);
  });

  it('takes a query string, and answers without Accept', async () => {
    expect(await ask('/metrics?x=1')).toMatchObject({ status: 200, body: 'prometheus text\n' });
  });

  it('tells when the metrics cannot be had, without the reason, and goes on', async () => {
    text = () => Promise.reject(new Error('inner matters'));
    const answer = await ask('/metrics');
    expect(answer.status).toBe(500);
    expect(answer.body).not.toContain('inner');
    expect(JSON.stringify(log.lines)).toContain('inner matters');
    text = () => Promise.resolve('fine\n');
    expect((await ask('/metrics')).status).toBe(200);
  });
});

describe('anything else', () => {
  it.each(['/', '/metrics/', '/metricsx', '/../etc/passwd', '/%6detrics', '//metrics'])('%s is not there', async (path) => {
    expect((await ask(path)).status).toBe(404);
  });

  it.each(['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'])('%s is not served', async (method) => {
    expect(await ask('/metrics', { method })).toMatchObject({ status: 405, allow: 'GET' });
  });
});

describe('clients that do not behave', () => {
  it('a request without end is cut after ten seconds, while others are served', async () => {
    const slow = await dial();
    slow.write('GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ');
    expect((await ask('/metrics')).status).toBe(200);
    const cut = once(slow, 'close');
    await clock.advance(10_000);
    await cut;
  });

  it('a client that never reads its answer is cut, too', async () => {
    const size = 32 * 1024 * 1024;
    const asked = new Promise<void>((resolve) => {
      text = () => {
        text = () => Promise.resolve('fine\n');
        resolve();
        return Promise.resolve('x'.repeat(size));
      };
    });
    const deaf = await dial();
    deaf.pause();
    deaf.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await asked;
    expect(await ask('/metrics')).toMatchObject({ status: 200, body: 'fine\n' });
    await clock.advance(10_000);
    expect((await allOf(deaf.resume())).length).toBeLessThan(size);
  });

  it('a head of 100 KiB is refused', async () => {
    const socket = await dial();
    const received = allOf(socket);
    socket.write(`GET /metrics HTTP/1.1\r\nX: ${'x'.repeat(100 * 1024)}\r\n\r\n`);
    expect(await received).toMatch(/^HTTP\/1\.1 431 /);
    expect((await ask('/metrics')).status).toBe(200);
  });

  it.each(['garbage\r\n\r\n', '\0\0\0\0\r\n\r\n', 'GET /metrics HTTP/9.9\r\n\r\n'])('%j is a bad request', async (bytes) => {
    const socket = await dial();
    const received = allOf(socket);
    socket.write(bytes);
    expect(await received).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('a connection serves one request', async () => {
    const socket = await dial();
    const received = allOf(socket);
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await received).match(/HTTP\/1\.1 200/g)).toHaveLength(1);
  });

  it('many that only connect keep nobody out for longer than ten seconds', async () => {
    const idle: Socket[] = [];
    for (let n = 0; n < 16; n += 1) idle.push((await dial()).resume());
    const closed = idle.map((socket) => once(socket, 'close'));
    await once((await dial()).resume(), 'close'); // one too many: closed at once, after all before it were taken
    await clock.advance(10_000);
    await Promise.all(closed);
    expect((await ask('/metrics')).status).toBe(200);
  });
});

it('ends at once, whoever hangs on it', async () => {
  const hanging = await dial();
  const cut = once(hanging.resume(), 'close');
  await exporter.close();
  await cut;
  await expect(ask('/metrics')).rejects.toThrow();
});
