import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DaemonProcess } from './testing/daemon-process.ts';

const daemon = new DaemonProcess();
beforeAll(() => daemon.start());
afterAll(() => daemon.dispose());

const hello = { jsonrpc: '2.0', id: 7, method: 'daemon.hello', params: { protocol: 1 } };
const alive = async (): Promise<void> => {
  expect((await daemon.call('daemon.hello', {})).protocol).toBe(1);
};
const storage = { id: 'tn', config: { api_host: 'h', dataset: 'tank/p', target_iqn: 't', discovery_portal: '127.0.0.1' } };

describe('the socket', () => {
  it('tells who it is', async () => {
    expect(await daemon.call('daemon.hello', {})).toMatchObject({ protocol: 1, oldest_protocol: 1, node: 'pve1' });
  });

  it.each([
    ['garbage', 'hello\n', -32700],
    ['a list', '[]\n', -32600],
    ['a number', '42\n', -32600],
    ['no method', '{"jsonrpc":"2.0","id":1}\n', -32600],
    ['an unknown method', '{"jsonrpc":"2.0","id":1,"method":"volume.explode","params":{"protocol":1}}\n', -32601],
    ['a method of every object', '{"jsonrpc":"2.0","id":1,"method":"__proto__","params":{"protocol":1}}\n', -32601],
    ['NUL bytes', '\0\0\0\n', -32700],
  ])('answers %s with an error and goes on', async (_what, bytes, code) => {
    expect(JSON.parse(await daemon.raw(bytes))).toMatchObject({ error: { code } });
    await alive();
  });

  it.each([
    ['no protocol', {}, 'BAD_REQUEST'],
    ['a future protocol', { protocol: 99 }, 'PROTOCOL_VERSION'],
    ['an unknown parameter', { protocol: 1, shell: 'rm' }, 'BAD_REQUEST'],
    ['a deadline of zero', { protocol: 1, deadline_ms: 0 }, 'BAD_REQUEST'],
    ['a huge deadline', { protocol: 1, deadline_ms: 1e12 }, 'BAD_REQUEST'],
  ])('F-008: refuses %s', async (_what, params, code) => {
    const answer = JSON.parse(await daemon.raw(`${JSON.stringify({ ...hello, params })}\n`)) as { error: { data: { code: string } } };
    expect(answer.error.data.code).toBe(code);
  });

  it.each([
    ['size 0', 'volume.allocate', { vmid: 100, size: 0 }],
    ['negative size', 'volume.allocate', { vmid: 100, size: -1024 }],
    ['size 2^63', 'volume.allocate', { vmid: 100, size: 2 ** 63 }],
    ['size as text', 'volume.allocate', { vmid: 100, size: '1G' }],
    ['name with /', 'volume.free', { volume: 'vm-100-a/../../b' }],
    ['name with ..', 'volume.free', { volume: '..' }],
    ['name with NUL', 'volume.free', { volume: 'vm-100-disk-0\0' }],
    ['name with comma', 'volume.free', { volume: 'vm-100-disk-0,size=1' }],
    ['name of 301 characters', 'volume.free', { volume: `vm-100-${'x'.repeat(294)}` }],
    ['snapshot name with @', 'snapshot.create', { volume: 'vm-100-disk-0', snapshot: 'a@b' }],
    ['storage id with /', 'storage.status', { storage: { id: '../etc', config: {} } }],
  ])('refuses %s', async (_what, method, params) => {
    const { error } = await daemon.ask(method, { storage, ...params });
    expect(['BAD_REQUEST', 'NAME_INVALID', 'SIZE_INVALID', 'SECRET_MISSING']).toContain(error?.data?.code);
  });

  it('F-042: a half line holds nobody up', async () => {
    const lazy = connect(daemon.socket);
    await once(lazy, 'connect');
    lazy.write('{"jsonrpc":"2.0"');
    await alive();
    lazy.destroy();
  });

  it('answers a client that closed its writing half, and several calls on one connection', async () => {
    const socket: Socket = connect({ path: daemon.socket, allowHalfOpen: true });
    await once(socket, 'connect');
    socket.end(`${JSON.stringify(hello)}\n${JSON.stringify({ ...hello, id: 8 })}\n`);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { id: number }).id),
    ).toEqual([7, 8]);
  });

  it('a 100 MB line gets an error answer or a closed connection, and the daemon goes on', async () => {
    const socket = connect(daemon.socket);
    await once(socket, 'connect');
    socket.on('error', () => undefined); // EPIPE is what a closed connection looks like from here
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const block = Buffer.alloc(1024 * 1024, 0x61);
    for (let sent = 0; sent < 100 && !socket.destroyed; sent += 1) {
      if (!socket.write(block)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed]);
    }
    socket.resume();
    socket.end();
    await closed;
    await alive();
  });

  it('F-046: 200 clients at once are all answered', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => daemon.call('daemon.hello', {})));
    expect(answers).toHaveLength(200);
  });

  it('a second daemon on the same socket refuses to start, one left behind by a kill does not matter', async () => {
    const second = new DaemonProcess();
    Object.assign(second, { socket: daemon.socket });
    await expect(second.start()).rejects.toThrow(/already listening/);
    await second.dispose();
    await daemon.end('SIGKILL');
    await daemon.start();
    await alive();
  });

  it('ends cleanly at SIGTERM', async () => {
    expect(await daemon.end('SIGTERM')).toBe(0);
    await daemon.start();
  });
});
