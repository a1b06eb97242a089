import { describe, expect, it } from 'vitest';
import type { NodeState, TrueNasDevice } from '../../core/leftovers-port.ts';
import { FakeHost } from '../../host/testing/fake-host.ts';
import { FakeArray } from '../testing/fake-array.ts';
import { World } from '../testing/world.ts';
import { readFacts } from './facts.ts';
import { findNodeOrphans, type JudgedStorage, nodeNotes } from './find-node.ts';
import { MemoryGuests } from './testing/memory-guests.ts';
import { type Bed, NOW, Planter } from './testing/planter.ts';

const BED: Bed = { storage: 'tn', dataset: 'tank/pve', target: 1 };
const IQN = 'iqn.2005-10.org.freenas.ctl:pve';
const NAA = `6589cfc000000${'b'.repeat(19)}`;
const NOTHING: NodeState = { links: [], records: [], devices: [], initiatorRecords: [] };

async function storage(plant: (planter: Planter) => void = () => undefined, more: Partial<JudgedStorage> = {}): Promise<JudgedStorage> {
  const array = new FakeArray();
  const planter = new Planter(array, new MemoryGuests());
  plant(planter);
  const world = new World(new FakeHost(), array);
  const facts = await world.run((context, deadline) => readFacts(context, { guests: planter.guests, elsewhere: new Set() }, deadline));
  return { id: 'tn', config: world.context.config, facts, portals: [{ host: '127.0.0.1', port: 3260 }], ...more };
}
const found = (state: Partial<NodeState>, storages: readonly JudgedStorage[]): string[] =>
  findNodeOrphans({ now: NOW, state: { ...NOTHING, ...state }, storages, open: [] }).map(
    (one) => `${one.kind} ${one.name} ${one.certainty}`,
  );
const link = (volume: string, naa: string | null = NAA, name = 'tn') => ({
  storage: name,
  volume,
  naa,
  text: `/dev/disk/by-id/wwn-0x${naa ?? ''}`,
});
const device = (more: Partial<TrueNasDevice> = {}): TrueNasDevice => ({
  address: '3:0:0:1',
  block: 'sda',
  naa: NAA,
  size: 2 ** 30,
  iqn: IQN,
  portals: ['127.0.0.1:3260'],
  ...more,
});

describe('what is left on a node', () => {
  it('a link is stale when its volume is gone, for certain only where the storage was seen', async () => {
    const seen = await storage((planter) => void planter.volume(BED, 0));
    expect(found({ links: [link('vm-100-disk-0'), link('vm-101-disk-0')] }, [seen])).toEqual(['stale-link tn/vm-101-disk-0 certain']);
    expect(found({ records: [link('vm-101-disk-0', null)] }, [seen])).toEqual(['stale-record tn/vm-101-disk-0 certain']);
    const unseen = { ...seen, facts: null };
    expect(found({ links: [link('vm-101-disk-0')] }, [unseen])).toEqual([]);
    expect(nodeNotes({ now: NOW, state: NOTHING, storages: [unseen], open: [] }).join()).toContain('tn were not judged');
  });

  it('a link of a storage that is not configured any more is only likely', async () => {
    expect(found({ links: [link('vm-101-disk-0', NAA, 'gone')] }, [await storage()])).toEqual(['stale-link gone/vm-101-disk-0 likely']);
  });

  it('a link whose identity an extent still has is only likely', async () => {
    const seen = await storage((planter) => {
      const extent = planter.array.putExtent('theirs', 'data/x');
      planter.array.extentsById.set(extent.id, { ...extent, naa: `0x${NAA.toUpperCase()}` });
    });
    expect(found({ links: [link('vm-101-disk-0')] }, [seen])).toEqual(['stale-link tn/vm-101-disk-0 likely']);
  });

  it('what is no name of a volume is not ours', async () => {
    expect(found({ links: [link('backup'), link('.x.tmp')] }, [await storage()])).toEqual([]);
  });

  it('a device is stale when no extent of its array has its identity, and never more than likely', async () => {
    const seen = await storage();
    expect(found({ devices: [device()] }, [seen])).toEqual(['stale-device /dev/sda likely']);
    // its link takes it along
    expect(found({ devices: [device()], links: [link('vm-101-disk-0')] }, [seen])).toEqual(['stale-link tn/vm-101-disk-0 certain']);
  });

  it.each([
    ['F-102: the same target name behind another portal', { portals: ['10.0.0.9:3260'] }],
    ['a target that no storage uses', { iqn: 'iqn.2005-10.org.freenas.ctl:pve-16k' }],
  ])('a device of %s is nobody’s business', async (_what, more) => {
    expect(found({ devices: [device(more)] }, [await storage()])).toEqual([]);
  });

  it('a device that an extent of the array has, on whatever target, is not stale', async () => {
    const seen = await storage((planter) => {
      const extent = planter.array.putExtent('theirs', 'data/x');
      planter.array.extentsById.set(extent.id, { ...extent, naa: `0x${NAA}` });
    });
    expect(found({ devices: [device()] }, [seen])).toEqual([]);
    expect(found({ devices: [device()] }, [{ ...seen, facts: null }])).toEqual([]);
  });

  it('an initiator record is reported only when it is like ours, idle, and no storage uses it', async () => {
    const seen = await storage();
    const record = { iqn: 'iqn.2005-10.org.freenas.ctl:old', host: '10.0.0.1', port: 3260, likeOurs: true, loggedIn: false };
    expect(found({ initiatorRecords: [record] }, [seen])).toEqual([
      'initiator-record iqn.2005-10.org.freenas.ctl:old at 10.0.0.1:3260 unsure',
    ]);
    for (const more of [{ likeOurs: false }, { loggedIn: true }, { iqn: IQN, host: '127.0.0.1' }])
      expect(found({ initiatorRecords: [{ ...record, ...more }] }, [seen])).toEqual([]);
    for (const unknown of [{ config: null }, { facts: null }, { portals: null }])
      expect(found({ initiatorRecords: [record] }, [seen, { ...seen, id: 'b', ...unknown }])).toEqual([]);
  });

  it('an open operation is an orphan when its storage is gone from storage.cfg', async () => {
    const operation = {
      id: '7d444840-9dc0-41d1-b245-5ffdce74fad2',
      kind: 'allocate',
      begun: NOW - 5000,
      node: 'pve1',
      storage: 'gone',
      section: {},
      zvol: 'tank/x/vm-1-disk-0',
    } as const;
    const facts = { now: NOW, state: NOTHING, storages: [await storage()], open: [operation, { ...operation, storage: 'tn' }] };
    expect(findNodeOrphans(facts)).toMatchObject([
      { kind: 'open-operation', certainty: 'likely', createdAt: NOW / 1000 - 5, subject: { type: 'report' } },
    ]);
  });
});
