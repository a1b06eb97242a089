import { beforeEach, describe, expect, it } from 'vitest';
import { deadlineAfter } from '../core/deadline.ts';
import { StorageError } from '../core/errors.ts';
import type { NodeLeftovers, NodeState, VolumePlace } from '../core/leftovers-port.ts';
import { runOn } from '../core/testing/manual-clock.ts';
import type { StorageSection } from '../config/storage-cfg.ts';
import { FakeHost } from '../host/testing/fake-host.ts';
import { PromMeter } from '../observe/metrics.ts';
import { FakeArray } from '../volumes/testing/fake-array.ts';
import { World } from '../volumes/testing/world.ts';
import { MemoryGuests } from '../volumes/orphans/testing/memory-guests.ts';
import { Planter } from '../volumes/orphans/testing/planter.ts';
import { Orphans } from './orphans.ts';

const HOUR = 3_600_000;
const SETTINGS = { api_host: 'nas', dataset: 'tank/pve', target_iqn: 'pve', discovery_portal: '127.0.0.1' };
const section = (id: string, more: Record<string, string> = {}): StorageSection => ({
  type: 'truenasplugin',
  id,
  line: 1,
  properties: { ...SETTINGS, ...more },
});
const BED = { storage: 'tn', dataset: 'tank/pve', target: 1 };

class MemoryLeftovers implements NodeLeftovers {
  state: NodeState = { links: [], records: [], devices: [], initiatorRecords: [] };
  failure: Error | null = null;
  removed: string[] = [];
  read = (): Promise<NodeState> => (this.failure === null ? Promise.resolve(this.state) : Promise.reject(this.failure));
  resolve = (host: string): Promise<string[]> => Promise.resolve([host]);
  removeLink = (place: VolumePlace): Promise<void> => this.#remove('links', place);
  removeRecord = (place: VolumePlace): Promise<void> => this.#remove('records', place);
  #remove(kind: 'links' | 'records', place: VolumePlace): Promise<void> {
    this.removed.push(`${kind} ${place.storage}/${place.volume}`);
    this.state = { ...this.state, [kind]: this.state[kind].filter((one) => one !== place) };
    return Promise.resolve();
  }
}

let world: World;
let array: FakeArray;
let planter: Planter;
let leftovers: MemoryLeftovers;
let sections: readonly StorageSection[];
let meter: PromMeter;
let orphans: Orphans;
let unreachable: ReadonlySet<string>;

beforeEach(() => {
  array = new FakeArray();
  planter = new Planter(array, new MemoryGuests());
  world = new World(new FakeHost(), array);
  leftovers = new MemoryLeftovers();
  sections = [{ type: 'dir', id: 'local', line: 1, properties: {} }, section('tn')];
  meter = new PromMeter();
  unreachable = new Set();
  orphans = new Orphans({
    sections: () => Promise.resolve(sections),
    resolve: ({ id }) =>
      unreachable.has(id)
        ? Promise.reject(new StorageError('ARRAY_UNREACHABLE', `${id} does not answer`))
        : Promise.resolve({ ...world.context, config: { ...world.context.config, id } }),
    guests: planter.guests,
    leftovers,
    journal: world.journal,
    clock: world.clock,
    log: world.log,
    meter,
    node: 'pve1',
    random: () => 0.5,
  });
});

const within = <T>(work: (deadline: ReturnType<typeof deadlineAfter>) => Promise<T>): Promise<T> => {
  const deadline = deadlineAfter(world.clock, 60_000, 'test');
  return runOn(world.clock, work(deadline)).finally(() => deadline.release());
};
const look = (id?: string) => within((deadline) => orphans.look(id, deadline));
const remove = (storage: string | undefined, id: string, includeVolumes = false) =>
  within((deadline) =>
    orphans.delete(
      { protocol: 1, ...(storage === undefined ? {} : { storage_id: storage }), orphan_id: id, include_volumes: includeVolumes },
      deadline,
    ),
  );
/** Lines of the exposition about orphans. */
const lines = async (): Promise<readonly string[]> =>
  (await meter.text('prometheus')).split('\n').filter((line) => line.startsWith('pve_truenas_orphans') && !line.endsWith(' 0'));

