import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { SIM_RELEASES, type SimRelease } from '../../sim/api/contract.ts';
import { TestingClient } from '../../sim/server/testing-client.ts';
import { callArray } from './testing/daemon-process.ts';
import { type Blocks, PASSWORD, SetupNode } from './testing/setup-node.ts';

let stage: SetupNode | null = null;
afterEach(async () => {
  await stage?.end();
  stage = null;
});
async function begin(release: SimRelease = '25.10', blocks: Blocks = 'tgt'): Promise<SetupNode> {
  return (stage = await SetupNode.begin(release, blocks));
}

/** Setup without the parts that need real LUNs. */
const MEMORY = ['--no-probe'] as const;

function steps(out: string): { readonly missing: readonly string[] } {
  return JSON.parse(out) as { missing: string[] };
}

async function keyOf(node: SetupNode, username: string, role: string) {
  return (await node.sim.command({ command: 'create-key', username, roles: [role] })) as { id: number; apiKey: string };
}

/** Lets a key end long ago, as an administrator would in the web interface. */
async function expire({ sim }: SetupNode, key: number): Promise<void> {
  const client = await TestingClient.open(sim);
  await client.call('auth.login_ex', { mechanism: 'API_KEY_PLAIN', username: sim.username, api_key: sim.apiKey });
  expect((await client.call('api_key.update', key, { expires_at: { $date: 1000 } })).error).toBeUndefined();
  client.socket.terminate();
}

