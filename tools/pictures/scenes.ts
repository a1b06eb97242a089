import { join } from 'node:path';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import { backupCloneName } from '../../src/volumes/orphans/naming.ts';
import { OWNER_PROPERTY, perlExtentName, STORAGE_PROPERTY } from '../../src/volumes/owner-mark.ts';
import { callArray, DaemonProcess, sectionFor } from '../../test/flows/testing/daemon-process.ts';
import { runAtTerminal } from './terminal.ts';

const CLI = join(import.meta.dirname, '../../dist/pve-truenas.mjs');
const GIB = 2 ** 30;
/** ms; guards against hanging */
const LIMIT = 120_000;
const OWNER = '7d444840-9dc0-41d1-b245-5ffdce74fad2';
/** The clock of the array is three days late, and more than a minute less than that makes an age of two: what is made now is old enough to be judged. */
const LATE = { ...systemClock, now: () => systemClock.now() - 3 * 86_400_000 - 3_600_000 };

export interface Scene {
  /** Its file is docs/pictures/NAME.svg. */
  readonly name: string;
  readonly title: string;
  /** What was typed and what was shown, as a terminal gets it. */
  readonly play: () => Promise<string>;
}

export const SCENES: readonly Scene[] = [
  { name: 'health', title: 'pve-truenas health', play: () => onStage({}, { portals: '127.0.0.2:9' }, health) },
  { name: 'orphans', title: 'pve-truenas orphans', play: () => onStage({ clock: LATE }, {}, orphans) },
];

interface Stage {
  readonly sim: Simulator;
  readonly daemon: DaemonProcess;
  readonly storage: { readonly id: string; readonly config: Record<string, string | number> };
}

/** A node with one storage on an array of its own, and what one command shows there. */
async function onStage(
  options: Parameters<typeof launchSimulator>[0],
  settings: Record<string, string>,
  play: (stage: Stage) => Promise<string>,
): Promise<string> {
  const sim = await launchSimulator({ blocks: 'memory', delays: false, ...options });
  const daemon = new DaemonProcess();
  try {
    const storage = { id: 'nas', config: sectionFor(sim, settings) };
    const lines = Object.entries(storage.config).map(([key, value]) => `\t${key} ${value}\n`);
    daemon.secret('nas', sim.apiKey);
    daemon.storageCfg(`truenasplugin: nas\n${lines.join('')}\n`);
    await daemon.start();
    return await play({ sim, daemon, storage });
  } finally {
    await daemon.dispose();
    await sim.stop();
  }
}

async function shown({ daemon }: Stage, ...argv: readonly string[]): Promise<string> {
  const { output } = await runAtTerminal(
    [process.execPath, CLI, ...argv],
    { PVE_TRUENAS_SOCKET: daemon.socket, TZ: 'UTC' },
    [],
    AbortSignal.timeout(LIMIT),
  );
  return `\x1b[1mroot@pve1:~#\x1b[0m pve-truenas ${argv.join(' ')}\r\n${output}`;
}

/** One of two portals is away: the storage works, and what is wrong stands there with its cure. */
async function health(stage: Stage): Promise<string> {
  const { daemon, storage } = stage;
  await daemon.call('volume.allocate', { storage, vmid: 100, size: 32 * GIB });
  await daemon.says('healthy -> degraded');
  return shown(stage, 'health', 'nas');
}

/** What a Perl plugin, an operation and a backup left. */
async function orphans(stage: Stage): Promise<string> {
  const { daemon, sim, storage } = stage;
  const dataset = String(sim.dataset);
  const { volname: used } = await daemon.call('volume.allocate', { storage, vmid: 100, size: 32 * GIB });
  const marks = Object.entries({ [OWNER_PROPERTY]: OWNER, [STORAGE_PROPERTY]: 'nas' }).map(([key, value]) => ({ key, value }));
  const zvol = (name: string, more: Record<string, unknown> = {}): Promise<unknown> =>
    callArray(sim, 'pool.dataset.create', { name: `${dataset}/${name}`, type: 'VOLUME', volsize: 4 * GIB, sparse: true, ...more });
  await zvol('vm-103-disk-0');
  const disk = `zvol/${dataset}/vm-103-disk-0`;
  await callArray(sim, 'iscsi.extent.create', { name: perlExtentName(`${dataset}/vm-103-disk-0`), type: 'DISK', disk, enabled: false });
  await callArray(sim, 'pool.dataset.delete', `${dataset}/vm-103-disk-0`, {});
  await zvol('vm-104-disk-0', { user_properties: marks });
  await callArray(sim, 'pool.snapshot.create', { dataset: `${dataset}/${used}`, name: 'vzdump' });
  const clone = `${dataset}/${backupCloneName(used, 'vzdump')}`;
  await callArray(sim, 'pool.snapshot.clone', { snapshot: `${dataset}/${used}@vzdump`, dataset_dst: clone });
  daemon.guests({ 100: `scsi0: nas:${used},size=32G\n` });
  return shown(stage, 'orphans', 'nas');
}
