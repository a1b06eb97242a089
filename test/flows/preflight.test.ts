import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { callArray, contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';

const ROOT = join(import.meta.dirname, '../..');
const GIB = 2 ** 30;
const EMPTY = { zvols: [], extents: 0, mappings: 0 };

let sim: Simulator;
let daemon: DaemonProcess;
let storage: { id: string; config: Record<string, string | number> };

beforeEach(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  daemon = new DaemonProcess();
  daemon.secret('tn', sim.apiKey);
  use({});
  await daemon.start();
});
afterEach(async () => {
  await daemon.dispose();
  await sim.stop();
});

/** Sets the storage up with these settings besides those of the simulator. */
function use(more: Record<string, string | number>): void {
  storage = { id: 'tn', config: sectionFor(sim, more) };
  const lines = Object.entries(storage.config).map(([name, value]) => `\t${name} ${value}`);
  daemon.storageCfg(`truenasplugin: tn\n${lines.join('\n')}\n`);
}

interface Run {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

function run(program: string, args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000 }, (error, out, err) => {
      resolve({ exit: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, out, err });
    });
  });
}

/** As PVE does: the real Perl module in a process of its own. */
function pvesm(...args: readonly string[]): Promise<Run> {
  const at = (name: string): string => join(daemon.directory, name);
  const places = ['--storage-cfg', at('storage.cfg'), '--priv-dir', at('priv'), '--run-dir', at('run'), '--link-dir', at('links')];
  return run('perl', [join(ROOT, 'perl/t/bin/pvesm-lite'), ...places, '--socket', daemon.socket, '--node', daemon.node, ...args]);
}

function cli(...args: readonly string[]): Promise<Run> {
  return run(process.execPath, [join(ROOT, 'dist/pve-truenas.mjs'), '--socket', daemon.socket, ...args]);
}

/** A quota that leaves this much. */
async function leave(bytes: number): Promise<void> {
  await callArray(sim, 'pool.dataset.update', sim.dataset, { quota: Math.round(bytes) + 98_304 });
}

const KIB_OF_10_GB = String((10 * GIB) / 1024);

describe('a full dataset', () => {
  it('is told to PVE in the form that users know, and nothing is changed', async () => {
    await leave(8.5 * GIB);
    const { exit, err } = await pvesm('alloc', 'tn', '100', '', KIB_OF_10_GB);
    expect(exit).toBe(1);
    expect(err).toContain(
      [
        "Insufficient space on dataset 'tank/proxmox':",
        '  Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)',
        '  Available: 8.50 GB',
        '  Shortfall: 3.50 GB',
        '  Limit: 6.80 GB (TrueNAS lets one volume take at most 80% of the available space; truenas-force-size 1 lifts this)',
        "  Quota: 8.50 GB on 'tank/proxmox' (96.00 KB used)",
        '',
      ].join('\n'),
    );
    expect(err).toMatch(/\n +- free 4\.00 GB on 'tank\/proxmox'/);
    expect(err).toMatch(/nothing was changed\n\(NO_SPACE\)/);
    expect(await contentsOf(sim)).toMatchObject(EMPTY);
  });

  it('a thin volume above it is made when the rule of TrueNAS is lifted', async () => {
    await leave(8.5 * GIB);
    use({ 'truenas-force-size': 1 });
    expect(await pvesm('alloc', 'tn', '100', '', KIB_OF_10_GB)).toMatchObject({
      exit: 0,
      out: expect.stringContaining('tn:vm-100-disk-0') as string,
    });
    expect((await contentsOf(sim)).zvols).toEqual(['tank/proxmox/vm-100-disk-0']);
  });

  it('counts space that was freed since it was last read', async () => {
    await leave(1 * GIB);
    await daemon.call('storage.activate', { storage });
    await leave(100 * GIB);
    expect((await pvesm('alloc', 'tn', '100', '', KIB_OF_10_GB)).exit).toBe(0);
  });

  it('refuses a growth by the growth', async () => {
    await pvesm('alloc', 'tn', '100', '', String(GIB / 1024));
    await leave(8.5 * GIB);
    const { exit, err } = await pvesm('resize', 'tn:vm-100-disk-0', String(11 * GIB));
    expect(exit).toBe(1);
    expect(err).toContain('  Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)\n  Available: 8.50 GB\n  Shortfall: 3.50 GB\n');
    expect((await daemon.call('volume.size', { storage, volume: 'vm-100-disk-0' })).size).toBe(GIB);
  });

  it('tells the array’s own refusal in the same form', async () => {
    sim.faults.add({ method: 'pool.dataset.create', fault: 'pool-full', nth: 1 });
    const { err } = await pvesm('alloc', 'tn', '100', '', KIB_OF_10_GB);
    expect(err).toContain("Insufficient space on dataset 'tank/proxmox':\n  Requested: 10.00 GB");
    expect(err).toMatch(/\n {2}TrueNAS: create zvol tank\/proxmox\/vm-100-disk-0: .+/);
    expect(await contentsOf(sim)).toMatchObject(EMPTY);
  });
});

