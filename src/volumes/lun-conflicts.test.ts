import { describe, expect, it } from 'vitest';
import { RefusedError } from '../core/errors.ts';
import { NO_METER, type Meter } from '../core/metrics.ts';
import { FakeHost } from '../host/testing/fake-host.ts';
import { allocate } from './allocate.ts';
import { mapLun } from './export-zvol.ts';
import { free } from './free.ts';
import { FakeArray } from './testing/fake-array.ts';
import { World } from './testing/world.ts';

const GIB = 2 ** 30;
const IQN = 'iqn.2005-10.org.freenas.ctl:pve';

function counting(w: World): () => number {
  let conflicts = 0;
  const meter: Meter = { ...NO_METER, count: (name) => void (conflicts += name === 'pve_truenas_lun_conflicts_total' ? 1 : 0) };
  Object.assign(w.context, { meter });
  return () => conflicts;
}

describe('a LUN that is asked for', () => {
  it('is refused with who has it, and nothing is mapped', async () => {
    const w = new World(new FakeHost());
    w.array.putMapping(1, w.array.putExtent('backup-box', 'tank/other/disk').id, 5);
    await w.warm();
    const extent = w.array.putExtent('pve-x', 'tank/pve/vm-100-disk-0');
    await expect(w.run((context, deadline) => mapLun(context, extent, deadline, 5))).rejects.toMatchObject({
      code: 'LUN_CONFLICT',
      message: `LUN 5 of target '${IQN}' is taken by extent 'backup-box' of 'zvol/tank/other/disk'`,
    });
    expect(w.array.count('createMapping')).toBe(0);
  });

  it('is not refused on what the inventory remembers: the number may be free again', async () => {
    const w = new World(new FakeHost());
    const old = w.array.putMapping(1, w.array.putExtent('gone', 'tank/other/disk').id, 5);
    await w.warm();
    w.array.mappingsById.delete(old.id);
    const extent = w.array.putExtent('pve-x', 'tank/pve/vm-100-disk-0');
    expect(await w.run((context, deadline) => mapLun(context, extent, deadline, 5))).toMatchObject({ lun: 5, extent: extent.id });
  });

  it('is refused with who has it when somebody takes it in between', async () => {
    const w = await new World(new FakeHost()).warm();
    const rival = w.array.putExtent('rival', 'tank/other/disk');
    w.array.before('createMapping', () => w.array.putMapping(1, rival.id, 5));
    const extent = w.array.putExtent('pve-x', 'tank/pve/vm-100-disk-0');
    await expect(w.run((context, deadline) => mapLun(context, extent, deadline, 5))).rejects.toMatchObject({
      code: 'LUN_CONFLICT',
      message: expect.stringContaining("taken by extent 'rival' of 'zvol/tank/other/disk'") as string,
    });
  });

  it('of another target is nobody’s business', async () => {
    const w = new World(new FakeHost());
    w.array.putMapping(2, w.array.putExtent('other-target', 'tank/other/disk').id, 5);
    await w.warm();
    const extent = w.array.putExtent('pve-x', 'tank/pve/vm-100-disk-0');
    expect(await w.run((context, deadline) => mapLun(context, extent, deadline, 5))).toMatchObject({ lun: 5 });
  });
});

describe('two that take one LUN at once', () => {
  it('the later mapping gives way, counts the conflict, logs the other and its new number', async () => {
    const w = await new World(new FakeHost()).warm();
    const conflicts = counting(w);
    const rival = w.array.putExtent('rival', 'tank/other/disk');
    w.array.before('mappingsOfTarget', () => {
      const mine = [...w.array.mappingsById.values()][0]!;
      w.array.mappingsById.set(0, { id: 0, target: 1, extent: rival.id, lun: mine.lun });
    });
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
    const luns = [...w.array.mappingsById.values()].map((mapping) => mapping.lun);
    expect(new Set(luns).size).toBe(2);
    expect(conflicts()).toBe(1);
    expect(w.log.lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        fields: expect.objectContaining({ holder: "extent 'rival' of 'zvol/tank/other/disk'" }) as object,
      }),
    );
    expect(w.log.lines).toContainEqual(
      expect.objectContaining({ message: 'LUN assigned', fields: expect.objectContaining({ lun: luns[1], target: IQN }) as object }),
    );
  });

  it('a mapping that somebody removed at once is made again at another number', async () => {
    const w = await new World(new FakeHost()).warm();
    w.array.before('mappingsOfTarget', () => w.array.mappingsById.clear());
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
    expect(w.array.contents()).toMatchObject({ zvols: 1, extents: 1, mappings: 1 });
  });

  it('says who was in the way when every attempt fails, and leaves nothing', async () => {
    const w = await new World(new FakeHost()).warm();
    const rival = w.array.putExtent('rival', 'tank/other/disk');
    const taken = (): never => {
      throw new RefusedError('LUN_CONFLICT', 'LUN ID is already being used for this target.', { errno: 22 });
    };
    Object.assign(w.array, {
      createMapping: (_target: number, _extent: number, lun: number) => {
        w.array.putMapping(1, rival.id, lun);
        return taken();
      },
    });
    await expect(w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline))).rejects.toMatchObject({
      code: 'LUN_CONFLICT',
      message: expect.stringMatching(
        /^40 LUN numbers of target '.*:pve' in turn were taken by others, the last one, \d+, by extent 'rival'/,
      ) as string,
    });
    expect(w.array.contents()).toMatchObject({ zvols: 0, extents: 1 });
  });
});

