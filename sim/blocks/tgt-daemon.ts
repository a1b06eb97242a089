import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import * as z from 'zod';
import { runCommand } from './commands.ts';

const IO_THREADS = '4';
/** longest path of a Unix socket less the suffix that tgtd adds */
const MAX_SOCKET_PATH = 96;
const START_TIMEOUT = 60_000;
const STOP_TIMEOUT = 20_000;
const POLL = 50;
const KEPT_LOG = 4000;

const pidFile = z.strictObject({ pid: z.int().min(2), socket: z.string().min(1) });

/** One `tgtd` of our own beside any other: its control socket and its pid file are in `directory`. */
export class TgtDaemon {
  private readonly directory: string;
  private readonly portal: string;
  private readonly log: (message: string) => void;
  private child: ChildProcess | null = null;
  private socket = '';
  private output = '';
  private expectedToRun = false;

  constructor(directory: string, portal: { readonly host: string; readonly port: number }, log: (message: string) => void) {
    this.directory = directory;
    this.portal = portal.host.includes(':') ? `[${portal.host}]:${portal.port}` : `${portal.host}:${portal.port}`;
    this.log = log;
  }

  /** Ends a daemon that a killed simulator left in the same directory, then starts ours; resolves when it listens. */
  async start(): Promise<void> {
    await this.endLeftOver();
    this.socket = this.socketPath();
    const child = spawn('tgtd', ['-f', '--iscsi', `portal=${this.portal}`, '--nr_iothreads', IO_THREADS], {
      env: { ...process.env, TGT_IPC_SOCKET: this.socket },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    this.expectedToRun = true;
    const failures: Error[] = [];
    child.once('error', (error) => failures.push(error));
    child.once('exit', (code, signal) => {
      if (this.expectedToRun) this.log(`tgtd ended (${String(signal ?? code)}): ${this.output.trim()}`);
      this.child = null;
    });
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString('utf8')).slice(-KEPT_LOG);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    if (child.pid !== undefined) {
      await writeFile(this.pidPath(), `${JSON.stringify({ pid: child.pid, socket: this.socket })}\n`, { mode: 0o600 });
    }
    try {
      await this.ready(child, failures);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** `tgtadm --lld iscsi <args>`; rejects with what it says. */
  admin(args: readonly string[]): Promise<string> {
    return runCommand('tgtadm', ['--lld', 'iscsi', ...args], { TGT_IPC_SOCKET: this.socket });
  }

  /** All targets must be deleted before: a tgtd that has one does not end otherwise. Nothing is left behind. */
  async stop(): Promise<void> {
    const child = this.child;
    this.expectedToRun = false;
    if (child !== null) {
      const gone = new Promise<void>((resolve) => {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) resolve();
        else child.once('exit', () => resolve());
      });
      await this.admin(['--op', 'delete', '--mode', 'system']).catch((error: unknown) => this.log(String(error)));
      const timer = new AbortController();
      const late = wait(STOP_TIMEOUT, 'late', { signal: timer.signal }).catch(() => 'stopped');
      if ((await Promise.race([gone.then(() => 'gone'), late])) === 'late') {
        child.kill('SIGKILL');
        await gone;
      }
      timer.abort();
    }
    await this.removeFiles(this.socket);
  }

  private async ready(child: ChildProcess, failures: readonly Error[]): Promise<void> {
    const end = Date.now() + START_TIMEOUT;
    while (Date.now() < end) {
      const [failure] = failures;
      if (failure !== undefined) throw new Error(`tgtd cannot be started (apt install tgt): ${failure.message}`);
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`tgtd ended at once; is ${this.portal} in use, is this root? ${this.output.trim()}`);
      }
      const portals = await this.admin(['--mode', 'portal', '--op', 'show']).catch(() => null);
      if (portals !== null) {
        // tgtd goes on without its portal when it cannot have the port
        if (portals.includes(this.portal)) return;
        throw new Error(`tgtd cannot listen at ${this.portal}: is the port in use? ${this.output.trim()}`);
      }
      await wait(POLL);
    }
    throw new Error(`tgtd does not answer after ${START_TIMEOUT / 1000} s: ${this.output.trim()}`);
  }

  private pidPath(): string {
    return path.join(this.directory, 'tgtd.json');
  }

  private socketPath(): string {
    const wanted = path.resolve(this.directory, 'tgt.sock');
    return wanted.length <= MAX_SOCKET_PATH ? wanted : path.join(mkdtempSync(path.join(tmpdir(), 'pve-truenas-sim-')), 'tgt.sock');
  }

  private async removeFiles(socket: string): Promise<void> {
    await rm(this.pidPath(), { force: true });
    if (socket === '') return;
    // tgtd adds the number of its control port
    for (const suffix of ['.0', '.0.lock']) await rm(`${socket}${suffix}`, { force: true });
    const directory = path.dirname(socket);
    if (directory !== path.resolve(this.directory) && path.basename(directory).startsWith('pve-truenas-sim-')) {
      await rm(directory, { recursive: true, force: true });
    }
  }

  private async endLeftOver(): Promise<void> {
    const text = await readFile(this.pidPath(), 'utf8').catch(() => null);
    if (text === null) return;
    const left = pidFile.safeParse(parseJson(text));
    if (!left.success) {
      await this.removeFiles('');
      return;
    }
    const { pid, socket } = left.data;
    if (await isOurs(pid, socket)) {
      this.log(`ending tgtd ${pid} that an earlier simulator left here`);
      process.kill(pid, 'SIGKILL');
      const end = Date.now() + STOP_TIMEOUT;
      while (Date.now() < end && (await isOurs(pid, socket))) await wait(POLL);
    }
    await this.removeFiles(socket);
  }
}

/** Never end a process by a number alone: it must be a tgtd with our control socket in its environment. */
async function isOurs(pid: number, socket: string): Promise<boolean> {
  const [name, environment] = await Promise.all([
    readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''),
    readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''),
  ]);
  return name.trim() === 'tgtd' && environment.split('\0').includes(`TGT_IPC_SOCKET=${socket}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
