import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlockStore } from '../../blocks/block-store.ts';
import { cloneSnapshot, promoteClone } from './clones.ts';
import { Datasets } from './datasets.ts';
import { Snapshots } from './snapshots.ts';
import { SpaceAccounting } from './space.ts';
import { ZfsError } from './zfs-error.ts';
import { parentName, ZfsState } from './zfs-state.ts';

const MIB = 1_048_576;
const NAMES = ['tank/a', 'tank/b', 'tank/c', 'tank/d'] as const;
const SHORT = ['s1', 's2', 's3'] as const;

/** Volumes that grow when written to, so that accounting has something to count. */
class WrittenBlocks implements BlockStore {
  readonly live = true;
  private readonly bytes = new Map<string, number>();
  create(key: string): Promise<void> {
    this.bytes.set(key, 0);
    return Promise.resolve();
  }
  resize(): Promise<void> {
    return Promise.resolve();
  }
  ensure(): Promise<void> {
    return Promise.resolve();
  }
  prune(): Promise<void> {
    return Promise.resolve();
  }
  copy(from: string, to: string): Promise<void> {
    this.bytes.set(to, this.allocated(from));
    return Promise.resolve();
  }
  restore(snapshot: string, key: string): Promise<void> {
    return this.copy(snapshot, key);
  }
  remove(key: string): Promise<void> {
    this.bytes.delete(key);
    return Promise.resolve();
  }
  allocated(key: string): number {
    return this.bytes.get(key) ?? 0;
  }
  write(key: string, bytes: number): void {
    this.bytes.set(key, bytes);
  }
  keys(): string[] {
    return [...this.bytes.keys()];
  }
}

class World {
  readonly blocks = new WrittenBlocks();
  readonly state = new ZfsState({
    pool: 'tank',
    size: 2048 * MIB,
    blocks: this.blocks,
    now: () => 1_800_000_000_000,
    changed: () => undefined,
  });
  readonly space = new SpaceAccounting(this.state);
  readonly datasets = new Datasets(this.state, this.space);
  readonly snapshots = new Snapshots(this.state, this.space, this.datasets);

  /** Runs an operation; that ZFS refuses it is fine, anything else is not. A refused one must have changed nothing. */
  async attempt(work: () => unknown): Promise<void> {
    const before = JSON.stringify(this.state.dump());
    try {
      await this.state.transaction(() => Promise.resolve(work()));
    } catch (error) {
      if (!(error instanceof ZfsError)) throw error;
      expect(JSON.stringify(this.state.dump())).toBe(before);
    }
  }

  check(): void {
    const dump = this.state.dump();
    const guids = new Map(dump.datasets.map((one) => [one.guid, one]));
    const snapshots = new Map(dump.snapshots.map((one) => [one.guid, one]));
    for (const one of dump.snapshots) expect(guids.has(one.dataset)).toBe(true);
    for (const one of dump.datasets) {
      const parent = parentName(one.name);
      if (parent !== null) expect(this.state.dataset(parent)).toBeDefined();
      if (one.origin !== null) {
        const origin = snapshots.get(one.origin);
        expect(origin).toBeDefined();
        expect(origin?.dataset).not.toBe(one.guid);
        expect(this.state.clones(origin!)).toContain(one.name);
      }
    }
    for (const one of dump.snapshots) {
      for (const clone of this.state.clones(one)) expect(this.state.dataset(clone)?.origin).toBe(one.guid);
    }
    // no file without its record
    for (const key of this.blocks.keys()) expect(guids.has(key) || snapshots.has(key)).toBe(true);
    this.space.refresh();
    let usedByChildren = 0;
    for (const record of this.state.datasets()) {
      const space = this.space.of(record);
      for (const [name, value] of Object.entries(space)) expect(value, `${name} of ${record.name}`).toBeGreaterThanOrEqual(0);
      expect(space.used).toBe(space.usedbychildren + space.usedbydataset + space.usedbyrefreservation + space.usedbysnapshots);
      if (record.name !== 'tank') usedByChildren += space.used;
    }
    expect(this.space.of(this.state.mustDataset('tank')).usedbychildren).toBe(usedByChildren);
    const pool = this.space.pool();
    expect(pool.allocated + pool.free).toBe(pool.size);
    // what is stored can be loaded again and is the same
    const again = new ZfsState({ pool: 'tank', size: 2048 * MIB, blocks: this.blocks, now: () => 0, changed: () => undefined });
    again.load(JSON.parse(JSON.stringify(dump)));
    const byGuid = (value: { guid: string }[]) => [...value].sort((a, b) => a.guid.localeCompare(b.guid));
    expect(byGuid(again.dump().datasets)).toEqual(byGuid(dump.datasets));
    expect(byGuid(again.dump().snapshots)).toEqual(byGuid(dump.snapshots));
  }
}

