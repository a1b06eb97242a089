import { describe, expect, it } from 'vitest';
import { FakeHost } from '../host/testing/fake-host.ts';
import { allocate } from './allocate.ts';
import { FakeArray, type Mishap } from './testing/fake-array.ts';
import { World } from './testing/world.ts';

const GIB = 2 ** 30;
const CHANGES = ['createZvol', 'createExtent', 'createMapping', 'deleteZvol', 'deleteExtent', 'deleteMapping'] as const;
const world = (): Promise<World> => new World(new FakeHost()).warm();

describe('allocate', () => {
  it('F-619: needs three changes and at most two reads with a warm inventory', async () => {
    const { array, ...w } = await warmWorld();
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
    expect(array.calls).toEqual(['createZvol', 'createExtent', 'createMapping', 'mappingsOfTarget']);
  });

  it('takes the lowest number that neither a disk nor a template has (F-306)', async () => {
    const w = await world();
    w.array.putZvol('tank/pve/base-100-disk-0');
    w.array.putZvol('tank/pve/vm-100-disk-1');
    w.array.emit({ kind: 'reconnected' });
    expect(await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline))).toBe('vm-100-disk-2');
  });

  it('keeps the exact size by a smaller block size (F-308, F-309)', async () => {
    const w = await world();
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: 528 * 1024 }, deadline));
    expect(w.array.zvolsById.get('tank/pve/vm-100-disk-0')).toMatchObject({ volsize: 528 * 1024, volblocksize: 16_384 });
    const big = new World(new FakeHost(), new FakeArray(), { volblocksize: 131_072 });
    await big.run((context, deadline) => allocate(context, { vmid: 100, size: 528 * 1024 }, deadline));
    expect(big.array.zvolsById.get('tank/pve/vm-100-disk-0')).toMatchObject({ volsize: 528 * 1024, volblocksize: 16_384 });
  });

  it('takes the next name when another node was faster, but never renames a name asked for (F-323)', async () => {
    const w = await world();
    w.array.before('createZvol', () => w.array.putZvol('tank/pve/vm-100-disk-0'));
    expect(await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline))).toBe('vm-100-disk-1');
    w.array.before('createZvol', () => w.array.putZvol('tank/pve/vm-100-cloudinit'));
    await expect(
      w.run((context, deadline) => allocate(context, { vmid: 100, name: 'vm-100-cloudinit', size: GIB }, deadline)),
    ).rejects.toMatchObject({ code: 'VOLUME_EXISTS' });
    expect(w.array.contents()).toEqual({ zvols: 3, extents: 1, mappings: 1, snapshots: 0 });
  });

  it('gives way when another node mapped the same LUN in between', async () => {
    const w = await world();
    w.array.before('mappingsOfTarget', () => {
      const mine = [...w.array.mappingsById.values()][0]!;
      w.array.mappingsById.set(0, { id: 0, target: 1, extent: 99, lun: mine.lun });
    });
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
    const luns = [...w.array.mappingsById.values()].map((mapping) => mapping.lun);
    expect(new Set(luns).size).toBe(luns.length);
  });

  it('keeps its LUN when the other mapping is the later one', async () => {
    const w = await world();
    w.array.before('mappingsOfTarget', () => {
      const mine = [...w.array.mappingsById.values()][0]!;
      w.array.mappingsById.set(999, { id: 999, target: 1, extent: 99, lun: mine.lun });
    });
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
    expect(w.array.count('createMapping')).toBe(1);
    expect(w.array.count('deleteMapping')).toBe(0);
  });

  it('50 parallel allocations of two nodes give 50 disks at 50 LUNs, no error, no orphan', async () => {
    const array = new FakeArray();
    const nodes = [new World(new FakeHost(), array), new World(new FakeHost(), array)];
    const names = await Promise.all(
      nodes.map((node) =>
        node.run((context, deadline) =>
          Promise.all(Array.from({ length: 25 }, () => allocate(context, { vmid: 100, size: GIB }, deadline))),
        ),
      ),
    ).then((lists) => lists.flat());
    expect(new Set(names).size).toBe(50);
    expect(new Set([...array.mappingsById.values()].map((mapping) => mapping.lun)).size).toBe(50);
    expect(array.contents()).toEqual({ zvols: 50, extents: 50, mappings: 50, snapshots: 0 });
  });

  it('refuses when the service is stopped, since changes would export nothing', async () => {
    const w = new World(new FakeHost());
    w.array.service.running = false;
    await expect(w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline))).rejects.toMatchObject({
      code: 'SERVICE_STOPPED',
    });
    expect(w.array.count(...CHANGES)).toBe(0);
  });

  it.each([0, -1, 1.5, 511, 513, Number.NaN, 2 ** 63, Number.MAX_SAFE_INTEGER + 1])(
    'refuses the size %s and changes nothing',
    async (size) => {
      const w = await world();
      await expect(w.run((context, deadline) => allocate(context, { vmid: 100, size }, deadline))).rejects.toMatchObject({
        code: 'SIZE_INVALID',
      });
      expect(w.array.calls).toEqual([]);
    },
  );

  it.each([
    '',
    'vm-101-disk-0',
    'base-100-disk-0',
    'vm-100-a/b',
    '../x',
    'vm-100-a b',
    'vm-100-a,b',
    'vm-100-\0',
    `vm-100-${'x'.repeat(300)}`,
    'vol-vm-100-disk-0-lun1',
    'base-99-x/vm-100-y',
  ])('refuses the name %j and changes nothing', async (name) => {
    const w = await world();
    await expect(w.run((context, deadline) => allocate(context, { vmid: 100, name, size: GIB }, deadline))).rejects.toMatchObject({
      code: 'NAME_INVALID',
    });
    expect(w.array.calls).toEqual([]);
  });

  describe('F-302, F-314: whatever befalls a change, there is one whole disk or nothing', () => {
    for (const method of ['createZvol', 'createExtent', 'createMapping', 'mappingsOfTarget'] as const) {
      for (const mishap of ['before', 'after', 'down'] satisfies Mishap[]) {
        it(`${method}: ${mishap}`, async () => {
          const w = await world();
          w.array.plan(method, mishap);
          const outcome = await w
            .run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline))
            .then(
              (name) => name,
              () => null,
            );
          const { zvols, extents, mappings } = w.array.contents();
          expect({ zvols, extents, mappings }).toEqual(
            outcome === null ? { zvols: 0, extents: 0, mappings: 0 } : { zvols: 1, extents: 1, mappings: 1 },
          );
          if (outcome !== null) expect(w.journal.open.size).toBe(0);
        });
      }
    }
  });

  it('F-056: a create without answer is looked for by its mark before anything is sent again', async () => {
    const w = await world();
    w.array.plan('createZvol', 'after');
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
    expect(w.array.calls.slice(0, 3)).toEqual(['createZvol', 'zvol', 'createExtent']);
  });

  it('leaves an operation to be settled when it can neither finish nor take back', async () => {
    const w = await world();
    w.array.plan('createMapping', 'down');
    w.array.plan('extentByName', 'down');
    await expect(w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline))).rejects.toMatchObject({
      state: expect.stringContaining('may be left on TrueNAS') as string,
    });
    expect(w.journal.left).toHaveLength(1);
  });
});

async function warmWorld(): Promise<{ array: FakeArray; run: World['run'] }> {
  const w = await world();
  return { array: w.array, run: (work) => w.run(work) };
}
