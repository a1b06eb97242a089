import { beforeEach, describe, expect, it } from 'vitest';
import { FakeHost } from '../../host/testing/fake-host.ts';
import { FakeArray } from '../testing/fake-array.ts';
import { World } from '../testing/world.ts';
import { readFacts, type StorageFacts } from './facts.ts';
import { findOrphans } from './find.ts';
import { MemoryGuests } from './testing/memory-guests.ts';
import { type Bed, Planter } from './testing/planter.ts';

const BED: Bed = { storage: 'tn', dataset: 'tank/pve', target: 1 };
let array: FakeArray;
let planter: Planter;
let world: World;

beforeEach(() => {
  array = new FakeArray();
  planter = new Planter(array, new MemoryGuests());
  world = new World(new FakeHost(), array);
});

const read = (): Promise<StorageFacts> =>
  world.run((context, deadline) => readFacts(context, { guests: planter.guests, elsewhere: new Set() }, deadline));

describe('reading an array for orphans', () => {
  it('costs seven calls where nothing is suspicious, however many volumes there are', async () => {
    for (let number = 0; number < 50; number += 1) planter.volume(BED, number);
    array.calls.length = 0;
    await read();
    expect([...array.calls].sort()).toEqual(['dataset', 'extents', 'mappings', 'namespaces', 'targetSessions', 'targets', 'zvols'].sort());
  });

  it.each([
    ['extents', 'down'],
    ['mappings', 'down'],
    ['targets', 'down'],
    ['targetSessions', 'down'],
    ['namespaces', 'down'],
    ['zvols', 'down'],
    ['dataset', 'down'],
    ['datasetAndZvol', 'down'],
    ['extent', 'down'],
    ['snapshots', 'down'],
    ['heldSnapshots', 'down'],
    ['clonesOf', 'down'],
    ['extentByName', 'down'],
  ] as const)('F-207: fails as a whole when %s fails', async (method, mishap) => {
    planter.extent(BED, 1);
    array.putSnapshot(planter.zvol(BED, 2).id, 's');
    array.plan(method, mishap);
    await expect(read()).rejects.toMatchObject({ code: 'CALL_NOT_SENT' });
  });

  it('F-207: a list of zvols that was cut short is noticed, and no extent becomes an orphan by it', async () => {
    for (let number = 0; number < 5; number += 1) planter.volume(BED, number);
    array.zvols = () => Promise.resolve([]);
    await expect(read()).rejects.toMatchObject({ code: 'LOOK_INCOMPLETE' });
  });

  it('a list of extents that was cut short is noticed', async () => {
    for (let number = 0; number < 5; number += 1) planter.volume(BED, number);
    array.extents = () => Promise.resolve([]);
    await expect(read()).rejects.toMatchObject({ code: 'LOOK_INCOMPLETE' });
  });

  it('a list of mappings that was cut short is noticed', async () => {
    planter.volume(BED, 1);
    array.mappings = () => Promise.resolve([]);
    await expect(read()).rejects.toMatchObject({ code: 'LOOK_INCOMPLETE' });
  });

  it('a list of targets that was cut short is noticed', async () => {
    planter.volume(BED, 1);
    const { targets } = array;
    let calls = 0;
    array.targets = () => (calls++ === 0 ? Promise.resolve([]) : targets());
    await expect(read()).rejects.toMatchObject({ code: 'LOOK_INCOMPLETE' });
  });

  it.each([
    ['absent (its pool is not imported)', () => void (array.dataset_ = { ...array.dataset_, id: 'tank/other' }), 'DATASET_MISSING'],
    ['locked', () => void (array.dataset_ = { ...array.dataset_, locked: true }), 'DATASET_UNUSABLE'],
    ['a zvol', () => void (array.dataset_ = { ...array.dataset_, type: 'VOLUME' }), 'DATASET_UNUSABLE'],
  ])('F-305: nothing is missing in a dataset that is %s', async (_what, change, code) => {
    planter.extent(BED, 1);
    change();
    await expect(read()).rejects.toMatchObject({ code });
  });

  it('F-207: a dataset that goes away while it is read makes no orphans', async () => {
    planter.extent(BED, 1);
    array.before('datasetAndZvol', () => void (array.dataset_ = { ...array.dataset_, id: 'tank/elsewhere' }));
    await expect(read()).rejects.toMatchObject({ code: 'DATASET_MISSING' });
  });

  it('what another node makes while the lists are read is no orphan and no failure', async () => {
    planter.guests.add(100, ['tn:vm-101-disk-0', 'tn:vm-102-disk-0']);
    array.before('zvols', () => void planter.volume(BED, 1, { creation: 1_700_000_000 }));
    expect(findOrphans(await read())).toEqual([]);
    array.before('extents', () => void planter.volume(BED, 2, { creation: 1_700_000_000 }));
    expect(findOrphans(await read())).toEqual([]);
  });

  it('what another node deletes while the lists are read is no orphan', async () => {
    const { id } = planter.volume(BED, 1);
    array.before('zvols', () => {
      array.zvolsById.delete(id);
      array.extentsById.clear();
      array.mappingsById.clear();
    });
    expect(findOrphans(await read())).toEqual([]);
  });
});