describe('looking', () => {
  it('one storage that cannot be asked takes nothing from the others', async () => {
    sections = [...sections, section('dead')];
    unreachable = new Set(['dead']);
    planter.extent(BED, 1);
    const { storages, node } = await look();
    expect(storages).toMatchObject([
      { id: 'tn', complete: true, orphans: [{ kind: 'extent-without-zvol', seen_s: 0, age_s: null }] },
      { id: 'dead', complete: false, error: { code: 'ARRAY_UNREACHABLE' }, orphans: [] },
    ]);
    expect(node.notes.join()).toContain('dead were not judged');
  });

  it('tells since when an orphan is known', async () => {
    planter.extent(BED, 1);
    await look();
    await world.clock.advance(90_000);
    expect((await look()).storages[0]?.orphans[0]?.seen_s).toBeGreaterThanOrEqual(90);
  });

  it('leaves out storages that are off or meant for other nodes, unless asked for by name', async () => {
    sections = [...sections, section('off', { disable: '1' }), section('theirs', { nodes: 'pve7' })];
    expect((await look()).storages.map((one) => one.id)).toEqual(['tn']);
    expect((await look('theirs')).storages.map((one) => one.id)).toEqual(['theirs']);
    await expect(look('nowhere')).rejects.toMatchObject({ code: 'STORAGE_UNKNOWN' });
  });

  it('a volume that a guest names under another storage of the same dataset is not nobody’s', async () => {
    sections = [...sections, section('same'), section('other', { dataset: 'tank/other' })];
    planter.volume(BED, 1);
    planter.volume(BED, 2);
    planter.guests.add(101, ['same:vm-101-disk-0', 'other:vm-102-disk-0', 'local:vm-102-disk-0']);
    const names = (await look('tn')).storages[0]?.orphans.map((one) => `${one.kind} ${one.name}`);
    expect(names).toEqual(['unreferenced-volume vm-102-disk-0']);
  });

  it('without storage.cfg this node is not judged', async () => {
    sections = [];
    leftovers.state = { ...leftovers.state, links: [{ storage: 'tn', volume: 'vm-1-disk-0', naa: null, text: '' }] };
    expect(await look()).toMatchObject({ storages: [], node: { orphans: [], notes: [expect.stringContaining('storage.cfg')] } });
  });

  it('a node that cannot be read says so', async () => {
    leftovers.failure = new Error('EIO');
    expect((await look()).node).toMatchObject({ orphans: [], notes: [expect.stringContaining('EIO')] });
  });

  it('law 3: a link is stale only when the array says so in the same answer as the dataset', async () => {
    planter.volume(BED, 1);
    leftovers.state = { ...leftovers.state, links: [{ storage: 'tn', volume: 'vm-101-disk-0', naa: null, text: '' }] };
    array.zvols = () => Promise.resolve([]);
    array.extents = () => Promise.resolve([]);
    array.mappings = () => Promise.resolve([]);
    expect((await look()).node.orphans).toEqual([]);
  });
});

describe('deleting', () => {
  it('deletes one of the array, and one of the node', async () => {
    planter.extent(BED, 1);
    const place = { storage: 'tn', volume: 'vm-107-disk-0', naa: null, text: 'iscsi://x' };
    leftovers.state = { ...leftovers.state, records: [place] };
    const { storages, node } = await look();
    expect(await remove('tn', storages[0]!.orphans[0]!.id)).toMatchObject({ outcome: 'deleted' });
    expect(await remove(undefined, node.orphans[0]!.id)).toMatchObject({ outcome: 'deleted', was: { volume: 'vm-107-disk-0' } });
    expect(leftovers.removed).toEqual(['records tn/vm-107-disk-0']);
    expect(array.extentsById.size).toBe(0);
  });

  it('keeps a link whose volume is there again, and one that is only reported', async () => {
    leftovers.state = {
      ...leftovers.state,
      links: [
        { storage: 'tn', volume: 'vm-101-disk-0', naa: null, text: '' },
        { storage: 'gone', volume: 'vm-100-disk-0', naa: null, text: '' },
      ],
    };
    const ids = (await look()).node.orphans.map((one) => one.id);
    planter.volume(BED, 1);
    expect(await remove(undefined, ids[0]!)).toMatchObject({ outcome: 'kept' });
    await expect(remove(undefined, ids[1]!)).rejects.toMatchObject({ code: 'STORAGE_UNKNOWN' });
    expect(leftovers.removed).toEqual([]);
  });

  it('says what state a failed deletion left', async () => {
    const extent = planter.extent(BED, 1);
    planter.mapping(BED, extent, 1);
    const { id } = (await look()).storages[0]!.orphans[0]!;
    array.plan('deleteExtent', 'down');
    await expect(remove('tn', id)).rejects.toMatchObject({ state: expect.stringContaining('what is left is still one') as string });
    array.plan('extents', 'down');
    await expect(remove('tn', id)).rejects.toMatchObject({ state: 'nothing was changed' });
  });
});

describe('by itself', () => {
  it('looks some minutes after the start and then about hourly, deletes nothing, and counts', async () => {
    planter.extent(BED, 1);
    leftovers.state = { ...leftovers.state, records: [{ storage: 'tn', volume: 'vm-107-disk-0', naa: null, text: '' }] };
    orphans.watch();
    await world.clock.advance(5 * 60_000);
    expect(array.count('targetSessions')).toBe(0);
    await world.clock.advance(10 * 60_000);
    expect(array.count('targetSessions')).toBe(1);
    expect(await lines()).toEqual(
      expect.arrayContaining([
        'pve_truenas_orphans{storage="tn",kind="extent-without-zvol"} 1',
        'pve_truenas_orphans{storage="",kind="stale-record"} 1',
        expect.stringMatching(/^pve_truenas_orphans_checked_timestamp_seconds\{storage="tn"\} 17/),
      ]),
    );
    await world.clock.advance(HOUR);
    expect(array.count('targetSessions')).toBe(2);
    expect(array.count('deleteExtent', 'deleteMapping', 'deleteZvol')).toBe(0);
    expect(leftovers.removed).toEqual([]);
    orphans.stop();
    await world.clock.advance(3 * HOUR);
    expect(array.count('targetSessions')).toBe(2);
  });

  it('keeps the numbers of a storage that cannot be asked, and drops those of one that is gone', async () => {
    planter.extent(BED, 1);
    await look();
    unreachable = new Set(['tn']);
    await look();
    expect(await lines()).toContain('pve_truenas_orphans{storage="tn",kind="extent-without-zvol"} 1');
    sections = [{ type: 'dir', id: 'local', line: 1, properties: {} }];
    await look();
    expect((await lines()).filter((line) => line.includes('"tn"'))).toEqual([]);
  });
});
