import { createHash, createHmac, pbkdf2Sync, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator, type SimulatorOptions } from './launch.ts';
import { TestingClient } from './testing-client.ts';

const running: Simulator[] = [];
async function start(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await launchSimulator({ delays: false, ...options });
  running.push(simulator);
  return simulator;
}
afterEach(async () => {
  for (const simulator of running.splice(0)) await simulator.stop();
});

describe('control commands change the array', () => {
  it('sets the health of the pool, and refuses changes on a suspended one', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    await simulator.command({ command: 'pool-status', status: 'DEGRADED' });
    expect((await client.call('pool.query')).result).toMatchObject([{ status: 'DEGRADED', healthy: false, status_code: 'MISSING_DEV_R' }]);
    expect((await client.call('pool.dataset.create', { name: 'tank/a' })).error).toBeUndefined();
    await simulator.command({ command: 'pool-status', status: 'FAULTED', detail: 'gone' });
    expect((await client.call('pool.query')).result).toMatchObject([{ status: 'FAULTED', status_detail: 'gone' }]);
    const refused = await client.call('pool.dataset.create', { name: 'tank/b' });
    expect(refused.error?.data?.reason).toBe('[EFAULT] Failed to create dataset: pool I/O is currently suspended');
  });

  it('logs initiators in and out where there is a LUN', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    const login = { command: 'session-add', target: 'proxmox', initiator: 'iqn.1993-08.org.debian:01:a', address: '10.0.0.1' } as const;
    await expect(simulator.command(login)).rejects.toThrow('does not admit');
    await client.call('pool.dataset.create', { name: 'tank/proxmox/a', type: 'VOLUME', volsize: 1024 ** 3, sparse: true });
    await client.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/proxmox/a' });
    await client.call('iscsi.targetextent.create', { target: 1, extent: 1 });
    await simulator.command(login);
    const { targetIqn } = simulator;
    expect((await client.call('iscsi.global.sessions')).result).toMatchObject([{ target: targetIqn, initiator_addr: '10.0.0.1' }]);
    const refused = await client.call('iscsi.targetextent.delete', 1);
    expect(refused.error?.data?.reason).toBe(`[EFAULT] Associated target ${targetIqn ?? ''} is in use.`);
    const logout = { command: 'session-remove', target: 'proxmox', initiator: login.initiator } as const;
    await simulator.command(logout);
    expect((await client.call('iscsi.global.sessions')).result).toEqual([]);
    await expect(simulator.command(logout)).rejects.toThrow('no session');
  });

  it('locks a dataset', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    await simulator.command({ command: 'dataset-lock', dataset: 'tank/proxmox', locked: true });
    const entry = (await client.call('pool.dataset.get_instance', 'tank/proxmox')).result;
    expect(entry).toMatchObject({ encrypted: true, key_loaded: false, locked: true });
    const refused = await client.call('pool.dataset.create', { name: 'tank/proxmox/a', type: 'VOLUME', volsize: 1024 ** 3 });
    expect(refused.error?.data?.reason).toContain('tank/proxmox must be unlocked to create tank/proxmox/a.');
    await simulator.command({ command: 'dataset-lock', dataset: 'tank/proxmox', locked: false });
    expect((await client.call('pool.dataset.get_instance', 'tank/proxmox')).result).toMatchObject({ locked: false });
    await expect(simulator.command({ command: 'dataset-lock', dataset: 'tank/none', locked: true })).rejects.toThrow('does not exist');
  });

  it('keeps a zvol busy and lets the service fail to reload', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    await client.call('pool.dataset.create', { name: 'tank/proxmox/a', type: 'VOLUME', volsize: 1024 ** 3, sparse: true });
    await simulator.command({ command: 'zvol-busy', zvol: 'tank/proxmox/a', busy: true });
    expect((await client.call('pool.dataset.delete', 'tank/proxmox/a')).error?.data?.reason).toContain('busy');
    await simulator.command({ command: 'zvol-busy', zvol: 'tank/proxmox/a', busy: false });
    expect((await client.call('pool.dataset.delete', 'tank/proxmox/a')).result).toBe(true);
    await simulator.command({ command: 'reload-fails', fails: true });
    expect((await client.call('iscsi.target.create', { name: 'other' })).error?.data?.error).toBe(202);
  });
});

