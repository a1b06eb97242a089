import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { SIM_RELEASES, type SimRelease } from '../../sim/api/contract.ts';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { DaemonProcess } from './testing/daemon-process.ts';

const CLI = join(import.meta.dirname, '../../dist/pve-truenas.mjs');
const PVESM = join(import.meta.dirname, '../../perl/t/bin/pvesm-lite');
const PASSWORD = 'correct horse';

interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** A node with daemon and a stand-in for pvesh, beside an array that holds a pool only. */
class Stage {
  readonly sim: Simulator;
  readonly daemon = new DaemonProcess();
  readonly pve: string;
  answers: Record<string, unknown>;

  private constructor(sim: Simulator) {
    this.sim = sim;
    this.pve = join(this.daemon.directory, 'pve');
    this.answers = {
      storage: 'tn',
      host: '127.0.0.1',
      port: sim.port,
      fingerprint: sim.fingerprint,
      dataset: 'tank/proxmox',
      portals: ['127.0.0.1'],
      // Without a name in /etc/iscsi each program of the node has one of its own.
      initiators: {
        pve1: 'iqn.2008-11.org.linux-kvm',
        inquiry: 'iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-inq',
        capacity: 'iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-readcapacity16',
      },
      initiator: 'qemu',
    };
  }

  static async begin(release: SimRelease, blocks: 'tgt' | 'memory' = 'tgt'): Promise<Stage> {
    const stage = new Stage(await launchSimulator({ release, seed: null, delays: false, blocks, password: PASSWORD }));
    const { pve, daemon } = stage;
    mkdirSync(join(pve, 'priv/storage'), { recursive: true, mode: 0o700 });
    mkdirSync(join(daemon.directory, 'bin'));
    symlinkSync(join(import.meta.dirname, 'testing/pvesh-lite'), join(daemon.directory, 'bin/pvesh'));
    writeFileSync(join(pve, '.members'), JSON.stringify({ nodename: 'pve1', version: 1 }));
    writeFileSync(join(pve, 'storage.cfg'), '');
    await daemon.start({}, ['--storage-cfg', join(pve, 'storage.cfg'), '--priv-dir', join(pve, 'priv/storage')]);
    return stage;
  }

  #start(args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const { daemon, pve } = this;
    const file = join(daemon.directory, 'answers.yaml');
    writeFileSync(file, JSON.stringify(this.answers));
    const at = (name: string): string => join(daemon.directory, name);
    const places = ['--storage-cfg', join(pve, 'storage.cfg'), '--priv-dir', join(pve, 'priv/storage'), '--run-dir', at('run')];
    const pvesm = ['perl', '-T', PVESM, ...places, '--link-dir', at('links'), '--socket', daemon.socket, '--node', 'pve1'];
    return spawn(process.execPath, [CLI, 'setup', '--config', file, '--pve-dir', pve, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
        PVE_TRUENAS_SOCKET: daemon.socket,
        PVE_TRUENAS_ADMIN_PASSWORD: PASSWORD,
        PVESH_LITE: pvesm.join(' '),
        ...env,
      },
    });
  }

  /** The command to its end; `onOutput` sees the process while it runs. */
  async setup(
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    onOutput: (child: ChildProcess, out: string) => void = () => undefined,
  ): Promise<Outcome> {
    await this.sim.command({ command: 'reset-rate-limit' });
    const child = this.#start(args, env);
    let out = '';
    let err = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      onOutput(child, out);
    });
    child.stderr?.on('data', (chunk: Buffer) => void (err += chunk.toString()));
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, out, err };
  }

  get storageCfg(): string {
    return readFileSync(join(this.pve, 'storage.cfg'), 'utf8');
  }

  get keyFile(): string {
    return join(this.pve, 'priv/storage/tn.api_key');
  }

  async end(): Promise<void> {
    await this.daemon.dispose();
    await this.sim.stop();
    rmSync(this.daemon.directory, { recursive: true, force: true });
  }
}

let stage: Stage | null = null;
afterEach(async () => {
  await stage?.end();
  stage = null;
});
async function begin(release: SimRelease = '25.10', blocks: 'tgt' | 'memory' = 'tgt'): Promise<Stage> {
  return (stage = await Stage.begin(release, blocks));
}