it('a target without a free number says so, with how many are mapped', async () => {
  const w = new World(new FakeHost());
  for (let lun = 1; lun <= 16_382; lun += 1) w.array.putMapping(1, 1, lun);
  await w.warm();
  const extent = w.array.putExtent('pve-x', 'tank/pve/vm-100-disk-0');
  await expect(w.run((context, deadline) => mapLun(context, extent, deadline))).rejects.toMatchObject({
    code: 'LUN_EXHAUSTED',
    message: `no free LUN number is left on target '${IQN}': 16382 are mapped, of 1 to 16382 that TrueNAS has`,
  });
});

describe('F-104: a number that was freed rests', () => {
  /** Two nodes at one array; the LUN that the first one's next volume gets after `LUN 1` was freed by the other. */
  async function nextAfterFree(learn: (w: World, mapping: number) => Promise<unknown> | undefined): Promise<number | undefined> {
    const array = new FakeArray();
    const [first, second] = [new World(new FakeHost(), array), new World(new FakeHost(), array)];
    const context = first.context;
    context.inventory.onLunFreed((target, lun) => void context.luns.rest(target, lun));
    await first.warm();
    const volume = await first.run((own, deadline) => allocate(own, { vmid: 100, size: GIB }, deadline));
    const mapping = [...array.mappingsById.values()][0]!;
    await second.run((other, deadline) => free(other, volume, deadline));
    await learn(first, mapping.id);
    // Nothing but the rest keeps the allocator from going round to it.
    const used = new Set(Array.from({ length: 16_382 }, (_unused, n) => n + 1).filter((lun) => lun !== mapping.lun && lun !== 200));
    return context.luns.reserve(1, used, context.config.lunRestMs) ?? undefined;
  }

  it('when the array tells that another node freed it', async () => {
    expect(
      await nextAfterFree((w, id) => {
        w.array.emit({ kind: 'mapping', id, change: 'removed' });
        return undefined;
      }),
    ).toBe(200);
  });

  it('when the next complete read shows that it is gone', async () => {
    expect(await nextAfterFree((w) => w.run((context, deadline) => context.inventory.mappings.reload(deadline)))).toBe(200);
  });

  it('when the session was lost meanwhile and everything is read anew', async () => {
    const learn = (w: World): Promise<void> => {
      w.array.emit({ kind: 'reconnected' });
      return w.run((context, deadline) => context.inventory.ready(context.config.dataset, deadline));
    };
    expect(await nextAfterFree(learn)).toBe(200);
  });

  it('also when its extent was only moved to another number', async () => {
    const w = await new World(new FakeHost()).warm();
    const freed: number[] = [];
    w.context.inventory.onLunFreed((_target, lun) => void freed.push(lun));
    w.context.inventory.mappings.put({ id: 1, target: 1, extent: 1, lun: 5 });
    w.context.inventory.mappings.put({ id: 1, target: 1, extent: 1, lun: 5 });
    w.context.inventory.mappings.put({ id: 1, target: 1, extent: 1, lun: 6 });
    expect(freed).toEqual([5]);
  });

  it('and our own rests before the array is asked to free it, so that a crash in between changes nothing', async () => {
    const w = await new World(new FakeHost()).warm();
    const volume = await w.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
    const order: string[] = [];
    const { luns } = w.context;
    const rest = luns.rest.bind(luns);
    Object.assign(luns, { rest: (target: number, lun: number) => (order.push('rest'), rest(target, lun)) });
    w.array.before('deleteMapping', () => order.push('delete'));
    await w.run((context, deadline) => free(context, volume, deadline));
    expect(order.slice(0, 2)).toEqual(['rest', 'delete']);
  });
});