describe('NVMe-oF (truenas-api 12)', () => {
  it('does not exist on 25.04', async () => {
    const simulator = await start({ release: '25.04' });
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    expect((await client.call('nvmet.namespace.query')).error).toEqual({ code: -32601, message: 'Method does not exist' });
  });

  it('has hosts logged in on command', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    const initiator = 'nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555';
    const login = { command: 'session-add', target: 'pve', initiator, address: '10.0.0.1' } as const;
    await expect(simulator.command(login)).rejects.toThrow('does not admit');
    await client.call('service.update', 'nvmet', { enable: true });
    await client.call('core.set_options', { legacy_jobs: false });
    expect((await client.call('service.control', 'START', 'nvmet')).result).toBe(true);
    await client.call('nvmet.subsys.create', { name: 'pve', allow_any_host: true });
    await client.call('nvmet.port.create', { addr_trtype: 'TCP', addr_traddr: '127.0.0.1' });
    await client.call('nvmet.port_subsys.create', { port_id: 1, subsys_id: 1 });
    await simulator.command(login);
    expect((await client.call('nvmet.global.sessions')).result).toMatchObject([{ hostnqn: initiator, host_traddr: '10.0.0.1' }]);
    await simulator.command({ command: 'session-remove', target: 'pve', initiator });
    expect((await client.call('nvmet.global.sessions')).result).toEqual([]);
  });
});

describe('JSON-RPC framing (truenas-api 2)', () => {
  it('words its refusals like TrueNAS', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    expect((await client.raw('{')).error?.code).toBe(-32700);
    expect((await client.raw('[]')).error).toEqual({ code: -32700, message: 'Batch messages are not supported at this time' });
    expect((await client.raw('{"jsonrpc":"2.0","id":1.5,"method":"core.ping"}')).error?.code).toBe(-32600);
    expect((await client.raw('{"jsonrpc":"2.0","id":"x","method":"core.ping","params":{}}')).error?.code).toBe(-32600);
    expect((await client.call('no.such')).error).toEqual({ code: -32601, message: 'Method does not exist' });
    const refused = await client.call('iscsi.extent.query');
    expect(refused.error?.data).toMatchObject({
      error: 207,
      errname: 'ENOTAUTHENTICATED',
      reason: '[ENOTAUTHENTICATED] Not authenticated',
    });
  });

  it('closes for a long message: 1007 before login, 1009 after; 1003 for a binary frame', async () => {
    const simulator = await start();
    const anonymous = await TestingClient.open(simulator);
    anonymous.socket.send('x'.repeat(8193));
    expect((await anonymous.closed).code).toBe(1007);
    const known = await TestingClient.open(simulator);
    await known.login(simulator);
    known.socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'core.ping', params: ['x'.repeat(65_536)] }));
    expect((await known.closed).code).toBe(1009);
    const binary = await TestingClient.open(simulator);
    binary.socket.send(Buffer.from('{}'));
    expect((await binary.closed).code).toBe(1003);
  });

  it('admits 20 calls at once and refuses the 21st with -32000', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    simulator.faults.add({ method: 'system.version', fault: 'latency', ms: 60_000 });
    const calls = Array.from({ length: 20 }, () => client.call('system.version'));
    expect((await client.call('system.version')).error).toEqual({
      code: -32000,
      message: 'Maximum number of concurrent calls (20) has exceeded',
    });
    simulator.clock.advance(60_000);
    await Promise.resolve();
    simulator.faults.clear();
    await calls[0];
  });
});

