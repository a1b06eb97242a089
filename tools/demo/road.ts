import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { METHODS } from '../../src/protocol/methods.ts';
import { apiCalls, takeInventory } from './array-client.ts';
import { run } from './commands.ts';
import { dataSteps, growStep, lunsSeen } from './data-steps.ts';
import { daemonArguments, type DaemonPaths, daemonReady, Program, type SimulatorInfo, simulatorReady } from './processes.ts';
import { Pvesm } from './pvesm.ts';
import type { Report } from './report.ts';

export interface Journey {
  /** root of the repository */
  readonly root: string;
  /** directory for everything that the demo writes; removed by the caller */
  readonly folder: string;
  readonly wireLog: string | null;
  /** Why real LUNs are not possible; null when they are. */
  readonly noData: string | null;
  readonly release: string;
  readonly report: Report;
  readonly signal: AbortSignal;
}

const STORAGE = 'demo';
const VMID = 100;
const KIB = 1024;
const GIB = 1024 ** 3;
/** Names as qm gives them, with the exact size in bytes. */
const DISKS = [
  { title: 'allocate a disk of 1 GiB', name: `vm-${VMID}-disk-0`, size: GIB },
  { title: 'allocate a disk of 4 GiB', name: `vm-${VMID}-disk-1`, size: 4 * GIB },
  { title: 'allocate an EFI disk of 528 KiB', name: `vm-${VMID}-disk-2`, size: 528 * KIB },
] as const;

/** Walks the whole road. Throws at the first step that is wrong; has ended every process when it returns or throws. */
export async function travel(journey: Journey): Promise<void> {
  const programs: Program[] = [];
  try {
    await walk(journey, programs);
  } finally {
    // The daemon first: it may still take something back on the array.
    for (const program of programs.reverse()) await program.stop();
  }
}

async function walk(journey: Journey, programs: Program[]): Promise<void> {
  const { report, signal, noData } = journey;
  report.title('Simulator and daemon');
  const info = await report.step('start the simulator', async () => {
    const value = await startSimulator(journey, programs);
    const luns = noData === null ? `LUNs by tgtd at ${value.portal}` : 'memory-backed volumes';
    return { value, result: `TrueNAS ${value.release} at ${value.url}, ${luns}` };
  });
  if (noData !== null) report.leaveOut('real LUNs and their data', noData);
  const paths = await makePlaces(journey.folder);
  const daemon = await report.step('start the daemon', async () => {
    const program = new Program(
      'pve-truenasd',
      [process.execPath, join(journey.root, 'dist/pve-truenasd.mjs'), ...daemonArguments(paths, 'demo-node')],
      'tail',
    );
    programs.push(program);
    const hello = await daemonReady(program, paths.socket, signal);
    return { value: program, result: `version ${hello.version}, protocol ${hello.protocol}` };
  });
  try {
    await useStorage(journey, info, paths);
  } catch (error) {
    if (!signal.aborted && daemon.said !== '') console.error(`\nlast words of the daemon:\n${daemon.said.slice(-4000)}`);
    throw error;
  }
}

async function startSimulator(journey: Journey, programs: Program[]): Promise<SimulatorInfo> {
  const state = join(journey.folder, 'array');
  const program = new Program(
    'pve-truenas-sim',
    [
      process.execPath,
      join(journey.root, 'dist/pve-truenas-sim.mjs'),
      ...['--ready-json', '--release', journey.release, '--state', state],
      ...['--blocks', journey.noData === null ? 'tgt' : 'memory'],
      ...(journey.wireLog === null ? [] : ['--wire-log', journey.wireLog]),
    ],
    'reader',
  );
  programs.push(program);
  return simulatorReady(program, journey.signal);
}

async function makePlaces(folder: string): Promise<DaemonPaths> {
  const place = async (name: string): Promise<string> => {
    const path = join(folder, name);
    await mkdir(path, { recursive: true, mode: 0o700 });
    return path;
  };
  return {
    socket: join(folder, 'daemon.sock'),
    storageCfg: join(folder, 'storage.cfg'),
    privDir: await place('priv'),
    stateDir: await place('state'),
    runDir: await place('run'),
    linkDir: await place('dev'),
  };
}

