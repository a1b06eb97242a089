import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { SIM_RELEASES, ValidationErrors } from './contract.ts';
import { ArrayDriver } from '../state/array-driver.ts';

const VOLUME = 'tank/pve/a';
const rows = z.array(z.looseObject({ id: z.string(), properties: z.record(z.string(), z.unknown()), holds: z.unknown().optional() }));

async function items(work: Promise<unknown>): Promise<readonly (readonly unknown[])[]> {
  const error: unknown = await work.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (!(error instanceof ValidationErrors)) throw new Error(`expected ValidationErrors, got ${String(error)}`);
  return error.items;
}

describe.each(SIM_RELEASES)('snapshots of %s (truenas-api 10)', (release) => {
  const modern = release === '26.0';

  async function prepared(...snapshots: readonly string[]): Promise<ArrayDriver> {
    const driver = new ArrayDriver({ release });
    await driver.zvol('a');
    for (const name of snapshots) await driver.call(driver.snapshots('create'), { dataset: VOLUME, name });
    driver.events.length = 0;
    return driver;
  }
  const names = async (driver: ArrayDriver) => rows.parse(await driver.call(driver.snapshots('query'), [], {})).map((row) => row.id);

  it('live in the namespace of their release only', () => {
    const driver = new ArrayDriver({ release });
    expect(driver.has('zfs.snapshot.create')).toBe(release === '25.04');
    expect(driver.has('pool.snapshot.create')).toBe(release !== '25.04');
    expect(driver.has('pool.snapshot.rename')).toBe(release !== '25.04');
    expect(driver.has('zfs.resource.snapshot.destroy')).toBe(modern);
  });

  it('create: refuses a name that is taken, a dataset that is missing and a bad name', async () => {
    const driver = await prepared('s');
    const create = (data: object) => driver.call(driver.snapshots('create'), data);
    if (modern) {
      expect(await items(create({ dataset: VOLUME, name: 's' }))).toEqual([['pool.snapshot.create', 's already exists.', 17]]);
      await expect(create({ dataset: 'tank/x', name: 's' })).rejects.toThrow("[EINVAL] 'tank/x' not found");
    } else {
      await expect(create({ dataset: VOLUME, name: 's' })).rejects.toThrow(`[EEXIST] Failed to snapshot ${VOLUME}@s:`);
      await expect(create({ dataset: 'tank/x', name: 's' })).rejects.toThrow('[EFAULT] Failed to snapshot tank/x@s:');
      expect(await items(create({ dataset: VOLUME, name: 'a/b' }))).toEqual([['snapshot_create.name', 'Invalid snapshot name', 22]]);
    }
    expect((await items(create({ dataset: VOLUME }))).length).toBe(release === '25.04' ? 1 : 2);
    expect((await items(create({ dataset: VOLUME, name: 'x', naming_schema: '%Y' }))).length).toBeGreaterThan(0);
  });

  it('create: recursive takes all or nothing and sends one event', async () => {
    const driver = await prepared('s');
    await expect(driver.call(driver.snapshots('create'), { dataset: 'tank/pve', name: 's', recursive: true })).rejects.toThrow();
    expect(await names(driver)).toEqual([`${VOLUME}@s`]);
    await driver.call(driver.snapshots('create'), { dataset: 'tank/pve', name: 't', recursive: true });
    expect(await names(driver)).toEqual(['tank/pve@t', `${VOLUME}@s`, `${VOLUME}@t`]);
    expect(driver.events.map((event) => [event.msg, event.collection, event.id])).toEqual([
      ['added', driver.snapshots('query'), 'tank/pve@t'],
    ]);
  });

  if (modern)
    it('release: a tag that the snapshot does not have is released already', async () => {
      const driver = await prepared('s');
      const release = (path: string) => driver.call('zfs.resource.snapshot.release', { path, tag: 'one' });
      expect(await release(`${VOLUME}@s`)).toBeNull();
      await driver.call('zfs.resource.snapshot.hold', { path: `${VOLUME}@s`, tag: 'one' });
      expect(await release(`${VOLUME}@s`)).toBeNull();
      expect(await items(release(`${VOLUME}@t`))).toEqual([['zfs.resource.snapshot.release', `'${VOLUME}@t' not found`, 2]]);
    });

  it('query: 26.0 has no properties unless named and always holds', async () => {
    const driver = await prepared('s');
    const [plain] = rows.parse(await driver.call(driver.snapshots('query'), [], {}));
    expect(Object.keys(plain?.properties ?? {}).length > 0).toBe(!modern);
    expect(plain?.holds !== undefined).toBe(modern);
    const [named] = rows.parse(await driver.call(driver.snapshots('query'), [], { extra: { properties: ['used'], holds: true } }));
    expect(Object.keys(named?.properties ?? {})).toEqual(['used']);
    expect(named?.holds).toEqual({});
  });

  it('delete: missing, cloned and held ones', async () => {
    const driver = await prepared('s', 't');
    const remove = (path: string, options: object = {}) => driver.call(driver.snapshots('delete'), path, options);
    expect((await items(remove(`${VOLUME}@none`)))[0]).toMatchObject([null, expect.any(String), 2]);
    await driver.call(driver.snapshots('clone'), { snapshot: `${VOLUME}@s`, dataset_dst: 'tank/pve/b' });
    expect(await items(remove(`${VOLUME}@s`))).toEqual([
      modern
        ? ['zfs.resource.snapshot.destroy', `'${VOLUME}@s' has the following clones: tank/pve/b`, 16]
        : ['options.defer', `Please set this attribute as '${VOLUME}@s' snapshot has dependent clones: tank/pve/b`, 22],
    ]);
    await driver.call(driver.snapshots('hold'), `${VOLUME}@t`);
    const held = remove(`${VOLUME}@t`);
    if (modern)
      expect(await items(held)).toEqual([['zfs.resource.snapshot.destroy', `'${VOLUME}@t' has the following holds: truenas`, 16]]);
    else await expect(held).rejects.toThrow('dataset is busy');
    if (modern) await expect(remove(`${VOLUME}@t`, { defer: true })).rejects.toThrow('holds');
    else expect(await remove(`${VOLUME}@t`, { defer: true })).toBe(true);
  });

  it('delete with defer: the snapshot goes with its last clone', async () => {
    const driver = await prepared('s');
    await driver.call(driver.snapshots('clone'), { snapshot: `${VOLUME}@s`, dataset_dst: 'tank/pve/b' });
    expect(await driver.call(driver.snapshots('delete'), `${VOLUME}@s`, { defer: true })).toBe(true);
    expect(await names(driver)).toEqual([`${VOLUME}@s`]);
    await driver.call('pool.dataset.delete', 'tank/pve/b');
    expect(await names(driver)).toEqual([]);
  });

  it('delete recursive: 26.0 destroys clones and releases holds', async () => {
    const driver = await prepared('s');
    await driver.call(driver.snapshots('clone'), { snapshot: `${VOLUME}@s`, dataset_dst: 'tank/pve/b' });
    await driver.call(driver.snapshots('hold'), `${VOLUME}@s`);
    const remove = driver.call(driver.snapshots('delete'), `${VOLUME}@s`, { recursive: true });
    if (modern) expect(await remove).toBe(true);
    else await expect(remove).rejects.toThrow();
    expect((await names(driver)).length).toBe(modern ? 0 : 1);
    await expect(driver.call('pool.dataset.get_instance', 'tank/pve/b'))[modern ? 'rejects' : 'resolves'].toBeDefined();
  });

  it('delete: sends whether it was recursive', async () => {
    const driver = await prepared('s');
    await driver.call(driver.snapshots('delete'), `${VOLUME}@s`, {});
    expect(driver.events).toEqual([
      { msg: 'removed', collection: driver.snapshots('query'), id: `${VOLUME}@s`, extra: { recursive: false } },
    ]);
  });

  it('rollback: names the newer snapshots, destroys them only when told to', async () => {
    const driver = await prepared('s', 't', 'u');
    const rollback = (options: object) => driver.call(driver.snapshots('rollback'), `${VOLUME}@s`, options);
    const refused: unknown = await rollback({}).catch((error: unknown) => error);
    expect(String(refused)).toContain(
      modern
        ? '[EINVAL] Cannot rollback: more recent snapshots or bookmarks exist.'
        : '[EFAULT] Failed to rollback snapshot: cannot rollback to',
    );
    expect(String(refused)).toContain(`${VOLUME}@t`);
    expect(await names(driver)).toHaveLength(3);
    expect(await rollback({ recursive: true })).toBeNull();
    expect(await names(driver)).toEqual([`${VOLUME}@s`]);
    expect(driver.events).toEqual([]);
  });

  it('rollback: a newer snapshot with a clone stops it; 26.0 has destroyed the others by then', async () => {
    const driver = await prepared('s', 't', 'u');
    await driver.call(driver.snapshots('clone'), { snapshot: `${VOLUME}@t`, dataset_dst: 'tank/pve/b' });
    await expect(driver.call(driver.snapshots('rollback'), `${VOLUME}@s`, { recursive: true })).rejects.toThrow(
      modern ? '[EINVAL] Cannot rollback' : 'clones of previous snapshots exist',
    );
    expect(await names(driver)).toEqual(modern ? [`${VOLUME}@s`, `${VOLUME}@t`] : [`${VOLUME}@s`, `${VOLUME}@t`, `${VOLUME}@u`]);
    expect(await driver.call(driver.snapshots('rollback'), `${VOLUME}@s`, { recursive_clones: true })).toBeNull();
    await expect(driver.call('pool.dataset.get_instance', 'tank/pve/b')).rejects.toThrow();
  });

  it('rollback: brings the size of the volume back', async () => {
    const driver = await prepared('s');
    await driver.call('pool.dataset.update', VOLUME, { volsize: 2 * 1_073_741_824 });
    await driver.call(driver.snapshots('rollback'), `${VOLUME}@s`, {});
    expect(await driver.call('pool.dataset.get_instance', VOLUME)).toMatchObject({ volsize: { parsed: 1_073_741_824 } });
  });

  it('clone: thin, without an event, refused where something is', async () => {
    const driver = await prepared('s');
    const clone = (target: string) => driver.call(driver.snapshots('clone'), { snapshot: `${VOLUME}@s`, dataset_dst: target });
    expect(await clone('tank/pve/b')).toBe(true);
    expect(driver.events).toEqual([]);
    expect(await driver.call('pool.dataset.get_instance', 'tank/pve/b')).toMatchObject({
      refreservation: { parsed: null },
      origin: { rawvalue: `${VOLUME}@s` },
    });
    await expect(clone('tank/pve/b')).rejects.toThrow(
      modern ? "[EINVAL] 'tank/pve/b' already exists" : '[EFAULT] Failed to clone snapshot:',
    );
  });

  it('update: sets user properties, and does nothing on 26.0', async () => {
    const driver = await prepared('s');
    const answer = await driver.call(driver.snapshots('update'), `${VOLUME}@s`, { user_properties_update: [{ key: 'a:b', value: 'c' }] });
    if (modern) expect(answer).toBeNull();
    else expect(answer).toMatchObject({ properties: { 'a:b': { value: 'c' } } });
  });

  it('keeps everything through dump and load, with the clones that hang on it', async () => {
    const driver = await prepared('s');
    await driver.call(driver.snapshots('clone'), { snapshot: `${VOLUME}@s`, dataset_dst: 'tank/pve/b' });
    await driver.call('iscsi.extent.create', { name: 'a', disk: `zvol/${VOLUME}` });
    await driver.call('iscsi.targetextent.create', { target: 1, extent: 1 });
    const again = new ArrayDriver({ release, seeded: false });
    for (const part of again.array.persistent) {
      const stored = driver.array.persistent.find((one) => one.name === part.name);
      part.load(JSON.parse(JSON.stringify(stored?.dump())));
    }
    for (const name of ['pool.dataset.query', 'iscsi.extent.query', 'iscsi.targetextent.query', 'iscsi.target.query', 'service.query']) {
      expect(await again.call(name, [], {}), name).toEqual(await driver.call(name, [], {}));
    }
    await expect(again.call(again.snapshots('delete'), `${VOLUME}@s`, {})).rejects.toThrow('clones');
  });
});

describe('a damaged iSCSI state', () => {
  it('is refused, whatever is wrong with it', () => {
    const driver = new ArrayDriver();
    const part = driver.array.persistent.find((one) => one.name === 'iscsi');
    const good = z.looseObject({ targets: z.array(z.looseObject({})), portals: z.array(z.unknown()) }).parse(part?.dump());
    for (const bad of [
      null,
      [],
      { ...good, portals: [] },
      { ...good, targets: [...good.targets, ...good.targets] },
      { ...good, mappings: [{ id: 1, target: 1, extent: 5, lunid: 0 }] },
      { ...good, mappings: 'x'.repeat(100_000) },
    ]) {
      expect(() => part?.load(bad)).toThrow();
    }
    expect(() => part?.load(good)).not.toThrow();
  });
});
