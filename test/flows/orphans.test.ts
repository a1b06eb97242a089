import { existsSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { RELEASES, type Release } from '../../src/core/array-port.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import type { Result } from '../../src/protocol/methods.ts';
import { OWNER_PROPERTY, perlExtentName, STORAGE_PROPERTY } from '../../src/volumes/owner-mark.ts';
import { backupCloneName } from '../../src/volumes/orphans/naming.ts';
import { type Outcome, runCli } from './testing/command-line.ts';
import { callArray, contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';
import { called } from './testing/waiting.ts';

const GIB = 2 ** 30;
const OWNER = '7d444840-9dc0-41d1-b245-5ffdce74fad2';
const SUBSYSTEM = 'nqn.2011-06.com.truenas:pve';
/** The array's clock is three days late: what is made now is old enough to be judged. */
const LATE = { ...systemClock, now: () => systemClock.now() - 3 * 86_400_000 };

let sim: Simulator;
let daemon: DaemonProcess;
let storage: { id: string; config: Record<string, string | number> };
let dataset: string;

async function begin(release: Release = '25.10'): Promise<void> {
  sim = await launchSimulator({ release, blocks: 'memory', delays: false, clock: LATE });
  dataset = String(sim.dataset);
  storage = { id: 'tn', config: sectionFor(sim, { tn_subsystem_nqn: SUBSYSTEM }) };
  const lines = Object.entries(storage.config).map(([key, value]) => `\t${key} ${value}\n`);
  daemon.secret('tn', sim.apiKey);
  daemon.storageCfg(`dir: local\n\tpath /var/lib/vz\n\ntruenasplugin: tn\n${lines.join('')}\n`);
  await daemon.start();
}

beforeEach(() => {
  daemon = new DaemonProcess();
});
afterEach(async () => {
  await daemon.dispose();
  await sim.stop();
});

type Report = Result<'overview.orphans'> & { cleaned?: { id: string; outcome: string; was: Record<string, unknown>; message: string }[] };

const cli = (...argv: readonly string[]): Promise<Outcome> => runCli(daemon, ...argv);
const parse = ({ out }: Outcome): Report => JSON.parse(out) as Report;
const found = (report: Report): Record<string, string> =>
  Object.fromEntries(
    [...report.storages.flatMap((one) => one.orphans), ...report.node.orphans].map((one) => [one.name, `${one.kind} ${one.certainty}`]),
  );

// What others do on the array.
const create = (name: string, marked: boolean): Promise<unknown> =>
  callArray(sim, 'pool.dataset.create', {
    name: `${dataset}/${name}`,
    type: 'VOLUME',
    volsize: GIB,
    sparse: true,
    ...(marked
      ? { user_properties: Object.entries({ [OWNER_PROPERTY]: OWNER, [STORAGE_PROPERTY]: 'tn' }).map(([key, value]) => ({ key, value })) }
      : {}),
  });
async function extentOf(name: string, zvol: string): Promise<number> {
  const { id } = (await callArray(sim, 'iscsi.extent.create', { name, type: 'DISK', disk: `zvol/${dataset}/${zvol}` })) as { id: number };
  return id;
}
/** Takes the zvol away below an extent: TrueNAS deletes enabled ones with it and leaves disabled ones dangling (truenas-api 9.3). */
async function loseZvol(zvol: string): Promise<void> {
  const all = (await callArray(sim, 'iscsi.extent.query', [], {})) as { id: number; disk: string }[];
  for (const extent of all)
    if (extent.disk === `zvol/${dataset}/${zvol}`) await callArray(sim, 'iscsi.extent.update', extent.id, { enabled: false });
  await callArray(sim, 'pool.dataset.delete', `${dataset}/${zvol}`, {});
}
const snapshots = (method: string): string => `${sim.release === '25.04' ? 'zfs' : 'pool'}.snapshot.${method}`;

describe.each(RELEASES)('orphans on %s', (release) => {
  it('are found, each for its reason, and only the certain ones are deleted', async () => {
    await begin(release);
    const hasNvme = release !== '25.04';
    const { volname: used } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
    const { volname: unused } = await daemon.call('volume.allocate', { storage, vmid: 101, size: GIB });
    const { volname: lost } = await daemon.call('volume.allocate', { storage, vmid: 102, size: GIB });
    daemon.guests({ 100: `scsi0: tn:${used},size=1G\n`, 102: 'cores: 1\n' });
    await loseZvol(lost);
    await create('vm-103-disk-0', false);
    await extentOf(perlExtentName(`${dataset}/vm-103-disk-0`), 'vm-103-disk-0');
    await loseZvol('vm-103-disk-0');
    await create('vm-104-disk-0', true);
    await callArray(sim, snapshots('create'), { dataset: `${dataset}/${used}`, name: 'vzdump' });
    const clone = backupCloneName(used, 'vzdump');
    await callArray(sim, snapshots('clone'), { snapshot: `${dataset}/${used}@vzdump`, dataset_dst: `${dataset}/${clone}` });
    if (hasNvme) {
      await create('vm-105-disk-0', false);
      const { id } = (await callArray(sim, 'nvmet.subsys.create', { name: 'pve', subnqn: SUBSYSTEM })) as { id: number };
      await callArray(sim, 'nvmet.namespace.create', {
        subsys_id: id,
        device_type: 'ZVOL',
        device_path: `zvol/${dataset}/vm-105-disk-0`,
        enabled: false,
      });
      await callArray(sim, 'pool.dataset.delete', `${dataset}/vm-105-disk-0`, {});
    }
    // other people's, of which one may be a Perl plugin's
    await create('vm-106-disk-0', false);
    await create('data', false);
    await extentOf('pve-data', 'data');
    await create('gone', false);
    await extentOf('pve-0123456789abcdef', 'gone');
    await loseZvol('gone');

    const looked = await cli('orphans', '--json');
    expect(looked.status, looked.out + looked.err).toBe(1);
    const report = parse(looked);
    expect(report.storages[0]).toMatchObject({ id: 'tn', complete: true, notes: [] });
    const orphans = report.storages[0]?.orphans ?? [];
    const kinds = orphans.map((one) => `${one.kind} ${one.certainty}`).sort();
    expect(kinds).toEqual(
      [
        'backup-clone certain',
        'extent-without-zvol certain',
        'extent-without-zvol certain',
        ...(hasNvme ? ['namespace-without-zvol certain'] : []),
        'unfinished-operation certain',
        'unreferenced-volume likely',
        'zvol-without-export unsure',
      ].sort(),
    );
    expect(orphans.find((one) => one.kind === 'unfinished-operation')).toMatchObject({ name: 'vm-104-disk-0', size: GIB, data: true });
    expect(orphans.find((one) => one.kind === 'unfinished-operation')?.age_s).toBeGreaterThan(2 * 86_400);

    const before = await contentsOf(sim);
    const refused = await cli('orphans', '--clean');
    expect(refused.status).toBe(3);
    expect(refused.err).toContain('nothing was changed');
    expect(await contentsOf(sim)).toEqual(before);

    const cleaned = await cli('orphans', '--clean', '--yes', '--json');
    expect(cleaned.status).toBe(1);
    expect(parse(cleaned).cleaned?.map((one) => one.outcome)).toEqual(Array.from({ length: hasNvme ? 3 : 2 }, () => 'deleted'));
    const after = await contentsOf(sim);
    expect(after.zvols).toEqual(before.zvols);
    expect(after).toMatchObject({ extents: before.extents - 2, mappings: before.mappings - 1 });
    // enough to make it again
    const ours = parse(cleaned).cleaned?.find((one) => String(one.was['disk']).endsWith(lost));
    expect(ours?.was).toMatchObject({ disk: `zvol/${dataset}/${lost}`, blocksize: 512, mappings: [{ target: sim.targetIqn }] });
    expect(daemon.output).toContain(String(ours?.was['naa']));

    const withData = await cli('orphans', 'tn', '--clean', '--yes', '--include-volumes');
    expect(withData.status, withData.out + withData.err).toBe(1);
    expect(withData.out).toContain('deleted: vm-104-disk-0 was deleted');
    expect(withData.out + withData.err).not.toMatch(/\x1b/);
    const end = await contentsOf(sim);
    expect([...end.zvols].sort()).toEqual([used, unused, 'vm-106-disk-0', 'data'].map((name) => `${dataset}/${name}`).sort());
    expect(end.snapshots).toBe(1);
    expect(found(parse(await cli('orphans', '--json')))).toEqual({
      [unused]: 'unreferenced-volume likely',
      'vm-106-disk-0': 'zvol-without-export unsure',
    });
    // the volume in use is as it was
    expect(await daemon.call('volume.size', { storage, volume: used })).toMatchObject({ size: GIB });
  });
});

describe('a look that cannot see everything', () => {
  it.each([
    'iscsi.extent.query',
    'iscsi.targetextent.query',
    'pool.dataset.query',
    'iscsi.global.sessions',
    'nvmet.namespace.query',
    'iscsi.target.query',
  ])('F-207: says so instead of less, and cleans nothing, when %s fails', async (method) => {
    await begin();
    daemon.guests({});
    await create('vm-104-disk-0', true);
    await daemon.call('storage.activate', { storage });
    sim.faults.add({ method, fault: 'error', errno: 14, reason: 'Failed on purpose' });
    const outcome = await cli('orphans', '--clean', '--yes', '--include-volumes', '--json');
    expect(outcome.status, outcome.out).toBe(2);
    expect(parse(outcome)).toMatchObject({ storages: [{ complete: false, orphans: [] }], cleaned: [] });
    expect(parse(outcome).storages[0]?.error?.message).toContain('Failed on purpose');
    expect((await contentsOf(sim)).zvols).toHaveLength(1);
  });

  it('reports no volume without a guest, and deletes no zvol, while the guests are not known', async () => {
    await begin();
    await daemon.call('volume.allocate', { storage, vmid: 101, size: GIB });
    await create('vm-104-disk-0', true);
    for (const [prepare, note] of [
      [() => undefined, 'not the cluster file system'],
      [() => daemon.guests({ 100: 'cores: 1\n' }, false), 'no quorum'],
    ] as const) {
      prepare();
      const report = parse(await cli('orphans', '--clean', '--yes', '--include-volumes', '--json'));
      expect(found(report)).toEqual({ 'vm-104-disk-0': 'unfinished-operation likely' });
      expect(report.storages[0]?.notes.join()).toContain(note);
      expect((await contentsOf(sim)).zvols).toHaveLength(2);
    }
  });

  it('makes no orphans of a dataset that was renamed', async () => {
    await begin();
    daemon.guests({});
    await daemon.call('volume.allocate', { storage, vmid: 101, size: GIB });
    await callArray(sim, 'pool.dataset.rename', dataset, { new_name: `${dataset}-moved`, force: true });
    const outcome = await cli('orphans', '--clean', '--yes', '--include-volumes', '--json');
    expect(outcome.status).toBe(2);
    expect(parse(outcome).storages[0]).toMatchObject({ complete: false, error: { code: 'DATASET_MISSING' }, orphans: [] });
    expect(await contentsOf(sim)).toMatchObject({ extents: 1, mappings: 1 });
  });

  it('an unknown storage and flags that do not fit are unusable input', async () => {
    await begin();
    expect((await cli('orphans', 'nowhere')).status).toBe(3);
    expect((await cli('orphans', '--yes')).status).toBe(3);
    expect((await cli('orphans', '--include-volumes')).status).toBe(3);
  });
});

describe('a clean-up that is disturbed', () => {
  async function twoExtents(): Promise<void> {
    await begin();
    daemon.guests({});
    for (const vmid of [102, 103]) {
      const { volname } = await daemon.call('volume.allocate', { storage, vmid, size: GIB });
      await loseZvol(volname);
    }
  }

  it.each(['iscsi.targetextent.delete', 'iscsi.extent.delete'])(
    'a daemon killed at %s leaves an orphan that the next clean-up takes',
    async (method) => {
      await twoExtents();
      sim.resetCalls();
      sim.faults.add({ method, fault: 'drop-answer', nth: 1 });
      const running = cli('orphans', '--clean', '--yes', '--json');
      await called(sim, method);
      await daemon.end('SIGKILL');
      const outcome = await running;
      expect(outcome.status).toBe(2);
      expect(parse(outcome).cleaned?.map((one) => one.outcome)).toEqual(['failed', 'skipped']);
      sim.faults.clear();
      await daemon.start();
      expect(daemon.journal).toEqual([]);
      expect((await cli('orphans', '--clean', '--yes')).status).toBe(0);
      expect(await contentsOf(sim)).toMatchObject({ extents: 0, mappings: 0 });
    },
  );

  it('an answer that is lost is looked for, and the deletion counts', async () => {
    await twoExtents();
    sim.faults.add({ method: 'iscsi.extent.delete', fault: 'cut-after', nth: 1 });
    const outcome = await cli('orphans', '--clean', '--yes', '--json');
    expect(outcome.status, outcome.out).toBe(0);
    expect(parse(outcome).cleaned?.map((one) => one.outcome)).toEqual(['deleted', 'deleted']);
    expect(await contentsOf(sim)).toMatchObject({ extents: 0, mappings: 0 });
  });

  it('a refusal of one does not keep the others, and says what is left', async () => {
    await twoExtents();
    sim.faults.add({ method: 'iscsi.extent.delete', fault: 'error', nth: 1, reason: 'Associated target is in use.' });
    const outcome = await cli('orphans', '--clean', '--yes', '--json');
    expect(outcome.status).toBe(2);
    expect(parse(outcome).cleaned?.map((one) => one.outcome)).toEqual(['failed', 'deleted']);
    expect(outcome.out).toContain('what is left is still one');
    expect(await contentsOf(sim)).toMatchObject({ extents: 1, mappings: 0 });
  });
});

it('records of QEMU’s URLs on this node go when their volume is gone, and stay while it is there', async () => {
  await begin();
  const { volname } = await daemon.call('volume.allocate', { storage, vmid: 100, size: GIB });
  daemon.guests({ 100: `scsi0: tn:${volname}\n` });
  const place = join(daemon.directory, 'run/direct/tn');
  mkdirSync(place, { recursive: true });
  symlinkSync('iscsi://127.0.0.1:3260/iqn.x:y/1', join(place, volname));
  symlinkSync('iscsi://127.0.0.1:3260/iqn.x:y/9', join(place, 'vm-999-disk-0'));
  mkdirSync(join(daemon.directory, 'links/other'), { recursive: true });
  symlinkSync('/dev/disk/by-id/wwn-0x6589cfc0000000000000000000000001', join(daemon.directory, 'links/other/vm-1000-disk-0'));
  expect(found(parse(await cli('orphans', '--json')))).toEqual({
    'tn/vm-999-disk-0': 'stale-record certain',
    'other/vm-1000-disk-0': 'stale-link likely',
  });
  const outcome = await cli('orphans', '--clean', '--yes', '--json');
  expect(parse(outcome).cleaned?.map((one) => one.outcome)).toEqual(['deleted']);
  expect(existsSync(join(daemon.directory, 'links/other'))).toBe(true);
  expect(readlinkSync(join(place, volname))).toContain('iscsi://');
  expect(() => readlinkSync(join(place, 'vm-999-disk-0'))).toThrow();
});
