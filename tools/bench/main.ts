/**
 * `make bench`: what the daemon's answers cost with many volumes on the array, against the simulator with memory-backed
 * volumes. Prints times and asserts nothing: they depend on the machine. Argument: number of volumes, default 2000.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as z from 'zod';
import { type MethodName, METHODS, type Result } from '../../src/protocol/methods.ts';
import { PROTOCOL_VERSION } from '../../src/protocol/envelope.ts';
import { run } from '../demo/commands.ts';
import { askLine, daemonArguments, type DaemonPaths, daemonReady, Program, type SimulatorInfo, simulatorReady } from '../demo/processes.ts';
import { summarise } from './percentiles.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const AT_ONCE = 8;
const MIB = 1024 * 1024;

const answer = z.object({ result: z.unknown().optional(), error: z.object({ message: z.string() }).optional() });

async function call<M extends MethodName>(socket: string, method: M, params: Record<string, unknown>): Promise<Result<M>> {
  const request = { jsonrpc: '2.0', id: 1, method, params: { protocol: PROTOCOL_VERSION, caller: 'bench', ...params } };
  const { result, error } = answer.parse(JSON.parse(await askLine(socket, JSON.stringify(request))));
  if (error !== undefined) throw new Error(`${method}: ${error.message}`);
  return METHODS[method].result.parse(result) as Result<M>;
}

/** Times of `count` runs of `work` in ms, `atOnce` of them side by side. */
async function timed(count: number, atOnce: number, work: (n: number) => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const n = next;
      next += 1;
      const start = performance.now();
      await work(n);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return times;
}

function sectionOf(info: SimulatorInfo): Record<string, string> {
  return {
    api_host: info.host,
    api_port: String(info.port),
    fingerprint: info.fingerprint,
    'truenas-username': info.username,
    dataset: info.dataset,
    target_iqn: info.targetIqn,
    discovery_portal: info.portal,
    'truenas-initiator': 'qemu',
  };
}

async function placesIn(folder: string, info: SimulatorInfo): Promise<DaemonPaths> {
  const at = (name: string): string => join(folder, name);
  for (const name of ['priv', 'state', 'run', 'dev']) await mkdir(at(name), { mode: 0o700 });
  await writeFile(at('priv/bench.api_key'), `${info.apiKey}\n`, { mode: 0o600 });
  const lines = Object.entries(sectionOf(info)).map(([name, value]) => `\t${name} ${value}\n`);
  await writeFile(at('storage.cfg'), `truenasplugin: bench\n${lines.join('')}\tcontent images\n`);
  const paths = { socket: at('daemon.sock'), storageCfg: at('storage.cfg'), privDir: at('priv') };
  return { ...paths, stateDir: at('state'), runDir: at('run'), linkDir: at('dev') };
}

async function bench(volumes: number, folder: string, programs: Program[], signal: AbortSignal): Promise<void> {
  const bundle = (name: string): string => join(ROOT, 'dist', `${name}.mjs`);
  const start = (name: string, args: readonly string[], stdout: 'tail' | 'reader'): Program => {
    const program = new Program(name, [process.execPath, bundle(name), ...args], stdout);
    programs.push(program);
    return program;
  };
  const simulator = start('pve-truenas-sim', ['--ready-json', '--state', join(folder, 'array')], 'reader');
  const info = await simulatorReady(simulator, signal);
  const paths = await placesIn(folder, info);
  const startDaemon = async (): Promise<Program> => {
    const daemon = start('pve-truenasd', daemonArguments(paths, 'bench-node'), 'tail');
    await daemonReady(daemon, paths.socket, signal);
    return daemon;
  };
  const storage = { id: 'bench', config: { type: 'truenasplugin', ...sectionOf(info), content: { images: 1 } } };
  const ask = <M extends MethodName>(method: M, params: Record<string, unknown> = {}): Promise<Result<M>> => {
    signal.throwIfAborted();
    return call(paths.socket, method, { storage, ...params });
  };
  const show = (what: string, times: readonly number[]): void => console.log(`  ${what.padEnd(44)} ${summarise(times)}`);
  const allocate = (n: number): Promise<unknown> =>
    ask('volume.allocate', { vmid: 1000 + n, name: `vm-${1000 + n}-disk-0`, size: 64 * MIB });

  let daemon = await startDaemon();
  console.log(`${volumes} volumes, Node.js ${process.version}; ms: median, 95 %, longest`);
  show('alloc, empty array, one after the other', await timed(20, 1, allocate));
  show(`alloc, ${AT_ONCE} at once, up to ${volumes} volumes`, await timed(volumes - 20, AT_ONCE, (n) => allocate(n + 20)));
  show('status', await timed(500, 1, () => ask('storage.status')));
  show('list of all', await timed(50, 1, () => ask('volume.list')));
  show('list of one guest', await timed(200, 1, () => ask('volume.list', { vmid: 1000 + Math.floor(volumes / 2) })));
  show('path', await timed(200, 1, () => ask('volume.path', { volume: `vm-${1000 + Math.floor(volumes / 2)}-disk-0` })));
  show('alloc, one after the other', await timed(20, 1, (n) => allocate(volumes + n)));
  show('free, one after the other', await timed(20, 1, (n) => ask('volume.free', { volume: `vm-${1000 + volumes + n}-disk-0` })));
  const cli = [process.execPath, bundle('pve-truenas'), '--socket', paths.socket, 'list'] as const;
  show('pve-truenas list (a process)', await timed(5, 1, () => run([...cli], { signal })));
  await daemon.stop();
  daemon = await startDaemon();
  show('first list of a fresh daemon', await timed(1, 1, () => ask('volume.list')));
  daemon.assertRunning();
}

async function main(volumes: number): Promise<void> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(`interrupted by ${name}`)));
  const folder = await mkdtemp(join(tmpdir(), 'pve-truenas-bench-'));
  const programs: Program[] = [];
  try {
    await bench(volumes, folder, programs, interrupted.signal);
  } finally {
    for (const program of programs.reverse()) await program.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main(
  z.coerce
    .number()
    .int()
    .min(100)
    .max(20_000)
    .parse(process.argv[2] ?? '2000'),
);
