import { describe, expect, it } from 'vitest';
import type { DatasetInfo } from '../core/array-port.ts';
import { RefusedError } from '../core/errors.ts';
import { GIB } from '../core/sizes.ts';
import { FakeHost } from '../host/testing/fake-host.ts';
import type { StorageConfig } from '../config/storage-config.ts';
import { allocate } from './allocate.ts';
import { resize } from './resize.ts';
import { insufficientSpace, needOfGrowth, needOfNew, weighSpace } from './space.ts';
import { FakeArray } from './testing/fake-array.ts';
import { World } from './testing/world.ts';

const THICK = { sparse: false } as const;
const DISK = 'vm-100-disk-0';

function dataset(available: number, more: Partial<DatasetInfo> = {}): DatasetInfo {
  return { ...new FakeArray().dataset_, available, ...more };
}

async function world(available: number, config: Partial<StorageConfig> = {}, more: Partial<DatasetInfo> = {}): Promise<World> {
  const w = new World(new FakeHost(), new FakeArray(), config);
  w.array.dataset_ = dataset(available, more);
  return w.warm();
}

const allocating = (w: World, size: number): Promise<string> =>
  w.run((context, deadline) => allocate(context, { vmid: 100, size }, deadline));

describe('the refusal for lack of space', () => {
  const refusal = (config: Partial<StorageConfig>, info: DatasetInfo, above: DatasetInfo[] = [], size = 10 * GIB): string[] => {
    const { context } = new World(new FakeHost(), new FakeArray(), config);
    return insufficientSpace(context, needOfNew(context, size), { info, above }).message.split('\n');
  };
  const proxmox = (available: number, more: Partial<DatasetInfo> = {}): DatasetInfo => dataset(available, { id: 'tank/proxmox', ...more });

  it('has exactly the form that was asked for', () => {
    expect(refusal({ ...THICK, forceSize: true }, proxmox(8.5 * GIB))).toEqual([
      "Insufficient space on dataset 'tank/proxmox':",
      '  Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)',
      '  Available: 8.50 GB',
      '  Shortfall: 3.50 GB',
    ]);
  });

  it('names the rule of TrueNAS where that forbids it, with what lifts it', () => {
    expect(refusal({}, proxmox(8.5 * GIB)).slice(0, 4)).toEqual(refusal({ ...THICK, forceSize: true }, proxmox(8.5 * GIB)));
    expect(refusal({}, proxmox(12.2 * GIB))).toEqual([
      "Insufficient space on dataset 'tank/proxmox':",
      '  Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)',
      '  Available: 12.20 GB',
      '  Shortfall: 307.20 MB',
      '  Limit: 9.76 GB (TrueNAS lets one volume take at most 80% of the available space; truenas-force-size 1 lifts this)',
    ]);
  });

  it('leaves the overhead out where it is switched off', () => {
    expect(refusal({ ...THICK, forceSize: true, spaceOverheadPercent: 0 }, proxmox(8 * GIB)).slice(1)).toEqual([
      '  Requested: 10.00 GB',
      '  Available: 8.00 GB',
      '  Shortfall: 2.00 GB',
    ]);
  });

  it.each([
    ['its own', proxmox(8.5 * GIB, { quota: 20 * GIB, used: 11.5 * GIB }), [], "20.00 GB on 'tank/proxmox' (11.50 GB used)"],
    [
      'that of a parent',
      proxmox(8.5 * GIB),
      [dataset(9 * GIB, { id: 'tank', quota: 100 * GIB, used: 91.5 * GIB })],
      "100.00 GB on 'tank' (91.50 GB used)",
    ],
    [
      'the tighter of two',
      proxmox(8.5 * GIB, { quota: 20 * GIB, used: 11.5 * GIB }),
      [dataset(9 * GIB, { id: 'tank', quota: 100 * GIB, used: 99 * GIB })],
      "100.00 GB on 'tank' (99.00 GB used)",
    ],
  ])('names the quota when it is what limits: %s', (_what, info, above, text) => {
    expect(refusal({ ...THICK, forceSize: true }, info, above)).toContain(`  Quota: ${text}`);
  });

  it('does not blame a quota that leaves more than the pool has', () => {
    const lines = refusal({ ...THICK, forceSize: true }, proxmox(8.5 * GIB, { quota: 500 * GIB, used: 11 * GIB }));
    expect(lines.join()).not.toContain('Quota');
  });

  it('says what must be freed, and offers only settings that would help', () => {
    const { context } = new World(new FakeHost());
    const hints = (config: Partial<StorageConfig>, available: number): string => {
      const own = { ...context, config: { ...context.config, ...config } };
      return insufficientSpace(own, needOfNew(own, 10 * GIB), { info: proxmox(available), above: [] }).hints.join('\n');
    };
    expect(hints({}, 8.5 * GIB)).toMatch(/^free 4\.00 GB on 'tank\/proxmox'/); // 12.5 GB, so that 10 GB are 80 % of it
    expect(hints({}, 8.5 * GIB)).toContain('pvesm set tn --truenas-force-size 1');
    expect(hints(THICK, 8.5 * GIB)).not.toContain('truenas-force-size');
    expect(hints({ ...THICK, forceSize: true }, 11 * GIB)).toContain('truenas-space-overhead');
    expect(hints({ ...THICK, forceSize: true }, 8.5 * GIB)).not.toContain('truenas-space-overhead');
  });
});

