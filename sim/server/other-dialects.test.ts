import { request } from 'node:https';
import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { controlCall } from '../faults/control-client.ts';
import { launchSimulator, type Simulator } from './launch.ts';

let simulator: Simulator;
beforeAll(async () => {
  simulator = await launchSimulator({ delays: false, password: 'secret' });
}, 60_000);
afterAll(() => simulator.stop());

interface HttpAnswer {
  readonly status: number | undefined;
  readonly body: string;
}

function http(method: string, path: string, body?: unknown, authorization = `Bearer ${simulator.apiKey}`): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const { host, port, ca } = simulator;
    const text = body === undefined ? '' : JSON.stringify(body);
    // Node sends the body of a DELETE without any length of its own accord.
    const headers = { authorization, 'content-length': Buffer.byteLength(text) };
    const call = request({ host, port, ca, path, method, headers }, (response) => {
      let answer = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (answer += chunk));
      response.on('end', () => resolve({ status: response.statusCode, body: answer }));
    });
    call.on('error', reject);
    call.end(text);
  });
}

describe('REST v2.0 (truenas-api 13)', () => {
  const rest = '/api/v2.0';
  it('serves the versions without a login', async () => {
    const { status, body } = await http('GET', '/api/versions', undefined, '');
    expect([status, (JSON.parse(body) as string[]).at(0)]).toEqual([200, 'v25.04.0']);
  });
  it('creates, finds, changes and deletes a zvol', async () => {
    const zvol = `${simulator.dataset ?? ''}/rest`;
    const path = `${rest}/pool/dataset/id/${encodeURIComponent(zvol)}`;
    expect((await http('POST', `${rest}/pool/dataset`, { name: zvol, type: 'VOLUME', volsize: 1_073_741_824, sparse: true })).status).toBe(
      200,
    );
    expect(JSON.parse((await http('GET', path)).body)).toMatchObject({ id: zvol });
    expect(JSON.parse((await http('GET', `${rest}/pool/dataset?type=VOLUME&limit=1`)).body)).toHaveLength(1);
    expect((await http('PUT', path, { volsize: 1024 })).status).toBe(422);
    expect(await http('DELETE', path, { recursive: false })).toEqual({ status: 200, body: 'true' });
    expect((await http('GET', path)).status).toBe(404);
  });
  it.each([
    ['no login', 'GET', '/system/version', undefined, '', 401],
    ['a wrong key', 'GET', '/system/version', undefined, `Bearer 1-${'a'.repeat(64)}`, 401],
    ['a password', 'GET', '/system/version', undefined, `Basic ${Buffer.from('truenas_admin:secret').toString('base64')}`, 200],
    ['a wrong password', 'GET', '/system/version', undefined, `Basic ${Buffer.from('truenas_admin:x').toString('base64')}`, 401],
  ])('%s', async (_what, method, path, body, authorization, status) => {
    expect((await http(method, `${rest}${path}`, body, authorization)).status).toBe(status);
  });
  it('words a validation error by attribute, and a missing resource as 404', async () => {
    const refused = await http('POST', `${rest}/iscsi/extent`, { name: 'x' });
    expect([refused.status, JSON.parse(refused.body)]).toEqual([
      422,
      { 'iscsi_extent_create.disk': [{ message: 'This field is required', errno: 22 }] },
    ]);
    expect((await http('GET', `${rest}/no/such`)).status).toBe(404);
    expect((await http('PATCH', `${rest}/iscsi/extent`)).status).toBe(405);
  });
});

describe('the older dialect on /websocket (truenas-api 14)', () => {
  it('connects, logs in, calls, and words ValidationErrors as EAGAIN', async () => {
    const socket = new WebSocket(`wss://${simulator.host}:${simulator.port}/websocket`, { ca: simulator.ca });
    const answers: Record<string, unknown>[] = [];
    const waiting: ((answer: Record<string, unknown>) => void)[] = [];
    socket.on('message', (data: Buffer) => {
      const answer = JSON.parse(data.toString('utf8')) as Record<string, unknown>;
      const next = waiting.shift();
      if (next === undefined) answers.push(answer);
      else next(answer);
    });
    await new Promise((resolve) => socket.once('open', resolve));
    const ask = (message: unknown): Promise<Record<string, unknown>> => {
      socket.send(JSON.stringify(message));
      return new Promise((resolve) => waiting.push(resolve));
    };
    const call = (method: string, ...params: unknown[]): Promise<Record<string, unknown>> =>
      ask({ id: '1', msg: 'method', method, params });
    expect(await call('core.ping')).toEqual({ msg: 'failed', version: '1' });
    expect(await ask({ msg: 'connect', version: '1', support: ['1'] })).toMatchObject({ msg: 'connected' });
    expect(await call('auth.login_with_api_key', simulator.apiKey)).toEqual({ id: '1', msg: 'result', result: true });
    expect(await call('iscsi.extent.create', { name: 'x' })).toMatchObject({
      msg: 'result',
      error: { error: 11, errname: 'EAGAIN', type: 'VALIDATION', extra: [['iscsi_extent_create.disk', 'This field is required', 22]] },
    });
    expect(await call('no.such')).toMatchObject({ error: { errname: 'ENOMETHOD' } });
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    socket.send('{');
    expect(await closed).toBe(1007);
  });
});

describe('the control socket', () => {
  it('counts calls, makes keys, refuses nonsense', async () => {
    await controlCall(simulator.control, { command: 'reset-calls' });
    await http('GET', '/api/v2.0/system/version');
    expect(await controlCall(simulator.control, { command: 'calls' })).toEqual({ 'system.version': 1 });
    const made = await controlCall(simulator.control, { command: 'create-key', username: 'reader', roles: ['POOL_READ'] });
    expect(made).toMatchObject({ username: 'reader' });
    await expect(controlCall(simulator.control, { command: 'create-key', username: 'x', roles: ['NOPE'] })).rejects.toThrow(
      'unknown roles: NOPE',
    );
    await expect(controlCall(simulator.control, { command: 'remove', id: 99 })).rejects.toThrow('no fault 99');
  });

  it('answers garbage with an error and goes on', async () => {
    const socket = createConnection(simulator.control);
    const line = new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString('utf8'))));
    socket.write('garbage\n');
    expect(JSON.parse(await line)).toEqual({ ok: false, error: 'not a JSON object' });
    socket.destroy();
    expect(await controlCall(simulator.control, { command: 'ping' })).toBe('pong');
  });
});
