import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SimRelease } from '../../../sim/api/contract.ts';
import { launchSimulator, type Simulator } from '../../../sim/server/launch.ts';
import { arrayState } from '../../contract/testing/array-state.ts';
import { DaemonProcess } from './daemon-process.ts';
import { quoted, Terminal, type TerminalSize } from './terminal.ts';
import { called } from './waiting.ts';

const CLI = join(import.meta.dirname, '../../../dist/pve-truenas.mjs');
const PVESM = join(import.meta.dirname, '../../../perl/t/bin/pvesm-lite');
/** Of the administrator; planted, and searched for. */
export const PASSWORD = 'correct horse battery staple';
export type Blocks = 'tgt' | 'memory';
const CHANGE = /\.(?:create|update|delete|start|control)$/;

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
}

export interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** A node with daemon and a stand-in for pvesh, beside an array that holds a pool only. */
export class SetupNode {
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

  static async begin(release: SimRelease, blocks: Blocks = 'tgt'): Promise<SetupNode> {
    const stage = new SetupNode(await launchSimulator({ release, seed: null, delays: false, blocks, password: PASSWORD }));
    const { pve, daemon } = stage;
    mkdirSync(join(pve, 'priv/storage'), { recursive: true, mode: 0o700 });
    mkdirSync(join(daemon.directory, 'bin'));
    symlinkSync(join(import.meta.dirname, 'pvesh-lite'), join(daemon.directory, 'bin/pvesh'));
    writeFileSync(join(pve, '.members'), JSON.stringify({ nodename: 'pve1', version: 1 }));
    writeFileSync(join(pve, 'storage.cfg'), '');
    await daemon.start({}, ['--storage-cfg', join(pve, 'storage.cfg'), '--priv-dir', join(pve, 'priv/storage')]);
    return stage;
  }

  #environment(): Record<string, string> {
    const { daemon, pve } = this;
    const at = (name: string): string => join(daemon.directory, name);
    const places = ['--storage-cfg', join(pve, 'storage.cfg'), '--priv-dir', join(pve, 'priv/storage'), '--run-dir', at('run')];
    const pvesm = ['perl', '-T', PVESM, ...places, '--link-dir', at('links'), '--socket', daemon.socket, '--node', 'pve1'];
    return {
      PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
      PVE_TRUENAS_SOCKET: daemon.socket,
      PVESH_LITE: pvesm.join(' '),
    };
  }

  /** Starts the command; its answers are those of the stage, its input is empty or `input`. */
  start(args: readonly string[], env: Readonly<Record<string, string>> = {}, input?: string): Running {
    const file = join(this.daemon.directory, 'answers.yaml');
    writeFileSync(file, JSON.stringify(this.answers));
    const child = spawn(process.execPath, [CLI, 'setup', '--config', file, '--pve-dir', this.pve, ...args], {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#environment(), PVE_TRUENAS_ADMIN_PASSWORD: PASSWORD, ...env },
    });
    child.stdin?.end(input);
    let out = '';
    let err = '';
    child.stdout?.on('data', (chunk: Buffer) => void (out += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => void (err += chunk.toString()));
    const ended = once(child, 'close').then(([status]: (number | null)[]) => ({ status: status ?? null, out, err }));
    return { child, ended };
  }

  /** The command to its end. */
  async setup(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}, input?: string): Promise<Outcome> {
    await this.forgetLogins();
    return this.start(args, env, input).ended;
  }

  /** The wizard in a terminal: nothing is given but who the programs of this node are for iSCSI, and `args`. */
  async wizard(size: TerminalSize, args: readonly string[] = [], after = ''): Promise<Terminal> {
    await this.forgetLogins();
    const nodes = Object.entries(this.answers['initiators'] as Record<string, string>).flatMap(([name, iqn]) => [
      '--node',
      `${name}=${iqn}`,
    ]);
    const words = [
      process.execPath,
      CLI,
      'setup',
      '--pve-dir',
      this.pve,
      '--port',
      String(this.sim.port),
      '--initiator',
      'qemu',
      ...nodes,
      ...args,
    ];
    // CI: libraries for colours take it for a terminal that shows them
    const env = {
      ...this.#environment(),
      PVE_TRUENAS_ADMIN_PASSWORD: undefined,
      PVE_TRUENAS_ADMIN_KEY: undefined,
      NO_COLOR: undefined,
      CI: 'true',
    };
    return Terminal.open(`${words.map(quoted).join(' ')} ${after}`, size, env);
  }

  /** Tests log in more often than the 20 times a minute that TrueNAS lets through. */
  async forgetLogins(): Promise<void> {
    await this.sim.command({ command: 'reset-rate-limit' });
  }

  /** Resolves when the array was called so often. */
  called(method: string, times: number): Promise<void> {
    return called(this.sim, method, times);
  }

  /** Changes that reached the array since its calls were reset: method, and which call of it. */
  changes(): readonly { readonly method: string; readonly nth: number }[] {
    const counts = Object.entries(this.sim.calls()).filter(([method]) => CHANGE.test(method));
    return counts.flatMap(([method, count]) => Array.from({ length: count }, (_, index) => ({ method, nth: index + 1 })));
  }

  /** Array and PVE, without what differs from one simulator to the next. */
  async state(): Promise<unknown> {
    await this.forgetLogins();
    const array = await arrayState(this.sim);
    const storageCfg = this.storageCfg.replace(/^\t(api_port|fingerprint) .*$/gm, '\t$1').replace(/^(\tdiscovery_portal .*):\d+$/gm, '$1');
    return { array, storageCfg, key: existsSync(this.keyFile) };
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