describe('what fits', () => {
  const fits = (config: Partial<StorageConfig>, size: number, available: number): boolean => {
    const { context } = new World(new FakeHost(), new FakeArray(), config);
    return weighSpace(context, needOfNew(context, size), available).fits;
  };

  it.each([
    ['thin, 80 %', {}, 8 * GIB, 10 * GIB, true],
    ['thin, a byte above 80 %', {}, 8 * GIB + 512, 10 * GIB, false],
    ['F-370: thin, 1.2 times its size is not there and not needed', { spaceOverheadPercent: 100 }, 8 * GIB, 10 * GIB, true],
    ['thin and forced: more than there is', { forceSize: true }, 100 * GIB, 10 * GIB, true],
    ['thick, with overhead', { ...THICK, spaceOverheadPercent: 25 }, 8 * GIB, 10 * GIB, true],
    ['thick, the overhead is missing', { ...THICK, spaceOverheadPercent: 26 }, 8 * GIB, 10 * GIB, false],
    ['thick and forced, with overhead', { ...THICK, forceSize: true }, 10 * GIB, 12 * GIB, true],
    ['thick and forced, without', { ...THICK, forceSize: true }, 10 * GIB, 12 * GIB - 1, false],
    ['thick and forced, overhead switched off', { ...THICK, forceSize: true, spaceOverheadPercent: 0 }, 10 * GIB, 10 * GIB, true],
  ])('%s', (_what, config, size, available, expected) => expect(fits(config, size, available)).toBe(expected));

  it('growth is judged as TrueNAS does: the whole volume against what is available and its own', () => {
    const { context } = new World(new FakeHost());
    const thin = { volsize: 8 * GIB, used: 5 * GIB };
    expect(weighSpace(context, needOfGrowth(context, thin, 12 * GIB), 10 * GIB).fits).toBe(true);
    expect(weighSpace(context, needOfGrowth(context, thin, 12 * GIB + 512), 10 * GIB)).toMatchObject({ fits: false, limit: 12 * GIB });
  });

  it('a volume that uses less than its size is thin, whatever new ones are (F-370)', () => {
    const { context } = new World(new FakeHost(), new FakeArray(), { ...THICK, forceSize: true });
    expect(needOfGrowth(context, { volsize: 8 * GIB, used: 5 * GIB }, 12 * GIB).thick).toBe(false);
    expect(needOfGrowth(context, { volsize: 8 * GIB, used: 8 * GIB }, 12 * GIB)).toMatchObject({ thick: true, requested: 4 * GIB });
  });

  it('no growth needs nothing, however full it is', () => {
    const { context } = new World(new FakeHost());
    expect(weighSpace(context, needOfGrowth(context, { volsize: 8 * GIB, used: 8 * GIB }, 8 * GIB), 0).fits).toBe(true);
  });
});