describe('pve-truenas setup', () => {
  it.each(SIM_RELEASES)('goes from a pool to a probed disk on %s, says so in a pipe, and does nothing twice', async (release) => {
    const node = await begin(release);
    const first = await node.setup();
    expect(first).toMatchObject({ status: 0, err: '' });
    expect(first.out).toMatch(/made +dataset tank\/proxmox\n.*made +target proxmox\n.*made +health check\n.*made +probe disk/s);
    expect(first.out).not.toMatch(/[\x1b\r]/);
    expect(node.storageCfg).toContain('target_iqn iqn.2005-10.org.freenas.ctl:proxmox');
    expect(statSync(node.keyFile).mode & 0o777).toBe(0o600);
    expect(node.storageCfg).not.toContain(readFileSync(node.keyFile, 'utf8').trim());
    const key = readFileSync(node.keyFile, 'utf8');
    expect(await node.setup(['--check'])).toMatchObject({ status: 0, err: '' });
    node.sim.resetCalls();
    expect(await node.setup(['--no-probe'])).toMatchObject({ status: 0, err: '' });
    expect(Object.keys(node.sim.calls()).filter((method) => /\.(?:create|update|delete|start|control)$/.test(method))).toEqual([]);
    expect(readFileSync(node.keyFile, 'utf8')).toBe(key);
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
      'pvesh',
    ]);
    expect(report.calls[5]?.params).toMatchObject([{ groups: [{ portal: '<id of the new portal>' }] }]);
    expect(dry.out).not.toContain(PASSWORD);
    expect(Object.keys(node.sim.calls()).filter((method) => /\.(?:create|update|delete|start|control)$/.test(method))).toEqual([]);
    expect(node.storageCfg).toBe('');
  });

  it.each(['user', 'target', 'API key', 'storage tn in PVE'])(
    'killed right after "%s" it is taken up again by the next run',
    async (part) => {
      const node = await begin();
      const killed = await node.setup([], {}, (child, out) => {
        if (new RegExp(`made +${part}`).test(out)) child.kill('SIGKILL');
      });
      expect(killed.status).toBeNull();
      expect(await node.setup()).toMatchObject({ status: 0, err: '' });
      expect(await node.setup(['--check'])).toMatchObject({ status: 0 });
    },
  );

  it.each(['SIGINT', 'SIGTERM'] as const)('takes back what it made on %s', async (signal) => {
    const node = await begin('25.10', 'memory');
    let sent = false;
    const ended = await node.setup([], {}, (child, out) => {
      if (sent || !/made +iSCSI service/.test(out)) return;
      sent = true;
      child.kill(signal);
    });
    expect(ended.status).toBe(2);
    expect(ended.out).toMatch(
      /undone +start the iSCSI service\n +undone +enable the iSCSI service\n +undone +make dataset tank\/proxmox\n/,
    );
    expect(ended.err).toContain('[SETUP_INTERRUPTED]');
    const check = await node.setup(['--check', '--json']);
    expect((JSON.parse(check.out) as { missing: unknown[] }).missing).toHaveLength(9);
  });

  it('removes what it made once no volume is left', async () => {
    const node = await begin();
    await node.setup(['--no-probe']);
    expect((await node.setup(['--remove'])).err).toContain('--yes');
    const gone = await node.setup(['--remove', '--yes']);
    expect(gone).toMatchObject({ status: 0, err: '' });
    expect(node.storageCfg).not.toContain('tn');
    const check = await node.setup(['--check', '--json']);
    // the service stays on
    expect((JSON.parse(check.out) as { missing: unknown[] }).missing).toHaveLength(8);
  });

  it.each([
    ['a wrong password', { PVE_TRUENAS_ADMIN_PASSWORD: 'wrong' }, {}, 'AUTH_FAILED', 2],
    ['no password', { PVE_TRUENAS_ADMIN_PASSWORD: '' }, {}, 'SETUP_ANSWERS', 3],
    ['another certificate', {}, { fingerprint: Array(32).fill('AA').join(':') }, 'TLS_UNTRUSTED', 2],
    ['a certificate that nobody was asked about', {}, { fingerprint: undefined }, 'TLS_UNTRUSTED', 2],
    ['a name that is almost right', {}, { datset: 'tank/x' }, 'did you mean dataset', 3],
    ['a secret in the file', {}, { password: 'x' }, 'does not belong into this file', 3],
    ['a pool that is not there', {}, { dataset: 'none/x' }, 'there is no pool none; there are tank', 2],
    ['nodes without a name', {}, { initiators: {} }, 'cat /etc/iscsi/initiatorname.iscsi', 3],
  ] as const)('refuses %s and changes nothing', async (_title, env, more, text, status) => {
    const node = await begin('25.10', 'memory');
    node.answers = { ...node.answers, ...more };
    node.sim.resetCalls();
    const refused = await node.setup([], env);
    expect(refused.err).toContain(text);
    expect(refused.status).toBe(status);
    expect(Object.keys(node.sim.calls()).filter((method) => /\.(?:create|update|delete|start|control)$/.test(method))).toEqual([]);
  });

  it('does not log in again when the array takes no more logins', async () => {
    const node = await begin('25.10', 'memory');
    node.sim.faults.add({ fault: 'error', method: 'auth.login_ex', errno: 16, reason: '[EBUSY] Rate Limit Exceeded' });
    node.sim.resetCalls();
    expect((await node.setup()).err).toContain('[AUTH_RATE_LIMITED]');
    expect(node.sim.calls()['auth.login_ex']).toBe(1);
  });
});
