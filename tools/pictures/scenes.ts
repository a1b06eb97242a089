import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import { backupCloneName } from '../../src/volumes/orphans/naming.ts';
import { OWNER_PROPERTY, perlExtentName, STORAGE_PROPERTY } from '../../src/volumes/owner-mark.ts';
import { callArray, DaemonProcess, sectionFor } from '../../test/flows/testing/daemon-process.ts';
import { runAtTerminal } from './terminal.ts';

const ROOT = join(import.meta.dirname, '../..');
const CLI = join(ROOT, 'dist/pve-truenas.mjs');
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
  { name: 'setup', title: 'pve-truenas setup', play: setup },
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
  return `${typed(...argv)}${output}`;
}

function typed(...argv: readonly string[]): string {
  return `\x1b[1mroot@pve1:~#\x1b[0m pve-truenas ${argv.join(' ')}\r\n`;
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

const PASSWORD = 'correct horse';

/** The wizard against an array that holds a pool only. The flags that are not shown say where the stage is. */
async function setup(): Promise<string> {
  const sim = await launchSimulator({ seed: null, blocks: 'tgt', delays: false, password: PASSWORD });
  const daemon = new DaemonProcess();
  const at = (name: string): string => join(daemon.directory, name);
  try {
    mkdirSync(at('pve/priv/storage'), { recursive: true, mode: 0o700 });
    writeFileSync(at('pve/.members'), JSON.stringify({ nodename: 'pve1', version: 1 }));
    writeFileSync(at('pve/storage.cfg'), '');
    mkdirSync(at('bin'));
    symlinkSync(join(ROOT, 'test/flows/testing/pvesh-lite'), at('bin/pvesh'));
    const places = ['--storage-cfg', at('pve/storage.cfg'), '--priv-dir', at('pve/priv/storage')];
    await daemon.start({}, places);
    const pvesm = ['perl', '-T', join(ROOT, 'perl/t/bin/pvesm-lite'), ...places, '--run-dir', at('run'), '--link-dir', at('links')];
    // the names by which QEMU and the tools of libiscsi log in where the node has none; told as those of three nodes
    const initiators = Object.entries({
      pve1: 'iqn.2008-11.org.linux-kvm',
      pve2: 'iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-inq',
      pve3: 'iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-readcapacity16',
    }).flatMap(([node, name]) => ['--node', `${node}=${name}`]);
    const where = ['--pve-dir', at('pve'), '--port', String(sim.port), '--initiator', 'qemu', ...initiators];
    const { output } = await runAtTerminal(
      [process.execPath, CLI, 'setup', ...where],
      {
        PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
        PVE_TRUENAS_SOCKET: daemon.socket,
        PVESH_LITE: [...pvesm, '--socket', daemon.socket, '--node', 'pve1'].join(' '),
        TZ: 'UTC',
      },
      [
        { prompt: 'name or address of TrueNAS: ', answer: '127.0.0.1' },
        { prompt: 'Is this your TrueNAS? [y/N] ', answer: 'y' },
        { prompt: 'administrator [truenas_admin]: ', answer: '' },
        { prompt: 'kept nowhere): ', answer: PASSWORD },
        { prompt: 'made when it is missing [tank/proxmox]: ', answer: '' },
        { prompt: "the disks' traffic", answer: '127.0.0.1' },
        { prompt: 'id of the storage in PVE', answer: 'nas' },
        { prompt: 'Go on? [y/N] ', answer: 'y' },
      ],
      AbortSignal.timeout(LIMIT),
    );
    return `${typed('setup')}${output}`;
  } finally {
    await daemon.dispose();
    await sim.stop();
  }
}
