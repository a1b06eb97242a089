import { beforeEach, describe, expect, it } from 'vitest';
import { FakeHost } from '../../host/testing/fake-host.ts';
import { FakeArray, type Mishap } from '../testing/fake-array.ts';
import { World } from '../testing/world.ts';
import { cleanOrphan, type CleanResult } from './clean.ts';
import { readFacts } from './facts.ts';
import { findOrphans } from './find.ts';
import type { Orphan } from './orphan.ts';
import { MemoryGuests } from './testing/memory-guests.ts';
import { type Bed, Planter, SUBSYSTEM } from './testing/planter.ts';
import { PLANTS } from './testing/plants.ts';

const BED: Bed = { storage: 'tn', dataset: 'tank/pve', target: 1 };
let array: FakeArray;
let planter: Planter;
let world: World;

beforeEach(() => {
  array = new FakeArray();
  planter = new Planter(array, new MemoryGuests());
  world = new World(new FakeHost(), array);
  (world.context.section as Record<string, unknown>)['subsystem_nqn'] = SUBSYSTEM;
});

const look = () => ({ guests: planter.guests, elsewhere: new Set<string>() });
async function only(): Promise<Orphan> {
  const orphans = await world.run(async (context, deadline) => findOrphans(await readFacts(context, look(), deadline)));
  expect(orphans).toHaveLength(1);
  return orphans[0]!;
}
const clean = (id: string, includeVolumes = false): Promise<CleanResult> =>
  world.run((context, deadline) => cleanOrphan(context, look(), id, includeVolumes, deadline));

