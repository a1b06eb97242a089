import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import * as z from 'zod';
import { METHODS } from '../../src/protocol/methods.ts';
import { PROTOCOL_VERSION } from '../../src/protocol/envelope.ts';

/** ms; a busy machine with two cores needs seconds to start Node.js */
const START_LIMIT = 120_000;
const STOP_LIMIT = 240_000; // longer than the daemon gives its last calls
const ANSWER_LIMIT = 120_000;
const POLL = 50;

/** The simulator's `--ready-json` line. */
const readyLine = z.object({
  url: z.string(),
  host: z.string(),
  port: z.int(),
  apiKey: z.string(),
  username: z.string(),
  caFile: z.string(),
  fingerprint: z.string(),
  portal: z.string(),
  targetIqn: z.string(),
  dataset: z.string(),
  control: z.string(),
  release: z.string(),
  pid: z.int(),
});
export type SimulatorInfo = z.infer<typeof readyLine>;

export interface DaemonPaths {
  readonly socket: string;
  readonly storageCfg: string;
  readonly privDir: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly linkDir: string;
}

/** A long-running child in a process group of its own: Ctrl-C in the terminal reaches only us, and we end it in order. */
export class Program {
  readonly name: string;
  readonly child: ChildProcess;
  /** the last 64 KiB of its standard error, and of its output unless a reader took that */
  private tail = '';
  private readonly ended: Promise<string>;
  private end: string | null = null;

  constructor(name: string, argv: readonly [string, ...string[]], stdout: 'tail' | 'reader') {
    this.name = name;
    const [program, ...args] = argv;
    this.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const keep = (chunk: Buffer): void => {
      this.tail = (this.tail + chunk.toString('utf8')).slice(-65_536);
    };
    this.child.stderr?.on('data', keep);
    if (stdout === 'tail') this.child.stdout?.on('data', keep);
    this.ended = new Promise((resolve) => {
      const finish = (how: string): void => {
        this.end ??= how;
        resolve(how);
      };
      this.child.once('error', (error) => finish(error.message));
      this.child.once('exit', (status, signal) => finish(`exit status ${String(status ?? signal)}`));
    });
  }

  /** What it said on standard error, for messages. */
  get said(): string {
    return this.tail.trim();
  }

  /** Throws when it has ended. */
  assertRunning(): void {
    if (this.end !== null) throw new Error(`${this.name} ended (${this.end})${this.said === '' ? '' : `:\n${this.said}`}`);
  }

  /** Asks it to end, and insists after a while. Returns when it is gone. */
  async stop(): Promise<void> {
    if (this.end !== null) return;
    this.child.kill('SIGTERM');
    const late = new AbortController();
    const timer = wait(STOP_LIMIT, 'late', { signal: late.signal }).catch(() => 'ended');
    if ((await Promise.race([this.ended, timer])) === 'late') {
      this.child.kill('SIGKILL');
      await this.ended;
    }
    late.abort();
  }
}

/** Polls `attempt` until it gives a value; throws when the program ended, the time is over or `signal` aborts. */
async function until<T>(program: Program, signal: AbortSignal, attempt: () => Promise<T | null>): Promise<T> {
  const end = performance.now() + START_LIMIT;
  while (performance.now() < end) {
    signal.throwIfAborted();
    program.assertRunning();
    const value = await attempt();
    if (value !== null) return value;
    await wait(POLL, undefined, { signal });
  }
  throw new Error(`${program.name} is not ready after ${START_LIMIT / 1000} s${program.said === '' ? '' : `:\n${program.said}`}`);
}

/** Waits for the simulator's ready line. */
export async function simulatorReady(program: Program, signal: AbortSignal): Promise<SimulatorInfo> {
  let text = '';
  program.child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  const line = await until(program, signal, () => Promise.resolve(text.includes('\n') ? text.slice(0, text.indexOf('\n')) : null));
  return readyLine.parse(JSON.parse(line));
}

export function daemonArguments(paths: DaemonPaths, node: string): readonly string[] {
  return [
    ...['--socket', paths.socket, '--storage-cfg', paths.storageCfg, '--priv-dir', paths.privDir],
    ...['--state-dir', paths.stateDir, '--run-dir', paths.runDir, '--link-dir', paths.linkDir],
    ...['--node', node, '--log-level', 'info', '--log-format', 'text'],
  ];
}

/** Waits until the daemon's socket answers `daemon.hello`. */
export async function daemonReady(
  program: Program,
  socket: string,
  signal: AbortSignal,
): Promise<z.infer<(typeof METHODS)['daemon.hello']['result']>> {
  const request = { jsonrpc: '2.0', id: 1, method: 'daemon.hello', params: { protocol: PROTOCOL_VERSION, caller: 'demo' } };
  const answer = z.object({ result: METHODS['daemon.hello'].result });
  return until(program, signal, async () => {
    const line = await askLine(socket, JSON.stringify(request)).catch(() => null);
    return line === null ? null : answer.parse(JSON.parse(line)).result;
  });
}

/** Sends one line to a Unix socket and gives the first line of the answer. */
export function askLine(socket: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const connection = connect(socket);
    connection.setTimeout(ANSWER_LIMIT, () => connection.destroy(new Error(`no answer on ${socket} within ${ANSWER_LIMIT / 1000} s`)));
    connection.on('error', reject);
    connection.on('connect', () => connection.write(`${line}\n`));
    connection.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (!text.includes('\n')) return;
      connection.destroy();
      resolve(text.slice(0, text.indexOf('\n')));
    });
    connection.on('close', () => reject(new Error(`${socket} was closed without an answer`)));
  });
}