async function useStorage(journey: Journey, info: SimulatorInfo, paths: DaemonPaths): Promise<void> {
  const { report, signal, noData } = journey;
  const pvesm = new Pvesm(journey.root, paths, STORAGE, signal);
  report.countBy(() => apiCalls(info));
  report.title('Storage');
  const before = await report.step('count what is on the array', async () => {
    const value = await census(journey, info);
    return { value, result: describeCensus(value) };
  });
  await report.step('add the storage', async () => {
    const settings = {
      api_host: info.host,
      api_port: String(info.port),
      fingerprint: info.fingerprint,
      'truenas-username': info.username,
      dataset: info.dataset,
      target_iqn: info.targetIqn,
      discovery_portal: info.portal,
      'truenas-initiator': 'qemu',
      content: 'images',
    };
    const warnings = await pvesm.add(settings, info.apiKey);
    return { value: undefined, result: warnings === '' ? `${STORAGE}, certificate pinned by its fingerprint` : warnings };
  });
  const ask = (argv: readonly string[], expect?: readonly number[]): Promise<unknown> => askDaemon(journey, paths, argv, expect);
  await report.step('health', async () => {
    const health = METHODS['overview.health'].result.parse(await ask(['health']));
    const checks = health.storages.flatMap((storage) => storage.checks);
    const bad = checks.filter((check) => check.state !== 'ok');
    if (health.state !== 'ok' || checks.length === 0) throw new Error(`health is ${health.state}: ${bad.map((c) => c.message).join('; ')}`);
    return { value: undefined, result: `${health.state}, ${checks.length} checks` };
  });
  await report.step('pre-flight: room for the disks', async () => {
    const needed = DISKS.reduce((sum, disk) => sum + disk.size, 0);
    const { active, available } = await pvesm.status();
    if (!active) throw new Error('the storage is not active');
    if (available < needed) throw new Error(`${available} bytes are free, ${needed} are needed`);
    return { value: undefined, result: `${size(needed)} of ${size(available)}` };
  });

  report.title('Disks');
  for (const disk of DISKS) {
    await report.step(disk.title, async () => {
      const volume = await pvesm.allocate(VMID, disk.name, disk.size);
      if (volume !== disk.name) throw new Error(`asked for ${disk.name}, got ${volume}`);
      return { value: undefined, result: `${STORAGE}:${volume}` };
    });
  }
  const [disk] = DISKS;
  // Without LUNs nobody can log in: the path is told all the same, since it needs no attached volume.
  const path = await report.step(noData === null ? 'activate and path' : 'path', async () => {
    if (noData === null) await pvesm.activate(disk.name);
    const value = await pvesm.path(disk.name);
    if (!value.startsWith(`iscsi://${info.portal}/${info.targetIqn}/`)) throw new Error(`unexpected path ${value}`);
    return { value, result: value };
  });
  const guest = { report, signal, pvesm, volume: disk.name, size: disk.size, url: path, folder: journey.folder, noData };
  await dataSteps(guest);
  await growStep(guest, 2 * GIB);
  await report.step('list and status', async () => {
    const expected = new Map(DISKS.map((entry) => [entry.name as string, entry.name === disk.name ? 2 * GIB : entry.size]));
    const listed = await pvesm.list();
    const wrong = listed.filter((entry) => expected.get(entry.volume) !== entry.size);
    if (listed.length !== expected.size || wrong.length > 0) throw new Error(`wrong list: ${JSON.stringify(listed)}`);
    const status = METHODS['overview.status'].result.parse(await ask(['status']));
    const mine = status.storages.find((storage) => storage.id === STORAGE);
    if (mine?.state !== 'healthy' || mine.volumes !== DISKS.length) throw new Error(`wrong status: ${JSON.stringify(mine ?? null)}`);
    return { value: undefined, result: `${listed.length} volumes, sizes exact; ${mine.state}, ${size(mine.available)} free` };
  });

  report.title('Clean');
  await report.step('deactivate', async () => {
    await pvesm.deactivate(disk.name);
    return { value: undefined, result: `${STORAGE}:${disk.name}` };
  });
  for (const entry of DISKS) {
    await report.step(`free ${entry.name}`, async () => {
      await pvesm.free(entry.name);
      return { value: undefined, result: 'gone' };
    });
  }
  await report.step('the array is as empty as before', async () => {
    const after = await census(journey, info);
    if (JSON.stringify(after) !== JSON.stringify(before)) {
      throw new Error(`before: ${describeCensus(before)}\nafter:  ${describeCensus(after)}`);
    }
    return { value: undefined, result: describeCensus(after) };
  });
  await report.step('remove the storage', async () => {
    await pvesm.remove();
    return { value: undefined, result: STORAGE };
  });
}

type Census = Awaited<ReturnType<typeof takeInventory>> & { readonly luns: number | null };

/** The array's own numbers, and the LUNs that an initiator sees. */
async function census(journey: Journey, info: SimulatorInfo): Promise<Census> {
  return { ...(await takeInventory(info)), luns: journey.noData === null ? await lunsSeen(info.portal, journey.signal) : null };
}

function describeCensus({ datasets, extents, mappings, snapshots, luns }: Census): string {
  const seen = luns === null ? '' : `, ${luns} LUNs seen by an initiator`;
  return `${datasets} datasets, ${extents} extents, ${mappings} mappings, ${snapshots} snapshots${seen}`;
}

/** The command line program's JSON answer. */
async function askDaemon(journey: Journey, paths: DaemonPaths, argv: readonly string[], expect: readonly number[] = [0]): Promise<unknown> {
  const cli = join(journey.root, 'dist/pve-truenas.mjs');
  const { stdout } = await run([process.execPath, cli, '--socket', paths.socket, '--json', ...argv], { signal: journey.signal, expect });
  return z.unknown().parse(JSON.parse(stdout));
}

function size(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${units[power] ?? ''}`;
}