describe('deleting one orphan', () => {
  it('deletes LUN and extent, looks for them, and logs what they were before the first change', async () => {
    PLANTS['extent of ours without zvol, with a LUN']!(planter, BED, 1);
    const orphan = await only();
    expect(await clean(orphan.id)).toMatchObject({ outcome: 'deleted', was: { disk: 'zvol/tank/pve/vm-101-disk-0' } });
    expect(array.contents()).toEqual({ zvols: 0, extents: 0, mappings: 0, snapshots: 0 });
    const [before, after] = world.log.lines.filter((line) => line.level === 'info');
    expect(before).toMatchObject({ message: 'deleting an orphan', fields: orphan.was });
    expect(after).toMatchObject({ message: 'orphan deleted' });
    expect(world.context.locks.size).toBe(0);
  });

  it('deletes a namespace', async () => {
    PLANTS['namespace of a Perl plugin without zvol']!(planter, BED, 1);
    expect(await clean((await only()).id)).toMatchObject({ outcome: 'deleted' });
    expect(array.namespacesById.size).toBe(0);
  });

  it.each(['allocation that stopped after the zvol', 'allocation that stopped after the extent'])(
    '%s: its zvol goes only with --include-volumes, its export first',
    async (plant) => {
      PLANTS[plant]!(planter, BED, 1);
      const { id } = await only();
      expect(await clean(id)).toMatchObject({ outcome: 'kept', message: expect.stringContaining('--include-volumes') as string });
      expect(array.zvolsById.size).toBe(1);
      expect(await clean(id, true)).toMatchObject({ outcome: 'deleted', was: { zvol: 'tank/pve/vm-101-disk-0', volsize: 2 ** 30 } });
      expect(array.contents()).toEqual({ zvols: 0, extents: 0, mappings: 0, snapshots: 0 });
    },
  );

  it('never takes snapshots, clones or holds with it', async () => {
    PLANTS['allocation that stopped after the zvol']!(planter, BED, 1);
    const { id } = await only();
    array.putSnapshot('tank/pve/vm-101-disk-0', 'somebody');
    expect(await clean(id, true)).toMatchObject({ outcome: 'kept' });
    // also when the snapshot is made after the last look: the deletion is not recursive
    array.snapshotsById.clear();
    array.before('deleteZvol', () => void array.putSnapshot('tank/pve/vm-101-disk-0', 'somebody'));
    await expect(clean(id, true)).rejects.toMatchObject({ code: 'CALL_REFUSED' });
    expect(array.contents()).toMatchObject({ zvols: 1, snapshots: 1 });
  });

  it('is kept when a guest refers to it by now', async () => {
    PLANTS['allocation that stopped after the zvol']!(planter, BED, 1);
    const { id } = await only();
    planter.guests.add(101, ['tn:vm-101-disk-0']);
    expect(await clean(id, true)).toMatchObject({ outcome: 'kept' });
    expect(array.zvolsById.size).toBe(1);
  });

  it('is kept when the zvol of the extent is there again', async () => {
    PLANTS['extent of ours without zvol']!(planter, BED, 1);
    const { id } = await only();
    planter.zvol(BED, 1);
    expect(await clean(id)).toMatchObject({ outcome: 'kept' });
    expect(array.extentsById.size).toBe(1);
  });

  it('another extent under the same number is not it', async () => {
    PLANTS['extent of ours without zvol']!(planter, BED, 1);
    const { id } = await only();
    const [number = 0] = array.extentsById.keys();
    array.extentsById.set(number, { ...array.extentsById.get(number)!, naa: `0x6589cfc000000${'f'.repeat(19)}` });
    expect(await clean(id)).toMatchObject({ outcome: 'gone' });
    expect(array.extentsById.size).toBe(1);
  });

  it('a new zvol of the same name is not it, even right before the deletion', async () => {
    PLANTS['allocation that stopped after the zvol']!(planter, BED, 1);
    const { id } = await only();
    array.before('zvol', () => void planter.zvol(BED, 1, { creation: 1_700_000_000 }));
    expect(await clean(id, true)).toMatchObject({ outcome: 'kept', message: expect.stringContaining('another volume') as string });
    expect(array.zvolsById.size).toBe(1);
  });

  it('F-315: a new zvol of the same name is left alone when a busy one is tried again', async () => {
    PLANTS['allocation that stopped after the zvol']!(planter, BED, 1);
    const { id } = await only();
    const { RefusedError } = await import('../../core/errors.ts');
    const real = array.deleteZvol;
    let deletions = 0;
    array.deleteZvol = (zvol) => {
      if (deletions++ > 0) return real(zvol);
      planter.zvol(BED, 1, { creation: 1_700_000_000 });
      return Promise.reject(new RefusedError('VOLUME_BUSY', 'dataset is busy', { errno: 16 }));
    };
    await clean(id, true);
    expect(array.zvolsById.get('tank/pve/vm-101-disk-0')?.creation).toBe(1_700_000_000);
    expect(deletions).toBe(1);
  });

  it('is gone when somebody was faster', async () => {
    PLANTS['extent of ours without zvol']!(planter, BED, 1);
    const { id } = await only();
    array.extentsById.clear();
    expect(await clean(id)).toMatchObject({ outcome: 'gone' });
    expect(array.count('deleteExtent')).toBe(0);
  });

  it('law 6: an answer of "true" is not proof', async () => {
    PLANTS['extent of ours without zvol']!(planter, BED, 1);
    const { id } = await only();
    array.deleteExtent = () => Promise.resolve();
    await expect(clean(id)).rejects.toMatchObject({ code: 'DELETE_UNCONFIRMED' });
  });

  it('what is listed but not certain is never deleted, whoever asks', async () => {
    for (const plant of Object.keys(PLANTS)) {
      array = new FakeArray();
      planter = new Planter(array, new MemoryGuests());
      world = new World(new FakeHost(), array);
      array.targets_ = [...array.targets_, { id: 3, name: 'busy', iqn: 'iqn.2005-10.org.freenas.ctl:busy', groups: [] }];
      array.sessions_ = [{ target: 'iqn.2005-10.org.freenas.ctl:busy', initiator: 'iqn.1993-08.org.debian:pve1', address: '10.0.0.1' }];
      if (PLANTS[plant]!(planter, BED, 1).certain !== undefined) continue;
      for (const operation of planter.open) await world.journal.begin(operation);
      const before = array.contents();
      const orphans = await world.run(async (context, deadline) => findOrphans(await readFacts(context, look(), deadline)));
      for (const { id } of orphans) expect((await clean(id, true)).outcome, plant).toBe('kept');
      expect(array.contents(), plant).toEqual(before);
    }
  });

  it.each(['', 'nonsense', 'extent-without-zvol', 'extent-without-zvol#', 'volume#tank/pve/vm-101-disk-0#1'])(
    'does not take %j for an orphan',
    async (id) => {
      planter.volume(BED, 1);
      await expect(clean(id, true)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
      expect(array.calls).toEqual([]);
    },
  );

  it('an id that somebody made up deletes nothing', async () => {
    planter.volume(BED, 1);
    expect(await clean('unfinished-operation#tank/pve/vm-101-disk-0#-#-', true)).toMatchObject({ outcome: 'kept' });
    expect(await clean('extent-without-zvol#tank/pve/vm-999-disk-0#1#0x1', true)).toMatchObject({ outcome: 'gone' });
    expect(array.contents()).toEqual({ zvols: 1, extents: 1, mappings: 1, snapshots: 0 });
  });

  describe('whatever befalls a deletion, the next one ends it', () => {
    for (const method of ['deleteMapping', 'deleteExtent'] as const) {
      for (const mishap of ['before', 'after', 'down'] satisfies Mishap[]) {
        it(`${method}: ${mishap}`, async () => {
          PLANTS['extent of ours without zvol, with a LUN']!(planter, BED, 1);
          const { id } = await only();
          array.plan(method, mishap);
          const first = await clean(id).catch(() => null);
          if (first === null) expect(await clean(id)).toMatchObject({ outcome: 'deleted' });
          expect(array.contents()).toEqual({ zvols: 0, extents: 0, mappings: 0, snapshots: 0 });
        });
      }
    }
  });
});