describe('login (truenas-api 3)', () => {
  it('answers a wrong key with AUTH_ERR, not with an error', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    expect((await client.login(simulator, `1-${'a'.repeat(64)}`)).result).toEqual({ response_type: 'AUTH_ERR' });
    expect((await client.login(simulator, simulator.apiKey, 'root')).result).toEqual({ response_type: 'AUTH_ERR' });
    expect((await client.login(simulator)).result).toMatchObject({ response_type: 'SUCCESS', authenticator: 'LEVEL_1' });
  });

  it('burns a valid key that comes unencrypted, and no wrong one', async () => {
    const simulator = await start({ plainListen: { host: '127.0.0.1', port: 0 } });
    const plain = await TestingClient.open(simulator, simulator.plainUrl ?? '');
    expect((await plain.login(simulator, `1-${'a'.repeat(64)}`)).result).toEqual({ response_type: 'AUTH_ERR' });
    const client = await TestingClient.open(simulator);
    expect((await client.login(simulator)).result).toMatchObject({ response_type: 'SUCCESS' });
    expect((await plain.login(simulator)).result).toEqual({ response_type: 'EXPIRED' });
    expect((await client.call('core.ping')).result).toBe('pong');
    expect((await (await TestingClient.open(simulator)).login(simulator)).result).toEqual({ response_type: 'AUTH_ERR' });
  });

  it('drops a session after 30 days at its next message', async () => {
    const simulator = await start({ release: '26.0' });
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    await simulator.command({ command: 'clock-advance', ms: 30 * 86_400_000 - 60_000 });
    expect((await client.call('system.version')).result).toBeDefined();
    await simulator.command({ command: 'clock-advance', ms: 60_000 });
    expect((await client.call('system.version')).error?.data).toMatchObject({
      error: 207,
      reason: '[ENOTAUTHENTICATED] Not authenticated',
    });
    expect((await client.login(simulator)).result).toMatchObject({ response_type: 'SUCCESS' });
  });

  it('refuses the 21st call of a minute before login', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    for (let call = 0; call < 20; call += 1) expect((await client.call('core.ping')).result).toBe('pong');
    expect((await client.call('core.ping')).error?.data).toMatchObject({ error: 16, reason: '[EBUSY] Rate Limit Exceeded' });
    await simulator.command({ command: 'clock-advance', ms: 60_000 });
    const next = await TestingClient.open(simulator);
    expect((await next.call('core.ping')).result).toBe('pong');
  });

  it('lets a user do what his roles allow', async () => {
    const simulator = await start();
    const key = await simulator.createKey('reader', ['SHARING_ISCSI_EXTENT_READ']);
    const client = await TestingClient.open(simulator);
    await client.login(simulator, key, 'reader');
    expect((await client.call('iscsi.extent.query')).result).toEqual([]);
    expect((await client.call('iscsi.extent.create', {})).error?.data).toMatchObject({ error: 13, reason: '[EACCES] Not authorized' });
    expect((await client.call('core.subscribe', '*')).error?.data?.error).toBe(13);
  });

  it('speaks SCRAM-SHA-512 both ways on 26.0 with channel binding', async () => {
    const simulator = await start({ release: '26.0' });
    const client = await TestingClient.open(simulator);
    const [id = '', material = ''] = simulator.apiKey.split('-');
    const bare = `n=${simulator.username}:${id},r=${randomBytes(32).toString('base64')}`;
    const gs2 = 'p=tls-server-end-point,,';
    const first = (await client.call('auth.login_ex', { mechanism: 'SCRAM', scram_type: 'CLIENT_FIRST_MESSAGE', rfc_str: `${gs2}${bare}` }))
      .result as { rfc_str: string };
    const [, nonce = '', salt = '', rounds = ''] = /^r=(.+),s=(.+),i=(\d+)$/.exec(first.rfc_str) ?? [];
    const salted = pbkdf2Sync(material, Buffer.from(salt, 'base64'), Number(rounds), 64, 'sha512');
    const hmac = (key: Buffer, text: string): Buffer => createHmac('sha512', key).update(text).digest();
    const clientKey = hmac(salted, 'Client Key');
    const der = createHash('sha256').update(new X509Certificate(simulator.ca).raw).digest();
    const withoutProof = `c=${Buffer.concat([Buffer.from(gs2), der]).toString('base64')},r=${nonce}`;
    const message = `${bare},${first.rfc_str},${withoutProof}`;
    const signature = hmac(createHash('sha512').update(clientKey).digest(), message);
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0))).toString('base64');
    const final = await client.call('auth.login_ex', {
      mechanism: 'SCRAM',
      scram_type: 'CLIENT_FINAL_MESSAGE',
      rfc_str: `${withoutProof},p=${proof}`,
    });
    expect(final.result).toMatchObject({
      scram_type: 'SERVER_FINAL_RESPONSE',
      rfc_str: `v=${hmac(hmac(salted, 'Server Key'), message).toString('base64')}`,
    });
    expect((await client.call('system.version')).result).toMatch(/^TrueNAS-26/);
  });
});