describe('everything wrong at once', () => {
  beforeEach(async () => {
    await daemon.call('storage.activate', { storage });
    await leave(8.5 * GIB);
    await callArray(sim, 'service.stop', 'iscsitarget', {});
    await callArray(sim, 'iscsi.target.update', 1, { groups: [] });
    await callArray(sim, 'pool.dataset.update', sim.dataset, { readonly: 'ON' });
  });

  it('is one message with a line for each, for PVE', async () => {
    const { exit, err } = await pvesm('alloc', 'tn', '100', '', KIB_OF_10_GB);
    expect(exit).toBe(1);
    const lines = err.split('\n');
    const start = lines.findIndex((line) =>
      line.includes("Pre-flight checks failed for allocating a disk of guest 100 of 10.00 GB on storage 'tn':"),
    );
    expect(lines.slice(start + 1, start + 7)).toEqual([
      expect.stringMatching(/^ {2}- service: the iSCSI service on .* is not running \(its state must be RUNNING\)$/),
      expect.stringMatching(/^ {2}- target: target '.*' has no portal group and admits nobody$/),
      "  - dataset: dataset 'tank/proxmox' is read-only",
      "  - space: Insufficient space on dataset 'tank/proxmox':",
      '      Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)',
      '      Available: 8.50 GB',
    ]);
    expect(err).toContain('System > Services > iSCSI');
    expect(err).toContain('(PREFLIGHT_FAILED)');
    expect(await contentsOf(sim)).toMatchObject(EMPTY);
    expect(daemon.journal).toEqual([]);
  });

  it('is a table on the command line, with exit code 2', async () => {
    const { exit, out } = await cli('preflight', 'tn', '--size', '10G');
    expect(exit).toBe(2);
    for (const check of ['service', 'target', 'dataset', 'space']) expect(out).toMatch(new RegExp(`critical +${check} `));
    for (const check of ['connection', 'pool', 'roles', 'name', 'LUN']) expect(out).not.toMatch(new RegExp(`critical +${check} `));
  });
});

