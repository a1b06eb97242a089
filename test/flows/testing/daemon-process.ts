import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Simulator } from '../../../sim/server/launch.ts';
import type { MethodName, Result } from '../../../src/protocol/methods.ts';
import { until } from './waiting.ts';

const BUNDLE = join(import.meta.dirname, '../../../dist/pve-truenasd.mjs');

export interface RpcAnswer {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: { readonly code: string; readonly state?: string } };
}

/** Settings of a storage on a simulator, without secrets. */
export function sectionFor(sim: Simulator, more: Record<string, string | number> = {}): Record<string, string | number> {
  return {
    api_host: sim.host,
    api_port: sim.port,
    fingerprint: sim.fingerprint,
    dataset: sim.dataset ?? '',
    target_iqn: sim.targetIqn ?? '',
    discovery_portal: sim.portal,
    'truenas-initiator': 'qemu',
    ...more,
  };
}

/** The real daemon as a process of its own, with its files in a temporary directory that outlives a kill. */
export class DaemonProcess {
  readonly directory: string;
  readonly socket: string;
  readonly node: string;
  #child: ChildProcess | null = null;
  #output = '';

  constructor(node = 'pve1') {
    this.directory = mkdtempSync(join(tmpdir(), 'pve-truenasd-'));
    this.socket = join(this.directory, 'daemon.sock');
    this.node = node;
    mkdirSync(join(this.directory, 'priv'), { mode: 0o700 });
    writeFileSync(join(this.directory, 'storage.cfg'), '');
  }

  get output(): string {
    return this.#output;
  }

  secret(storage: string, key: string): void {
    writeFileSync(join(this.directory, 'priv', `${storage}.api_key`), key, { mode: 0o600 });
  }

  storageCfg(text: string): void {
    writeFileSync(join(this.directory, 'storage.cfg'), text);
  }

  /** Guests of the cluster by VMID, with their configuration; `quorate: false`: the cluster file system without quorum. */
  guests(configs: Readonly<Record<number, string>>, quorate = true): void {
    const directory = join(this.directory, 'pve/nodes', this.node, 'qemu-server');
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    const cluster = { name: 'lab', version: 1, nodes: 1, quorate: quorate ? 1 : 0 };
    writeFileSync(join(this.directory, 'pve/.members'), JSON.stringify({ nodename: this.node, version: 1, cluster }));
    for (const [vmid, text] of Object.entries(configs)) writeFileSync(join(directory, `${vmid}.conf`), text);
  }

  /** Entries of the journal. */
  get journal(): readonly string[] {
    const path = join(this.directory, 'state/journal');
    return existsSync(path) ? readdirSync(path).filter((name) => name.endsWith('.json')) : [];
  }

  /** Arguments of Node.js. */
  protected argv(flags: readonly string[]): readonly string[] {
    const at = (name: string): string => join(this.directory, name);
    return [
      BUNDLE,
      ...['--socket', this.socket, '--storage-cfg', at('storage.cfg'), '--priv-dir', at('priv'), '--state-dir', at('state')],
      ...['--run-dir', at('run'), '--link-dir', at('links'), '--pve-dir', at('pve'), '--node', this.node],
      ...['--defaults', at('defaults'), '--log-format', 'text', ...(flags.includes('--no-level') ? [] : ['--log-level', 'debug'])],
      ...flags.filter((flag) => flag !== '--no-level'),
    ];
  }

  /** Starts it and resolves when it answers. */
  async start(env: Record<string, string> = {}, flags: readonly string[] = []): Promise<void> {
    if (!existsSync(BUNDLE)) throw new Error(`${BUNDLE} is not there: make build`);
    const child = spawn(process.execPath, this.argv(flags), { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#child = child;
    const gone = once(child, 'exit');
    const ready = new Promise<void>((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          this.#output += chunk.toString();
          if (this.#output.includes(' ready {')) resolve();
        });
      }
    });
    await Promise.race([
      ready,
      gone.then(() => {
        throw new Error(`the daemon ended: ${this.#output}`);
      }),
    ]);
  }

  /** Ends it by a signal and resolves to its exit status (null: killed). */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [status] = (await exited) as [number | null];
    this.#child = null;
    this.#output = '';
    return status;
  }

  /** Resolves when the output holds `text`. What is looked at once a minute needs more than one minute at worst. */
  says(text: string): Promise<void> {
    return until(
      () => this.output.includes(text),
      () => `the daemon said '${text}', but:\n${this.output}`,
      100_000,
    );
  }

  async dispose(): Promise<void> {
    await this.end('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** One call, the raw answer. */
  ask(method: string, params: Record<string, unknown>): Promise<RpcAnswer> {
    return this.raw(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { protocol: 1, ...params } })}\n`).then(
      (text) => JSON.parse(text) as RpcAnswer,
    );
  }

  /** One call that must succeed. */
  async call<M extends MethodName>(method: M, params: Record<string, unknown>): Promise<Result<M>> {
    const { result, error } = await this.ask(method, params);
    if (error !== undefined) throw new Error(`${method}: ${error.data?.code ?? error.code}: ${error.message} ${error.data?.state ?? ''}`);
    return result as Result<M>;
  }

  /** Sends bytes and resolves to the first line that comes back; rejects when the connection ends without one. */
  raw(bytes: string | Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.socket, () => socket.write(bytes));
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
        const end = text.indexOf('\n');
        if (end < 0) return;
        socket.destroy();
        resolve(text.slice(0, end));
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the daemon closed the connection')));
    });
  }
}

export interface ArrayContents {
  readonly zvols: readonly string[];
  readonly extents: number;
  readonly mappings: number;
  readonly snapshots: number;
  readonly luns: readonly number[];
}

/** Calls a model of the simulated array, below the server's session, roles and filters: what somebody else does on TrueNAS. */
export async function callArray(sim: Simulator, method: string, ...args: readonly unknown[]): Promise<unknown> {
  const found = sim.array.methods.find((one) => one.name === method && (one.releases === undefined || one.releases.includes(sim.release)));
  if (found === undefined) throw new Error(`the simulator has no ${method}`);
  const context = {
    release: sim.release,
    hasRole: () => true,
    username: 'test',
    signal: new AbortController().signal,
    progress: () => undefined,
  };
  return found.run(args, context);
}

/** What the simulated array holds, asked of its models and not of the daemon. */
export async function contentsOf(sim: Simulator): Promise<ArrayContents> {
  const rows = async (method: string): Promise<readonly Record<string, unknown>[]> =>
    (await callArray(sim, method, [], {})) as readonly Record<string, unknown>[];
  // The methods are asked below the filters of the server.
  const zvols = (await rows('pool.dataset.query')).filter((row) => row['type'] === 'VOLUME');
  const mappings = await rows('iscsi.targetextent.query');
  return {
    zvols: zvols.map((row) => String(row['id'])),
    extents: (await rows('iscsi.extent.query')).length,
    mappings: mappings.length,
    snapshots: (await rows(sim.release === '25.04' ? 'zfs.snapshot.query' : 'pool.snapshot.query')).length,
    luns: mappings.map((row) => Number(row['lunid'])),
  };
}
