import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { FinishedQuery, SIM_RELEASES, ValidationErrors } from './contract.ts';
import { ArrayDriver } from '../state/array-driver.ts';

const GIB = 1_073_741_824;
const property = z.object({ parsed: z.unknown(), rawvalue: z.string(), value: z.string().nullable(), source: z.string() });
const dataset = z.looseObject({ id: z.string(), used: property, available: property });
const rows = z.array(z.looseObject({ id: z.string() }));

async function items(work: Promise<unknown>): Promise<readonly (readonly unknown[])[]> {
  const error: unknown = await work.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (!(error instanceof ValidationErrors)) throw new Error(`expected ValidationErrors, got ${String(error)}`);
  return error.items;
}

describe.each(SIM_RELEASES)('pool.dataset of %s (truenas-api 9)', (release) => {
  const volume = (driver: ArrayDriver, name: string, data: object = {}) =>
    driver.call('pool.dataset.create', { name, type: 'VOLUME', volsize: GIB, ...data });

  it('refuses what TrueNAS refuses, in its words', async () => {
    const driver = new ArrayDriver({ release });
    const name = 'pool_dataset_create.name';
    expect(await items(volume(driver, 'novolume'))).toEqual([[name, 'You need a full name, e.g. pool/newdataset', 22]]);
    expect(await items(volume(driver, 'tank/none/x'))).toEqual([
      [name, release === '25.04' ? 'Parent dataset does not exist for specified name' : 'Parent dataset (tank/none) does not exist.', 22],
    ]);
    if (release !== '25.04') expect(await items(volume(driver, 'none/x'))).toEqual([[name, 'zpool (none) does not exist.', 22]]);
    expect(await items(volume(driver, 'tank/x', { volsize: GIB + 512 }))).toEqual([
      ['pool_dataset_create.volsize', 'Volume size should be a multiple of volume block size', 22],
    ]);
    await volume(driver, 'tank/x');
    expect(await items(volume(driver, 'tank/x/y'))).toEqual([[name, 'tank/x: parent may not be a ZFS volume', 22]]);
    await expect(volume(driver, 'tank/x')).rejects.toThrow(
      release === '26.0'
        ? "[EFAULT] Failed to create dataset tank/x: cannot create 'tank/x': dataset already exists"
        : '[EFAULT] Failed to create dataset: ',
    );
    await driver.call('pool.dataset.update', 'tank/pve', { readonly: 'ON' });
    expect(await items(volume(driver, 'tank/pve/z'))).toEqual([
      ['pool_dataset_create.readonly', 'Turn off readonly mode on tank/pve to create tank', 22],
    ]);
  });

  it('keeps to 80 % of the available space, sparse or not, unless force_size is given', async () => {
    const driver = new ArrayDriver({ release });
    const text = 'It is not recommended to use more than 80% of your available space for VOLUME';
    for (const sparse of [true, false]) {
      expect(await items(volume(driver, 'tank/big', { volsize: 90 * GIB, sparse }))).toEqual([['pool_dataset_create.volsize', text, 22]]);
    }
    await expect(volume(driver, 'tank/big', { volsize: 900 * GIB, force_size: true })).rejects.toThrow('out of space');
    await expect(volume(driver, 'tank/big', { volsize: 900 * GIB, force_size: true, sparse: true })).resolves.toBeDefined();
  });

  it('reserves a thick volume and nothing for a sparse one', async () => {
    const driver = new ArrayDriver({ release });
    const before = dataset.parse(await driver.call('pool.dataset.get_instance', 'tank'));
    const thick = z
      .looseObject({ refreservation: property, volsize: property, volblocksize: property })
      .parse(await volume(driver, 'tank/thick'));
    expect(thick.refreservation).toMatchObject({ parsed: GIB, rawvalue: String(GIB) });
    expect(thick.volsize).toMatchObject({ parsed: GIB, value: release === '25.04' ? '1G' : '1 GiB' });
    expect(thick.volblocksize).toMatchObject({ parsed: 16_384, value: '16K' });
    const sparse = z.looseObject({ refreservation: property }).parse(await volume(driver, 'tank/sparse', { sparse: true }));
    expect(sparse.refreservation).toMatchObject({ parsed: null, value: null });
    const after = dataset.parse(await driver.call('pool.dataset.get_instance', 'tank'));
    const taken = Number(after.used.parsed) - Number(before.used.parsed);
    expect(taken).toBeGreaterThanOrEqual(GIB);
    expect(taken).toBeLessThan(GIB + 1_048_576);
    expect(Number(before.available.parsed) - Number(after.available.parsed)).toBe(taken);
  });

  it('keeps the size of a volume that is read-only, itself or by its parent, and sets the rest (OpenZFS zvol_set_volsize)', async () => {
    const driver = new ArrayDriver({ release });
    await driver.call('pool.dataset.create', { name: 'tank/pve/v', type: 'VOLUME', volsize: GIB, sparse: true });
    for (const [one, sync] of [
      ['tank/pve', 'ALWAYS'],
      ['tank/pve/v', 'DISABLED'],
    ]) {
      await driver.call('pool.dataset.update', one, { readonly: 'ON' });
      await expect(driver.call('pool.dataset.update', 'tank/pve/v', { volsize: 2 * GIB, sync })).rejects.toThrow(/read-only/);
      const found = await driver.call('pool.dataset.query', [['id', '=', 'tank/pve/v']]);
      expect(found).toMatchObject([{ volsize: { parsed: GIB }, sync: { value: sync } }]);
      await driver.call('pool.dataset.update', one, { readonly: 'OFF' });
    }
    expect(await driver.call('pool.dataset.update', 'tank/pve/v', { volsize: 2 * GIB })).toMatchObject({ volsize: { parsed: 2 * GIB } });
  });

  it('grows but never shrinks a volume, and leaves the reservation of exactly its size as it is', async () => {
    const driver = new ArrayDriver({ release });
    await volume(driver, 'tank/x');
    expect(await items(driver.call('pool.dataset.update', 'tank/x', { volsize: GIB / 2 }))).toEqual([
      ['pool_dataset_update.volsize', 'You cannot shrink a zvol from GUI, this may lead to data loss.', 22],
    ]);
    expect(await items(driver.call('pool.dataset.update', 'tank/x', { volsize: GIB + 512 }))).toEqual([
      ['pool_dataset_update.volsize', 'Volume size should be a multiple of volume block size', 22],
    ]);
    await expect(driver.call('pool.dataset.update', 'tank/x', { volsize: GIB })).resolves.toBeDefined();
    expect(await driver.call('pool.dataset.update', 'tank/x', { volsize: 2 * GIB })).toMatchObject({
      volsize: { parsed: 2 * GIB },
      refreservation: { parsed: GIB },
    });
    expect(await driver.call('pool.dataset.update', 'tank/x', { refreservation: 2 * GIB })).toMatchObject({
      refreservation: { parsed: 2 * GIB },
    });
    // ZFS takes more than the volume can hold (OpenZFS 2.3.9)
    expect(await driver.call('pool.dataset.update', 'tank/x', { refreservation: 3 * GIB })).toMatchObject({
      refreservation: { parsed: 3 * GIB },
    });
    expect(await items(driver.call('pool.dataset.update', 'tank/none', { volsize: GIB }))).toEqual([['id', 'tank/none does not exist', 2]]);
    expect((await items(driver.call('pool.dataset.get_instance', 'tank/none')))[0]).toEqual([
      null,
      'PoolDataset tank/none does not exist',
      2,
    ]);
  });

  it('says readonly to the extent on the volume', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    await driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a' });
    await driver.call('pool.dataset.update', 'tank/pve/a', { readonly: 'ON' });
    expect(await driver.call('iscsi.extent.get_instance', 1)).toMatchObject({ ro: true });
  });

  it('keeps user properties and sets, changes and removes them one by one', async () => {
    const driver = new ArrayDriver({ release });
    await volume(driver, 'tank/x', { user_properties: [{ key: 'pve:owner', value: 'a' }], comments: 'hello' });
    const users = z.looseObject({ user_properties: z.record(z.string(), property) });
    const changed = users.parse(
      await driver.call('pool.dataset.update', 'tank/x', {
        user_properties_update: [
          { key: 'pve:owner', value: 'b' },
          { key: 'pve:other', value: 'c' },
        ],
      }),
    );
    expect(changed.user_properties['pve:owner']?.rawvalue).toBe('b');
    const entry = users.parse(
      await driver.call('pool.dataset.update', 'tank/x', { user_properties_update: [{ key: 'pve:other', remove: true }] }),
    );
    expect(Object.keys(entry.user_properties)).not.toContain('pve:other');
    // 25.10 moved the array's own ones into user_properties
    expect(Object.keys(entry.user_properties).includes('comments')).toBe(release !== '25.04');
    expect(entry['comments'] !== undefined).toBe(release === '25.04');
  });

  it('deletes the exports of a zvol before the zvol, with the target that is left without LUNs', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    await driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a' });
    await driver.call('iscsi.targetextent.create', { target: 1, extent: 1 });
    driver.events.length = 0;
    expect(await driver.call('pool.dataset.delete', 'tank/pve/a')).toBe(true);
    for (const name of ['iscsi.extent.query', 'iscsi.targetextent.query', 'iscsi.target.query'])
      expect(await driver.call(name, [], {})).toEqual([]);
    expect(driver.events.map((event) => [event.msg, event.collection, event.id])).toEqual([
      ['removed', 'iscsi.target.query', 1],
      ['removed', 'pool.dataset.query', 'tank/pve/a'],
    ]);
  });

  it('loses the exports but not the zvol when it is busy; 26.0 answers true all the same', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    await driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a' });
    await driver.array.controls.holdZvol('tank/pve/a', true);
    const remove = driver.call('pool.dataset.delete', 'tank/pve/a');
    if (release === '26.0') expect(await remove).toBe(true);
    else await expect(remove).rejects.toThrow("[EBUSY] Failed to delete dataset: cannot destroy 'tank/pve/a': dataset is busy");
    expect(await driver.call('iscsi.extent.query', [], {})).toEqual([]);
    await expect(driver.call('pool.dataset.get_instance', 'tank/pve/a')).resolves.toBeDefined();
  });

  it('leaves a disabled extent dangling', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    await driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a', enabled: false });
    await driver.call('pool.dataset.delete', 'tank/pve/a');
    expect(await driver.call('iscsi.extent.query', [], {})).toHaveLength(1);
  });

  it('does not delete children or snapshots unless recursive', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    await expect(driver.call('pool.dataset.delete', 'tank/pve')).rejects.toThrow(
      "[ENOTEMPTY] Failed to delete dataset: cannot destroy 'tank/pve': filesystem has children",
    );
    await driver.call(driver.snapshots('create'), { dataset: 'tank/pve/a', name: 's' });
    const remove = driver.call('pool.dataset.delete', 'tank/pve/a');
    if (release === '26.0')
      expect(await items(remove)).toEqual([['zfs.resource.destroy', "'tank/pve/a' has snapshots. Set recursive=True to remove them.", 39]]);
    else await expect(remove).rejects.toThrow("[EFAULT] Failed to delete dataset: cannot destroy 'tank/pve/a': volume has children");
    expect(await driver.call('pool.dataset.delete', 'tank/pve/a', { recursive: true })).toBe(true);
  });

  it('recursive over clones is refused up to 25.10 and destroys the clones on 26.0', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    await driver.call(driver.snapshots('create'), { dataset: 'tank/pve/a', name: 's' });
    await driver.call(driver.snapshots('clone'), { snapshot: 'tank/pve/a@s', dataset_dst: 'tank/pve/b' });
    const remove = driver.call('pool.dataset.delete', 'tank/pve/a', { recursive: true });
    const left = async () =>
      rows
        .parse(await driver.call('pool.dataset.query', [['id', '^', 'tank/pve/']], {}))
        .map((row) => row.id)
        .filter((id) => id.startsWith('tank/pve/'));
    if (release === '26.0') {
      expect(await remove).toBe(true);
      expect(await left()).toEqual([]);
    } else {
      await expect(remove).rejects.toThrow('has dependent clones');
      expect(await left()).toEqual(['tank/pve/a', 'tank/pve/b']);
    }
  });

  it('recursive over a held snapshot is busy up to 25.10 and releases the hold on 26.0', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    await driver.call(driver.snapshots('create'), { dataset: 'tank/pve/a', name: 's' });
    await driver.call(driver.snapshots('hold'), 'tank/pve/a@s');
    const remove = driver.call('pool.dataset.delete', 'tank/pve/a', { recursive: true });
    if (release === '26.0') expect(await remove).toBe(true);
    else await expect(remove).rejects.toThrow('dataset is busy');
  });

  it('promotes clones only', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    if (release === '26.0') {
      expect(await items(driver.call('pool.dataset.promote', 'tank/pve/a'))).toEqual([
        ['zfs.resource.promote', "'tank/pve/a' is ineligible for promotion.", 22],
      ]);
      expect((await items(driver.call('pool.dataset.promote', 'tank/no')))[0]?.[2]).toBe(2);
    } else {
      await expect(driver.call('pool.dataset.promote', 'tank/pve/a')).rejects.toThrow('[EBADMSG] Only cloned datasets can be promoted.');
      await expect(driver.call('pool.dataset.promote', 'tank/no')).rejects.toThrow('[ENOENT] Dataset "tank/no" does not exist.');
    }
    await driver.call(driver.snapshots('create'), { dataset: 'tank/pve/a', name: 's' });
    await driver.call(driver.snapshots('clone'), { snapshot: 'tank/pve/a@s', dataset_dst: 'tank/pve/b' });
    expect(await driver.call('pool.dataset.promote', 'tank/pve/b')).toBeNull();
    expect(await driver.call('pool.dataset.get_instance', 'tank/pve/a')).toMatchObject({ origin: { rawvalue: 'tank/pve/b@s' } });
    expect(await driver.call(driver.snapshots('get_instance'), 'tank/pve/b@s')).toMatchObject({ dataset: 'tank/pve/b' });
  });

  it('renames from 25.10 on, with force only, and sends nothing', async () => {
    const driver = new ArrayDriver({ release });
    expect(driver.has('pool.dataset.rename')).toBe(release !== '25.04');
    if (release === '25.04') return;
    await driver.zvol('a');
    driver.events.length = 0;
    expect((await items(driver.call('pool.dataset.rename', 'tank/pve/a', { new_name: 'tank/pve/b' })))[0]?.[0]).toBe(
      'pool.dataset.rename.force',
    );
    expect(await driver.call('pool.dataset.rename', 'tank/pve/a', { new_name: 'tank/pve/b', force: true })).toBeNull();
    await expect(driver.call('pool.dataset.get_instance', 'tank/pve/b')).resolves.toBeDefined();
    expect(driver.events).toEqual([]);
  });

  it('refuses to rename as libzfs does, in its order; 26.0 looks first whether the names are there', async () => {
    if (release === '25.04') return;
    const driver = new ArrayDriver({ release });
    for (const name of ['a', 'b']) await driver.zvol(name);
    const rename = (id: string, to: string): Promise<unknown> => driver.call('pool.dataset.rename', id, { new_name: to, force: true });
    const is26 = release === '26.0';
    const refusals = [
      ['tank/pve/a', '-r', "cannot create '-r': missing dataset name"],
      // it exists, and yet libzfs looks for a parent first
      ['tank/pve/a', 'tank', is26 ? "'tank' already exists" : "cannot create 'tank': missing dataset name"],
      ['tank/pve/a', 'other/a', "cannot create 'other/a': no such pool 'other'"],
      ['tank/pve/a', 'tank/no/a', "cannot create 'tank/no/a': parent does not exist"],
      ['tank/pve/a', 'tank/pve/a/c', "cannot create 'tank/pve/a/c': parent is not a filesystem"],
      ['tank', 'tank/c', "cannot rename to 'tank/c': datasets must be within same pool"],
      ['tank/pve', 'tank/pve/c', "cannot rename to 'tank/pve/c': New dataset name cannot be a descendant of current dataset name"],
      [
        'tank/pve',
        'tank/pve/a',
        is26
          ? "'tank/pve/a' already exists"
          : "cannot rename to 'tank/pve/a': New dataset name cannot be a descendant of current dataset name",
      ],
      ['tank/pve/a', 'tank/pve/b', is26 ? "'tank/pve/b' already exists" : "cannot rename 'tank/pve/a': dataset already exists"],
      ['tank/pve/no', 'tank/pve/b', is26 ? "'tank/pve/no' not found" : "cannot open 'tank/pve/no': dataset does not exist"],
    ] as const;
    for (const [id, to, said] of refusals) await expect(rename(id, to), `${id} ${to}`).rejects.toThrow(said);
    await expect(driver.call('pool.dataset.get_instance', 'tank/pve/a')).resolves.toBeDefined();
  });

  it('hides its own datasets, repeats children, and ignores filters when counting from 25.10 on', async () => {
    const driver = new ArrayDriver({ release });
    expect((await items(driver.call('pool.dataset.create', { name: 'tank/.system' })))[0]?.[0]).toBe('pool_dataset_create.name');
    await driver.zvol('a');
    const all = z
      .array(z.looseObject({ id: z.string(), children: z.array(z.unknown()) }))
      .parse(await driver.call('pool.dataset.query', [], {}));
    expect(all.map((row) => row.id)).toEqual(['tank', 'tank/pve', 'tank/pve/a']);
    expect(all[0]?.children).toHaveLength(1);
    const flat = { extra: { retrieve_children: false } };
    expect(rows.parse(await driver.call('pool.dataset.query', [], flat)).map((row) => row.id)).toEqual(['tank']);
    expect(rows.parse(await driver.call('pool.dataset.query', [['id', '=', 'tank/pve/a']], flat)).map((row) => row.id)).toEqual([
      'tank/pve/a',
    ]);
    const counted = await driver.call('pool.dataset.query', [['id', '=', 'tank/pve/a']], { count: true });
    if (release === '25.04') expect(counted).toHaveLength(1);
    else expect(counted).toEqual(new FinishedQuery(3));
  });

  it('shows next to nothing free and allocates nothing when the pool is full', async () => {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    driver.array.setPoolFull(true);
    expect(await driver.call('pool.dataset.get_instance', 'tank')).toMatchObject({ available: { parsed: 0 } });
    await expect(volume(driver, 'tank/x', { sparse: true, force_size: true })).rejects.toThrow('out of space');
    await expect(driver.call(driver.snapshots('create'), { dataset: 'tank/pve/a', name: 's' })).rejects.toThrow('out of space');
    driver.array.setPoolFull(false);
    await expect(volume(driver, 'tank/x', { sparse: true })).resolves.toBeDefined();
  });
});

