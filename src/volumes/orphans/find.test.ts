import { beforeEach, describe, expect, it } from 'vitest';
import { FakeHost } from '../../host/testing/fake-host.ts';
import { FakeArray } from '../testing/fake-array.ts';
import { World } from '../testing/world.ts';
import { readFacts } from './facts.ts';
import { findOrphans, notesOf } from './find.ts';
import type { Orphan } from './orphan.ts';
import { MemoryGuests } from './testing/memory-guests.ts';
import { type Bed, DAY, NOW, Planter, SUBSYSTEM } from './testing/planter.ts';
import { PLANTS } from './testing/plants.ts';

const BED: Bed = { storage: 'tn', dataset: 'tank/pve', target: 1 };
let array: FakeArray;
let guests: MemoryGuests;
let planter: Planter;
let world: World;

beforeEach(() => {
  array = new FakeArray();
  guests = new MemoryGuests();
  planter = new Planter(array, guests);
  array.targets_ = [...array.targets_, { id: 3, name: 'busy', iqn: 'iqn.2005-10.org.freenas.ctl:busy', groups: [] }];
  array.sessions_ = [{ target: 'iqn.2005-10.org.freenas.ctl:busy', initiator: 'iqn.1993-08.org.debian:pve1', address: '10.0.0.1' }];
  world = new World(new FakeHost(), array);
  (world.context.section as Record<string, unknown>)['tn_subsystem_nqn'] = SUBSYSTEM;
});

async function found(): Promise<readonly Orphan[]> {
  for (const operation of planter.open) await world.journal.begin(operation);
  return world.run(async (context, deadline) => findOrphans(await readFacts(context, { guests, elsewhere: new Set(['local']) }, deadline)));
}