describe('pve-truenas setup', () => {
  it.each(SIM_RELEASES)('goes from a pool to a probed disk on %s, says so in a pipe, and does nothing twice', async (release) => {
    const node = await begin(release);
    const first = await node.setup();
    expect(first).toMatchObject({ status: 0, err: '' });
    expect(first.out).toMatch(/made +dataset tank\/proxmox\n.*made +target proxmox\n.*made +health check\n.*made +probe disk/s);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
    expect(first.out).not.toMatch(/[\x1b\r]/);
    expect(node.storageCfg).toContain('target_iqn iqn.2005-10.org.freenas.ctl:proxmox');
    expect(statSync(node.keyFile).mode & 0o777).toBe(0o600);
    expect(node.storageCfg).not.toContain(readFileSync(node.keyFile, 'utf8').trim());
    const key = readFileSync(node.keyFile, 'utf8');
    expect(await node.setup(['--check'])).toMatchObject({ status: 0, err: '' });
    const state = await node.state();
    node.sim.resetCalls();
    expect(await node.setup(['--no-probe'])).toMatchObject({ status: 0, err: '' });
    expect(node.changes()).toEqual([]);
    expect(await node.state()).toEqual(state);
    expect(readFileSync(node.keyFile, 'utf8')).toBe(key);
  });

  it('tells on 25.04 which operations need more than the roles that it gave', async () => {
    const node = await begin('25.04', 'memory');
    expect((await node.setup([...MEMORY])).out).toMatch(/note +.*FULL_ADMIN/);
  });

  it('shows every call of a dry run without its secrets, and changes nothing', async () => {
    const node = await begin('25.10', 'memory');
    node.sim.resetCalls();
    const dry = await node.setup(['--dry-run', '--json']);
    expect(dry.status).toBe(1);
    const report = JSON.parse(dry.out) as { calls: { method: string; params: unknown[] }[]; missing: string[] };
    expect(report.calls.map(({ method }) => method)).toEqual([
      'pool.dataset.create',
      'service.update',
      'service.control',
      'iscsi.portal.create',
      'iscsi.initiator.create',
      'iscsi.target.create',
      'user.create',
      'privilege.create',
      'api_key.create',
      'write',
      'pvesh',
      'overview.health',
      'volume.allocate',
      'volume.activate',
      'volume.deactivate',
      'volume.free',
    ]);
    expect(report.calls[5]?.params).toMatchObject([{ groups: [{ portal: '<id of the new portal>' }] }]);
    expect(dry.out).not.toContain(PASSWORD);
    expect(node.changes()).toEqual([]);
    expect(node.storageCfg).toBe('');
  });

  it('makes TrueNAS ready for NVMe/TCP, and says that the plugin does not offer it', async () => {
    const node = await begin('25.10', 'memory');
    node.answers = {
      ...node.answers,
      transport: 'nvme-tcp',
      hosts: { pve1: 'nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555' },
    };
    const made = await node.setup();
    expect(made).toMatchObject({ status: 0, err: '' });
    expect(made.out).toMatch(
      /made +NVMe subsystem pve-truenas\.tn\.pve1\n.*note +NVMe\/TCP is not offered by this version.*no storage is added/s,
    );
    expect(node.storageCfg).toBe('');
    node.sim.resetCalls();
    expect(await node.setup()).toMatchObject({ status: 0, err: '' });
    expect(node.changes()).toEqual([]);
    const gone = await node.setup(['--remove', '--yes']);
    expect(gone).toMatchObject({ status: 0, err: '' });
    expect(gone.out).toMatch(/stays +NVMe hosts and ports.*undone +NVMe subsystem/s);
  });

  it('takes the key of an administrator from standard input', async () => {
    const node = await begin('25.10', 'memory');
    expect(await node.setup(['--check', '--key-file', '-'], {}, `${node.sim.apiKey}\nmore\n`)).toMatchObject({ status: 1, err: '' });
    expect((await node.setup(['--check', '--password-file', '-'], {}, '\n')).err).toContain('holds no password');
  });

  it('leaks neither the secret of the administrator nor the key that it made', async () => {
    const node = await begin();
    const log = join(node.daemon.directory, 'pvesh.log');
    const first = await node.setup([], { PVESH_LITE_LOG: log });
    const again = await node.setup(['--json'], {
      PVESH_LITE_LOG: log,
      PVE_TRUENAS_ADMIN_PASSWORD: '',
      PVE_TRUENAS_ADMIN_KEY: node.sim.apiKey,
    });
    expect([first.status, again.status]).toEqual([0, 0]);
    const made = readFileSync(node.keyFile, 'utf8').trim();
    // Arguments and environment of what setup started, what it printed, the daemon's log, and every file but the key's own
    expect(readFileSync(log, 'utf8')).toMatch(/^pvesh create \/storage .*^pvesh get \/cluster\/nextid/ms);
    const files = readdirSync(node.daemon.directory, { recursive: true, encoding: 'utf8', withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => path !== node.keyFile);
    expect(files.length).toBeGreaterThan(3);
    const texts = [...files.map((path) => readFileSync(path, 'latin1')), first.out, first.err, again.out, again.err, node.daemon.output];
    for (const secret of [PASSWORD, node.sim.apiKey, made, made.replace(/^\d+-/, '')]) {
      expect(texts.filter((text) => text.includes(secret))).toEqual([]);
    }
    expect(texts.some((text) => text.includes('tank/proxmox'))).toBe(true);
  });

  it('changes nothing of what others made, and refuses by name what is in its way', async () => {
    const node = await begin('25.10', 'memory');
    const call = (method: string, ...args: unknown[]) => callArray(node.sim, method, ...args);
    await call('pool.dataset.create', { name: 'tank/proxmox', type: 'FILESYSTEM', comments: 'mine' });
    await call('iscsi.target.create', { name: 'proxmox', groups: [] });
    const before = await node.state();
    const refused = await node.setup([...MEMORY]);
    expect(refused.status).toBe(2);
    expect(refused.err).toMatch(/the target proxmox was made by somebody else[\s\S]*\[SETUP_REFUSED\][\s\S]*State: nothing was changed/);
    expect(await node.state()).toEqual(before);
    expect(await node.setup([...MEMORY, '--target', 'ours'])).toMatchObject({ status: 0, err: '' });
    const gone = await node.setup(['--remove', '--yes', '--target', 'ours']);
    expect(gone).toMatchObject({ status: 0, err: '' });
    expect(gone.out).toMatch(/stays +dataset tank\/proxmox: setup did not make it/);
    const left = (await node.state()) as { array: { service: unknown } };
    expect({ ...left.array, service: 0 }).toEqual({ ...(before as { array: object }).array, service: 0 });
  });

  it('removes what it made once no volume is left, and never a storage that it did not make', async () => {
    const node = await begin('25.10', 'memory');
    await node.setup([...MEMORY]);
    expect((await node.setup(['--remove'])).err).toContain('--yes');
    await callArray(node.sim, 'pool.dataset.create', {
      name: 'tank/proxmox/vm-100-disk-0',
      type: 'VOLUME',
      volsize: 2 ** 30,
      sparse: true,
    });
    const before = await node.state();
    const kept = await node.setup(['--remove', '--yes']);
    expect(kept.err).toMatch(/tank\/proxmox holds 1 volume[\s\S]*nothing was removed/);
    expect(await node.state()).toEqual(before);
    await callArray(node.sim, 'pool.dataset.delete', 'tank/proxmox/vm-100-disk-0', {});
    const mine = node.storageCfg;
    writeFileSync(
      join(node.pve, 'storage.cfg'),
      mine.replace('target_iqn iqn.2005-10.org.freenas.ctl:proxmox', 'target_iqn iqn.2005-10.org.freenas.ctl:else'),
    );
    expect((await node.setup(['--remove', '--yes'])).err).toMatch(/is not as setup made it: target_iqn is/);
    writeFileSync(join(node.pve, 'storage.cfg'), mine);
    expect(await node.setup(['--remove', '--yes'])).toMatchObject({ status: 0, err: '' });
    expect(node.storageCfg).not.toContain('tn');
    const check = await node.setup(['--check', '--json']);
    // the service stays on
    expect(steps(check.out).missing).toHaveLength(8);
  });

  it('makes a key that no longer works anew', async () => {
    const node = await begin('25.10', 'memory');
    await node.setup([...MEMORY]);
    const old = readFileSync(node.keyFile, 'utf8');
    await node.sim.command({ command: 'revoke-key', id: Number(/^\d+/.exec(old)?.[0]) });
    expect(steps((await node.setup(['--check', '--json'])).out).missing).toEqual(['API key']);
    expect(await node.setup([...MEMORY])).toMatchObject({ status: 0, err: '' });
    expect(readFileSync(node.keyFile, 'utf8')).not.toBe(old);
  });

  it.each([
    ['a wrong password', { PVE_TRUENAS_ADMIN_PASSWORD: 'wrong' }, {}, 'AUTH_FAILED', 2],
    ['no password', { PVE_TRUENAS_ADMIN_PASSWORD: '' }, {}, 'SETUP_ANSWERS', 3],
    ['another certificate', {}, { fingerprint: Array(32).fill('AA').join(':') }, 'TLS_UNTRUSTED', 2],
    ['a certificate that nobody was asked about', {}, { fingerprint: undefined }, 'TLS_UNTRUSTED', 2],
    ['a name that is almost right', {}, { datset: 'tank/x' }, 'did you mean dataset', 3],
    ['a secret in the file', {}, { password: 'x' }, 'does not belong into this file', 3],
    ['a pool that is not there', {}, { dataset: 'none/x' }, 'there is no pool none; there are tank', 2],
    ['an address that is not there', {}, { portals: ['192.0.2.7'] }, 'TrueNAS has no address 192.0.2.7', 2],
    ['nodes without a name', {}, { initiators: {} }, 'initiatorname.iscsi', 3],
    ['NVMe names that are missing', {}, { transport: 'nvme-tcp' }, 'hostnqn', 3],
  ] as const)('refuses %s and changes nothing', async (title, env, more, text, status) => {
    const node = await begin('25.10', 'memory');
    node.answers = { ...node.answers, ...more };
    if (title.endsWith(' name') || title.startsWith('NVMe')) {
      writeFileSync(join(node.pve, '.members'), JSON.stringify({ nodename: 'pve1', nodelist: { pve1: {}, pve9: {} } }));
    }
    node.sim.resetCalls();
    const refused = await node.setup([], env);
    expect(refused.err).toContain(text);
    expect(refused.status).toBe(status);
    expect(node.changes()).toEqual([]);
  });

  it.each(['expired', 'revoked'])('refuses an %s key of an administrator, without showing it', async (how) => {
    const node = await begin('25.10', 'memory');
    const { id, apiKey } = await keyOf(node, 'boss', 'FULL_ADMIN');
    if (how === 'revoked') await node.sim.command({ command: 'revoke-key', id });
    else await expire(node, id);
    node.sim.resetCalls();
    const refused = await node.setup(['--admin', 'boss'], { PVE_TRUENAS_ADMIN_PASSWORD: '', PVE_TRUENAS_ADMIN_KEY: apiKey });
    expect(refused).toMatchObject({ status: 2, err: expect.stringContaining('AUTH_FAILED') as string });
    expect(refused.err).not.toContain(apiKey);
    expect(node.changes()).toEqual([]);
  });

  it('refuses an administrator without the roles, by their names', async () => {
    const node = await begin('25.10', 'memory');
    const { apiKey } = await keyOf(node, 'reader', 'READONLY_ADMIN');
    const refused = await node.setup(['--admin', 'reader'], { PVE_TRUENAS_ADMIN_PASSWORD: '', PVE_TRUENAS_ADMIN_KEY: apiKey });
    expect(refused.err).toMatch(/the administrator reader lacks the roles DATASET_WRITE, DATASET_DELETE, ACCOUNT_WRITE/);
    expect(refused.status).toBe(2);
  });

  it('makes nothing on TrueNAS while the daemon of this node cannot be asked', async () => {
    const node = await begin('25.10', 'memory');
    node.sim.resetCalls();
    const refused = await node.setup([], { PVE_TRUENAS_SOCKET: join(node.daemon.directory, 'nobody.sock') });
    expect(refused).toMatchObject({ status: 2, err: expect.stringContaining('[DAEMON_UNREACHABLE]') as string });
    expect(refused.err).toContain('State: nothing was changed');
    expect(node.changes()).toEqual([]);
  });

  it('does not log in again when the array takes no more logins', async () => {
    const node = await begin('25.10', 'memory');
    node.sim.faults.add({ fault: 'error', method: 'auth.login_ex', errno: 16, reason: '[EBUSY] Rate Limit Exceeded' });
    node.sim.resetCalls();
    expect((await node.setup()).err).toContain('[AUTH_RATE_LIMITED]');
    expect(node.sim.calls()['auth.login_ex']).toBe(1);
  });
});