describe('models of pool.dataset.create (truenas-api 2.2)', () => {
  it('reports every arm of the union on 25.10 and the chosen one on 26.0', async () => {
    const data = { name: 'tank/x', type: 'VOLUME' };
    const paths = async (release: '25.10' | '26.0') =>
      (await items(new ArrayDriver({ release }).call('pool.dataset.create', data))).map((one) => one[0]);
    expect(await paths('25.10')).toEqual(['data.PoolDatasetCreateFilesystem.type', 'data.PoolDatasetCreateVolume.volsize']);
    expect(await paths('26.0')).toEqual(['data.VOLUME.volsize']);
  });

  it('takes 0, negative, fractional, huge and textual sizes for wrong', async () => {
    const driver = new ArrayDriver();
    for (const volsize of [0, -1, 1.5, 2 ** 63, '1073741824', null]) {
      await expect(
        driver.call('pool.dataset.create', { name: 'tank/x', type: 'VOLUME', volsize, sparse: true, force_size: true }),
      ).rejects.toThrow();
    }
    expect(rows.parse(await driver.call('pool.dataset.query', [], {})).map((row) => row.id)).not.toContain('tank/x');
  });
});

describe('many zvols', () => {
  it('finds one of many by its id without looking at the others', async () => {
    const driver = new ArrayDriver();
    for (let i = 0; i < 300; i += 1) await driver.zvol(`vm-${i}-disk-0`);
    expect(rows.parse(await driver.call('pool.dataset.query', [['id', '=', 'tank/pve/vm-299-disk-0']], {}))).toHaveLength(1);
    expect(rows.parse(await driver.call('pool.dataset.query', [], { extra: { flat: true } }))).toHaveLength(302);
  });
});