/** What is found where only this was planted: kind, certainty, and a part of the reason. */
const CASES: readonly [plant: string, ...found: [kind: string, certainty: string, reason: RegExp][]][] = [
  [
    'extent of ours without zvol',
    ['extent-without-zvol', 'certain', /tank\/pve\/vm-100-disk-0' does not exist, its dataset does; the extent bears our mark/],
  ],
  ['extent of ours without zvol, with a LUN', ['extent-without-zvol', 'certain', /our mark/]],
  ['extent of a Perl plugin without zvol (F-508)', ['extent-without-zvol', 'certain', /a Perl plugin made the extent/]],
  ['extent that may be anybody’s', ['extent-without-zvol', 'likely', /anybody may use/]],
  ['extent whose name is almost ours'],
  ['extent whose name is ours in capitals'],
  ['extent with the hash of another zvol'],
  ['extent of a dataset inside'],
  ['extent of a dataset with a longer name'],
  ['extent of another pool'],
  ['extent on a zvol that is no volume'],
  ['weight extent without zvol (F-511)'],
  ['weight zvol (F-511)'],
  [
    'extent of a zvol that was renamed',
    ['extent-without-zvol', 'unsure', /may be the extent of 'tank\/pve\/vm-100-disk-9', renamed/],
    ['zvol-without-export', 'likely', /it was renamed/],
  ],
  [
    'extent of a template that was half made (F-304)',
    ['extent-without-zvol', 'unsure', /base-100-disk-0', renamed/],
    ['zvol-without-export', 'unsure', /no mark and no LUN/],
  ],
  ['extent that an operation is at work on', ['extent-without-zvol', 'unsure', /under way/]],
  ['mapping to a target that is gone', ['mapping-without-target', 'certain', /its target 999 does not exist/]],
  ['mapping without an extent', ['mapping-without-extent', 'likely', /nothing says whose/]],
  ['mapping of somebody else’s extent to no target'],
  ['namespace of a Perl plugin without zvol', ['namespace-without-zvol', 'certain', /in the subsystem of the storage/]],
  ['namespace of another subsystem', ['namespace-without-zvol', 'likely', /do not name the subsystem 'nqn.2014-08.org.example:theirs'/]],
  ['namespace of another dataset'],
  ['allocation that stopped after the zvol', ['unfinished-operation', 'certain', /never ended/]],
  ['allocation that stopped after the extent', ['unfinished-operation', 'certain', /never ended/]],
  ['zvol that another node is just making', ['unfinished-operation', 'unsure', /younger than 15 minutes/]],
  ['zvol of unknown age', ['unfinished-operation', 'unsure', /younger than 15 minutes/]],
  ['zvol without LUN, with data', ['zvol-without-export', 'likely', /data was written/]],
  ['zvol without LUN, of which the array does not say what was written', ['unfinished-operation', 'likely', /does not say/]],
  ['zvol without LUN, of a guest', ['zvol-without-export', 'unsure', /guest 3000 refers to it/]],
  ['zvol without LUN, named under a storage that is gone', ['zvol-without-export', 'unsure', /guest 3000 refers to it/]],
  ['base without LUN, of a linked clone', ['zvol-without-export', 'unsure', /guest 3000 refers to it/]],
  ['zvol without LUN, whose guest is locked', ['unfinished-operation', 'likely', /locked \(create\)/]],
  ['zvol without LUN, with a snapshot', ['zvol-without-export', 'likely', /snapshots/]],
  ['zvol without LUN, with a held snapshot and a clone elsewhere', ['zvol-without-export', 'likely', /snapshots/]],
  ['zvol that is a clone', ['zvol-without-export', 'likely', /is a clone/]],
  ['zvol exported by hand, without LUN', ['unfinished-operation', 'likely', /somebody else made an extent/]],
  // it has an export, and no guest
  ['zvol exported by NVMe', ['unreferenced-volume', 'likely', /no guest 100/]],
  ['zvol with the mark of another storage', ['unfinished-operation', 'likely', /storage 'cluster-b'/]],
  ['zvol that an operation is at work on', ['unfinished-operation', 'likely', /under way/]],
  ['zvol without a mark', ['zvol-without-export', 'unsure', /no mark and no LUN: a Perl plugin left it/]],
  ['zvol with a mark that is none', ['zvol-without-export', 'unsure', /no mark and no LUN/]],
  ['zvol of ours in a dataset inside'],
  ['zvol of ours that got another name'],
  ['clone of a backup that is over (F-513)', ['backup-clone', 'certain', /of 'vm-100-disk-0@vzdump' and is over/]],
  ['clone of a backup that may run', ['backup-clone', 'unsure', /younger than a day/]],
  ['clone of a backup of a locked guest', ['backup-clone', 'likely', /locked \(backup\)/]],
  ['clone of a backup that a node may have open', ['backup-clone', 'likely', /logged in to its target/]],
  ['clone with a name like a backup’s'],
  ['volume of a guest'],
  ['volume of no guest', ['unreferenced-volume', 'likely', /there is no guest 100/]],
];

describe('what is an orphan, and how sure', () => {
  it('is told of everything that can be planted', () => {
    expect(CASES.map(([plant]) => plant).sort()).toEqual(Object.keys(PLANTS).sort());
  });

  it.each(CASES)('%s', async (plant, ...expected) => {
    PLANTS[plant]!(planter, BED, 0);
    const orphans = [...(await found())].sort((a, b) => (a.kind < b.kind ? -1 : 1));
    expect(orphans.map(({ kind, certainty }) => [kind, certainty])).toEqual(expected.map(([kind, certainty]) => [kind, certainty]));
    for (const [index, [, , reason]] of expected.entries()) expect(orphans[index]?.reason).toMatch(reason);
    // what is not certain is never offered to be deleted
    for (const orphan of orphans) if (orphan.certainty !== 'certain') expect(orphan.action).toMatch(/^none/);
  });

  it('F-305: without all guests nothing is said of volumes without one, and no zvol is certain', async () => {
    guests.missing = 'the cluster has no quorum';
    planter.volume(BED, 1);
    planter.zvol(BED, 2);
    const orphans = await found();
    expect(orphans.map((one) => [one.kind, one.certainty])).toEqual([['unfinished-operation', 'likely']]);
    expect(orphans[0]?.reason).toContain('the cluster has no quorum');
    const notes = await world.run(async (context, deadline) =>
      notesOf(await readFacts(context, { guests, elsewhere: new Set() }, deadline)),
    );
    expect(notes.join()).toContain('no quorum');
  });

  it('a storage that is known to be another place does not count as a reference, any other does', async () => {
    planter.volume(BED, 1);
    guests.add(101, ['local:vm-101-disk-0']);
    expect((await found()).map((one) => one.kind)).toEqual(['unreferenced-volume']);
    guests.add(102, ['tn-old:vol-vm-101-disk-0-lun7']);
    expect(await found()).toEqual([]);
  });

  it('a volume that may still be copied to is only unsure', async () => {
    planter.volume(BED, 1, { creation: NOW / 1000 - DAY / 2 });
    guests.add(101, []);
    expect(await found()).toMatchObject([{ certainty: 'unsure', reason: expect.stringContaining('guest 101 is there') as string }]);
  });

  it('a key that may not read namespaces makes no zvol certain, and a note says so', async () => {
    const { StorageError } = await import('../../core/errors.ts');
    array.namespaces = () => Promise.reject(new StorageError('NOT_AUTHORIZED', 'Not authorized'));
    planter.zvol(BED, 1);
    planter.extent(BED, 2);
    expect((await found()).map((one) => [one.kind, one.certainty])).toEqual([
      ['extent-without-zvol', 'certain'],
      ['unfinished-operation', 'likely'],
    ]);
    const notes = await world.run(async (context, deadline) =>
      notesOf(await readFacts(context, { guests, elsewhere: new Set() }, deadline)),
    );
    expect(notes.join()).toContain('SHARING_NVME_TARGET_READ');
  });

  it('tells of each extent all that is needed to make it again', async () => {
    const extent = planter.extent(BED, 1);
    planter.mapping(BED, extent, 1);
    const [orphan] = await found();
    expect(orphan?.was).toEqual({
      extent: extent.name,
      extent_id: extent.id,
      disk: 'zvol/tank/pve/vm-101-disk-0',
      naa: extent.naa,
      serial: extent.serial,
      blocksize: 512,
      comment: 'pve-truenas tank/pve/vm-101-disk-0',
      enabled: true,
      mappings: [{ id: expect.any(Number) as number, target: 'iqn.2005-10.org.freenas.ctl:pve', lun: 2 }],
    });
  });
});