describe('pve-truenas preflight', () => {
  it('changes nothing, reads in one round, and says what was looked at', async () => {
    await daemon.call('storage.activate', { storage });
    sim.resetCalls();
    const { exit, out } = await cli('preflight', 'tn', '--size', '100G', '--json');
    const answer = JSON.parse(out) as { storage: string; operation: string; ok: boolean; checks: { name: string; state: string }[] };
    expect({ exit, ...answer, checks: answer.checks.map(({ name, state }) => `${name} ${state}`) }).toEqual({
      exit: 0,
      storage: 'tn',
      operation: 'allocate',
      ok: true,
      checks: ['connection', 'service', 'target', 'dataset', 'pool', 'roles', 'size', 'space', 'LUN'].map((name) => `${name} ok`),
    });
    expect(Object.keys(sim.calls()).filter((method) => /\.(?:create|update|delete|rollback)$/.test(method))).toEqual([]);
    // One call for each thing that is looked at, and none twice.
    expect(Object.values(sim.calls()).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(11);
  });

  it('of resize and rollback, with what stands in the way', async () => {
    await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
    for (const snapshot of ['one', 'two']) await daemon.call('snapshot.create', { storage, volume: 'vm-100-disk-0', snapshot });
    const about = ['--volume', 'tn:vm-100-disk-0'];
    expect(await cli('preflight', 'tn', '--operation', 'resize', ...about, '--size', '2G')).toMatchObject({ exit: 0 });
    expect(await cli('preflight', 'tn', '--operation', 'resize', ...about, '--size', '512M')).toMatchObject({ exit: 2 });
    expect(await cli('preflight', 'tn', '--operation', 'clone', ...about)).toMatchObject({ exit: 0 });
    expect(await cli('preflight', 'tn', '--operation', 'rollback', ...about, '--snapshot', 'two')).toMatchObject({ exit: 0 });
    expect(await cli('preflight', 'tn', '--operation', 'rollback', ...about, '--snapshot', 'one')).toMatchObject({
      exit: 2,
      out: expect.stringContaining('newer snapshots exist: two') as string,
    });
  });

  it('a degraded pool is a warning, exit 1, and stops nobody (F-370)', async () => {
    await sim.command({ command: 'pool-status', status: 'DEGRADED' });
    expect(await cli('preflight', 'tn', '--size', '10G')).toMatchObject({ exit: 1, out: expect.stringContaining('DEGRADED') as string });
    expect((await pvesm('alloc', 'tn', '100', '', KIB_OF_10_GB)).exit).toBe(0);
  });

  it('an unknown storage is unusable input, an array that is down a failed check', async () => {
    expect((await cli('preflight', 'nobody', '--size', '10G')).exit).toBe(3);
    use({ api_port: 1, api_timeout: 2 });
    const { exit, out } = await cli('preflight', 'tn', '--size', '10G');
    expect(exit).toBe(2);
    expect(out).toMatch(/critical +connection /);
  });

  it('a key without roles is told which it needs', async () => {
    daemon.secret('tn', await sim.createKey('reader', ['READONLY_ADMIN']));
    const { exit, out } = await cli('preflight', 'tn', '--size', '10G');
    expect(exit).toBe(2);
    expect(out).toContain('lacks the roles DATASET_WRITE, SHARING_ISCSI_EXTENT_WRITE, SHARING_ISCSI_TARGETEXTENT_WRITE');
    expect((await pvesm('alloc', 'tn', '100', '', KIB_OF_10_GB)).err).toContain('lacks the roles DATASET_WRITE');
    expect(await contentsOf(sim)).toMatchObject(EMPTY);
  });
});

it('a refused extent is told with volume, dataset, zvol path, causes and log, and its zvol is taken back', async () => {
  sim.faults.add({ method: 'iscsi.extent.create', fault: 'error', nth: 1, errno: 14, reason: '[EFAULT] Something broke' });
  const { exit, err } = await pvesm('alloc', 'tn', '100', '', KIB_OF_10_GB);
  expect(exit).toBe(1);
  expect(err).toMatch(
    /of volume 'tn:vm-100-disk-0' \(dataset 'tank\/proxmox', zvol path 'zvol\/tank\/proxmox\/vm-100-disk-0'\): .*Something broke/,
  );
  for (const cause of ['the iSCSI service on', 'is not there yet', 'SHARING_ISCSI_EXTENT_WRITE', 'is taken already'])
    expect(err).toContain(cause);
  expect(err).toContain('/var/log/middlewared.log');
  expect(err).toContain("the zvol 'tank/proxmox/vm-100-disk-0' was taken back");
  expect(err).toContain('(EXTENT_FAILED)');
  expect(await contentsOf(sim)).toMatchObject(EMPTY);
});

describe('F-104: LUN numbers that were freed', () => {
  const lunOf = async (): Promise<number | undefined> => (await contentsOf(sim)).luns[0];

  it.each(['SIGTERM', 'SIGKILL'] as const)('rest on after the daemon ended by %s', async (signal) => {
    const { volname: volume } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
    const before = await lunOf();
    await daemon.call('volume.free', { storage, volume });
    await daemon.end(signal);
    await daemon.start();
    await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
    expect(await lunOf()).not.toBe(before);
  });

  it('by another node rest here, too', async () => {
    const other = new DaemonProcess('pve2');
    other.secret('tn', sim.apiKey);
    await other.start();
    try {
      await daemon.call('storage.activate', { storage });
      const { volname: volume } = await other.call('volume.allocate', { storage, vmid: 100, size: GIB });
      const before = await lunOf();
      await daemon.call('volume.size', { storage, volume }); // it knows of the volume
      await other.call('volume.free', { storage, volume });
      await expect(daemon.call('volume.size', { storage, volume })).rejects.toThrow('VOLUME_MISSING');
      await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
      expect(await lunOf()).not.toBe(before);
    } finally {
      await other.dispose();
    }
  });
});