describe('allocate', () => {
  it('asks nothing when it clearly fits, also by numbers of a minute ago', async () => {
    const w = await world(100 * GIB);
    await w.clock.advance(50_000);
    await allocating(w, 10 * GIB);
    expect(w.array.calls).toEqual(['createZvol', 'createExtent', 'createMapping', 'mappingsOfTarget']);
  });

  it('reads the dataset once when it fits narrowly by old numbers, not by new ones', async () => {
    const w = await world(14 * GIB);
    await allocating(w, 10 * GIB);
    expect(w.array.count('datasets')).toBe(0);
    await w.clock.advance(6_000);
    await allocating(w, 10 * GIB);
    expect(w.array.count('datasets')).toBe(1);
  });

  it('never refuses on old numbers: space that was freed meanwhile counts', async () => {
    const w = await world(1 * GIB);
    w.array.dataset_ = dataset(100 * GIB);
    await allocating(w, 10 * GIB);
    expect(w.array.count('datasets')).toBe(1);
    expect(w.array.contents()).toMatchObject({ zvols: 1 });
  });

  it('refuses before the first change, with one read, and says so', async () => {
    const w = await world(8.5 * GIB);
    await expect(allocating(w, 10 * GIB)).rejects.toMatchObject({
      code: 'NO_SPACE',
      state: 'nothing was changed',
      message: expect.stringContaining('Shortfall: 3.50 GB') as string,
    });
    expect(w.array.count('datasets', 'dataset')).toBe(1);
    expect(w.array.count('createZvol', 'createExtent', 'createMapping')).toBe(0);
  });

  it('several thick volumes in a row count what the ones before took, without another read', async () => {
    const w = await world(100 * GIB, { ...THICK, forceSize: true });
    for (let n = 0; n < 3; n += 1) await allocating(w, 30 * GIB);
    // 10 GB are left; the array of this test would take it
    w.array.dataset_ = dataset(10 * GIB);
    await expect(allocating(w, 9 * GIB)).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(w.array.contents()).toMatchObject({ zvols: 3 });
  });

  it('warns when a thin volume is larger than what is there, and makes it', async () => {
    const w = await world(5 * GIB, { forceSize: true });
    await allocating(w, 10 * GIB);
    expect(w.log.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringContaining('the volume can grow beyond what is there') as string }),
    );
  });

  it.each([
    ["TrueNAS's words", 'It is not recommended to use more than 80% of your available space for VOLUME'],
    ["libzfs's", 'out of space'],
  ])('tells the refusal of a race in the same form, with numbers read now and %s', async (_whose, words) => {
    const w = await world(100 * GIB);
    Object.assign(w.array, {
      createZvol: () => {
        w.array.dataset_ = dataset(8.5 * GIB);
        return Promise.reject(new RefusedError('NO_SPACE', `create zvol tank/pve/${DISK}: ${words}`, { errno: 28 }));
      },
    });
    await expect(allocating(w, 10 * GIB)).rejects.toMatchObject({
      code: 'NO_SPACE',
      state: 'nothing was changed',
      message: expect.stringMatching(
        /^Insufficient space on dataset 'tank\/pve':\n {2}Requested: 10\.00 GB .*\n {2}Available: 8\.50 GB\n {2}Shortfall: 3\.50 GB\n/,
      ) as string,
    });
    await expect(allocating(w, 10 * GIB)).rejects.toThrow('Available: 8.50 GB');
  });

  it('keeps the array’s words when its numbers do not explain the refusal, and when they cannot be read', async () => {
    const w = await world(100 * GIB);
    Object.assign(w.array, { createZvol: () => Promise.reject(new RefusedError('NO_SPACE', 'create zvol: out of space', { errno: 28 })) });
    await expect(allocating(w, 10 * GIB)).rejects.toThrow(/Shortfall: none by these numbers, .*\n {2}TrueNAS: create zvol: out of space/);
    w.array.plan('datasets', 'down');
    await expect(allocating(w, 10 * GIB)).rejects.toMatchObject({ code: 'NO_SPACE', message: 'create zvol: out of space' });
  });
});

describe('resize', () => {
  async function withDisk(available: number, config: Partial<StorageConfig> = {}): Promise<World> {
    const w = await world(1000 * GIB, config);
    await w.run((context, deadline) => allocate(context, { vmid: 100, size: 8 * GIB }, deadline));
    w.array.dataset_ = dataset(available);
    await w.run((context, deadline) => context.inventory.refreshDataset('tank/pve', deadline));
    w.array.calls.length = 0;
    return w;
  }
  const growing = (w: World, size: number): Promise<number> => w.run((context, deadline) => resize(context, DISK, size, deadline));

  it('needs one change and no read where it clearly fits', async () => {
    const w = await withDisk(100 * GIB);
    await growing(w, 12 * GIB);
    expect(w.array.calls).toEqual(['resizeZvol']);
  });

  it('keeps a thick volume thick by a second call, because ZFS leaves a reservation of exactly its size as it is', async () => {
    const w = await withDisk(100 * GIB, THICK);
    const [zvol] = w.array.zvolsById.values();
    if (zvol === undefined) throw new Error('no zvol');
    const thick = { ...zvol, used: zvol.volsize };
    w.array.zvolsById.set(zvol.id, thick);
    await w.run((context) => {
      context.inventory.zvolCollection('tank/pve').put(thick);
      return Promise.resolve();
    });
    await growing(w, 12 * GIB);
    expect(w.array.calls).toEqual(['resizeZvol', 'reserveZvol']);
    expect(w.array.zvolsById.get(zvol.id)).toMatchObject({ volsize: 12 * GIB, used: 12 * GIB });
  });

  it('asks for the growth, and names the rule for the whole volume', async () => {
    const w = await withDisk(8.5 * GIB);
    await expect(growing(w, 18 * GIB)).rejects.toMatchObject({
      code: 'NO_SPACE',
      state: 'nothing was changed',
      message: expect.stringContaining('Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)') as string,
    });
    expect(w.array.count('resizeZvol')).toBe(0);
  });

  it('growing to the size it has is let through on a full dataset and with a stopped service', async () => {
    const w = await withDisk(0);
    w.array.service.running = false;
    await growing(w, 8 * GIB);
    expect(w.array.calls).toEqual([]);
  });

  it('tells the refusal of a race in the same form', async () => {
    const w = await withDisk(100 * GIB);
    Object.assign(w.array, {
      resizeZvol: () => {
        w.array.dataset_ = dataset(1 * GIB);
        return Promise.reject(new RefusedError('NO_SPACE', `resize zvol: out of space`, { errno: 28 }));
      },
    });
    await expect(growing(w, 18 * GIB)).rejects.toThrow(/Requested: 10\.00 GB .*\n {2}Available: 1\.00 GB\n {2}Shortfall: 11\.00 GB\n/);
  });
});