describe('faults', () => {
  it('does the work and cuts the connection instead of answering', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    simulator.faults.add({ method: 'pool.dataset.create', fault: 'cut-after', nth: 1 });
    void client.call('pool.dataset.create', { name: `${simulator.dataset ?? ''}/vm-1-disk-0`, type: 'VOLUME', volsize: 1_073_741_824 });
    await client.closed;
    const again = await TestingClient.open(simulator);
    await again.login(simulator);
    const found = await again.call('pool.dataset.query', [['type', '=', 'VOLUME']], { select: ['id'] });
    expect(found.result).toEqual([{ id: `${simulator.dataset ?? ''}/vm-1-disk-0` }]);
  });

  it('answers with whatever it is told, done or not', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    simulator.faults.add({ method: 'pool.dataset.create', fault: 'answer', result: [null], nth: 1 });
    expect((await client.call('pool.dataset.create', { name: 'tank/a' })).result).toEqual([null]);
    expect((await client.call('pool.dataset.query', [['id', '=', 'tank/a']])).result).toEqual([]);
    simulator.faults.add({ method: 'pool.dataset.create', fault: 'answer', result: 7, done: true, nth: 1 });
    expect((await client.call('pool.dataset.create', { name: 'tank/a' })).result).toBe(7);
    expect((await client.call('pool.dataset.query', [['id', '=', 'tank/a']])).result).toHaveLength(1);
    simulator.faults.add({ method: 'system.version', fault: 'raw', text: '{"id":"other","result":1}', nth: 1 });
    expect(await client.raw('{"jsonrpc":"2.0","id":"mine","method":"system.version"}')).toEqual({ id: 'other', result: 1 });
    simulator.faults.add({ method: 'GET /api/versions', fault: 'raw', text: '<html>' });
    simulator.faults.add({ method: 'connect', fault: 'raw', text: 'HTTP/1.1 429 Too Many Requests\r\n\r\n' });
    await expect(TestingClient.open(simulator)).rejects.toThrow('429');
  });

  it('expires the session, fails as told, stays mute', async () => {
    const simulator = await start();
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    simulator.faults.add({ method: 'system.version', fault: 'error', errno: 28, reason: '[ENOSPC] full', times: 1 });
    expect((await client.call('system.version')).error?.data).toMatchObject({ error: 28, reason: '[ENOSPC] full' });
    simulator.faults.add({ method: 'system.version', fault: 'session-expired', times: 1 });
    expect((await client.call('system.version')).error?.data?.error).toBe(207);
  });
});

describe('faults of arguments (truenas-api 2.2)', () => {
  it.each(['25.04', '25.10', '26.0'] as const)('tell a wrong type from a missing field on %s', async (release) => {
    const simulator = await start({ release });
    const client = await TestingClient.open(simulator);
    await client.login(simulator);
    const wrong = await client.call('pool.dataset.create', { name: 'tank/x', type: 'VOLUME', volsize: 'x' });
    const { extra } = wrong.error?.data as { extra: [string, string, number][] };
    const volsize = extra.filter(([path]) => path.endsWith('volsize')).map(([, message]) => message);
    expect(volsize).toContain('Input should be a valid integer');
    expect(volsize).not.toContain('Field required');
  });
});

describe('what is kept and written', () => {
  it('keeps key, certificate and objects over a restart, and no secret in the log', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sim-test-'));
    const wireLog = join(directory, 'wire.log');
    try {
      const first = await launchSimulator({ state: join(directory, 's'), wireLog });
      const client = await TestingClient.open(first);
      await client.login(first);
      await client.call('iscsi.initiator.create', { initiators: [], comment: 'kept' });
      await first.stop();
      const second = await start({ state: join(directory, 's') });
      expect([second.apiKey, second.fingerprint]).toEqual([first.apiKey, first.fingerprint]);
      const again = await TestingClient.open(second);
      await again.login(second);
      expect((await again.call('iscsi.initiator.query', [['comment', '=', 'kept']], { count: true })).result).toBe(1);
      const text = readFileSync(wireLog, 'utf8');
      expect(text).not.toContain(first.apiKey.split('-')[1]);
      const lines = text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines.map((line) => [line['version'], line['method']])).toEqual([
        ['25.10', 'auth.login_ex'],
        ['25.10', 'iscsi.initiator.create'],
      ]);
      await second.stop();
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