const name = fc.constantFrom(...NAMES);
const short = fc.constantFrom(...SHORT);
const yes = fc.boolean();
const operation = fc.oneof(
  fc.record({ kind: fc.constant('create' as const), name, thick: yes, mib: fc.integer({ min: 1, max: 700 }) }),
  fc.record({ kind: fc.constant('write' as const), name, mib: fc.integer({ min: 0, max: 300 }) }),
  fc.record({ kind: fc.constant('grow' as const), name, mib: fc.integer({ min: 1, max: 900 }) }),
  fc.record({ kind: fc.constant('destroy' as const), name }),
  fc.record({ kind: fc.constant('destroy-tree' as const), name }),
  fc.record({ kind: fc.constant('snapshot' as const), name, short }),
  fc.record({ kind: fc.constant('destroy-snapshot' as const), name, short, defer: yes }),
  fc.record({ kind: fc.constant('clone' as const), name, short, to: name }),
  fc.record({ kind: fc.constant('promote' as const), name }),
  fc.record({ kind: fc.constant('rollback' as const), name, short, recursive: yes, clones: yes }),
  fc.record({ kind: fc.constant('hold' as const), name, short }),
  fc.record({ kind: fc.constant('release' as const), name, short }),
  fc.record({ kind: fc.constant('rename' as const), name, to: name }),
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

function run(world: World, op: Operation): unknown {
  const { state, datasets, snapshots } = world;
  switch (op.kind) {
    case 'create':
      return datasets.create({
        name: op.name,
        type: 'VOLUME',
        properties: { volsize: String(op.mib * MIB), volblocksize: '16384', refreservation: op.thick ? String(op.mib * MIB) : '0' },
        userProperties: {},
        createAncestors: false,
      });
    case 'write': {
      const record = state.mustDataset(op.name);
      world.blocks.write(record.guid, Math.min(op.mib * MIB, Number(record.properties['volsize'])));
      return undefined;
    }
    case 'grow':
      return datasets.setProperties(op.name, { volsize: String(op.mib * MIB) });
    case 'destroy':
      return datasets.destroy(op.name);
    case 'destroy-tree':
      return snapshots.destroyTree(op.name);
    case 'snapshot':
      return snapshots.take([op.name], op.short, {});
    case 'destroy-snapshot':
      return snapshots.destroy(`${op.name}@${op.short}`, op.defer);
    case 'clone':
      return cloneSnapshot(state, `${op.name}@${op.short}`, op.to, {});
    case 'promote':
      promoteClone(state, op.name);
      return undefined;
    case 'rollback':
      return snapshots.rollback(`${op.name}@${op.short}`, { recursive: op.recursive, recursiveClones: op.clones });
    case 'hold':
      snapshots.hold(`${op.name}@${op.short}`, 'truenas');
      return undefined;
    case 'release':
      return snapshots.release(`${op.name}@${op.short}`, null);
    case 'rename':
      datasets.rename(op.name, op.to);
      return undefined;
  }
}

describe('ZFS state machine', () => {
  it('keeps its accounting, clone relations and files whatever is done in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 40 }), async (operations) => {
        const world = new World();
        for (const op of operations) await world.attempt(() => run(world, op));
        world.check();
      }),
      { numRuns: 150 },
    );
  }, 120_000);

  it('refuses a stored state that does not fit together', () => {
    const world = new World();
    const good = world.state.dump();
    const load = (data: unknown) => () => new World().state.load(data);
    expect(load(good)).not.toThrow();
    const [root] = good.datasets;
    for (const bad of [
      null,
      {},
      { ...good, pool: 'other' },
      { ...good, datasets: [] },
      { ...good, datasets: [root, root] },
      { ...good, datasets: [root, { ...root, guid: '5', name: 'tank/x/y' }] },
      { ...good, datasets: [root, { ...root, guid: '5', name: 'tank/x', origin: '77' }] },
      { ...good, datasets: [{ ...root, createtxg: -1 }] },
      {
        ...good,
        snapshots: [
          {
            guid: '9',
            dataset: '8',
            name: 's',
            createtxg: 1,
            creation: 1,
            userProperties: {},
            holds: {},
            deferred: false,
            referenced: 0,
            volsize: null,
          },
        ],
      },
    ]) {
      expect(load(bad)).toThrow();
    }
  });
});
