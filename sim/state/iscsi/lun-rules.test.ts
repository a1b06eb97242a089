import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { CallError, PythonError, SIM_RELEASES, ValidationErrors } from '../../api/contract.ts';
import { ArrayDriver } from '../array-driver.ts';

const withId = z.looseObject({ id: z.number() });
const mapping = z.object({ id: z.number(), target: z.number(), extent: z.number(), lunid: z.number() });
const extent = z.looseObject({ id: z.number(), naa: z.string(), serial: z.string(), disk: z.string(), path: z.string() });
const PVE = 'iqn.2005-10.org.freenas.ctl:pve';
const NODE = 'iqn.1993-08.org.debian:01:node1';

async function items(work: Promise<unknown>): Promise<readonly (readonly unknown[])[]> {
  const error: unknown = await work.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (!(error instanceof ValidationErrors)) throw new Error(`expected ValidationErrors, got ${String(error)}`);
  return error.items;
}

async function exported(driver: ArrayDriver, name: string, lunid: number | null = null) {
  await driver.zvol(name);
  const made = extent.parse(await driver.call('iscsi.extent.create', { name, disk: `zvol/tank/pve/${name}` }));
  return { extent: made, mapping: mapping.parse(await driver.call('iscsi.targetextent.create', { target: 1, extent: made.id, lunid })) };
}

describe.each(SIM_RELEASES)('LUN rules of %s (truenas-api 11)', (release) => {
  it('gives the lowest free LUN when none is named, and uses a freed one again', async () => {
    const driver = new ArrayDriver({ release });
    expect((await exported(driver, 'a')).mapping.lunid).toBe(0);
    const second = await exported(driver, 'b');
    expect(second.mapping.lunid).toBe(1);
    expect((await exported(driver, 'c')).mapping.lunid).toBe(2);
    await driver.call('iscsi.targetextent.delete', second.mapping.id);
    expect((await exported(driver, 'd')).mapping.lunid).toBe(1);
  });

  it('refuses a LUN in use, out of range, and an extent that is mapped already', async () => {
    const driver = new ArrayDriver({ release });
    const first = await exported(driver, 'a', 5);
    await driver.zvol('b');
    const other = withId.parse(await driver.call('iscsi.extent.create', { name: 'b', disk: 'zvol/tank/pve/b' }));
    const create = (data: object) => items(driver.call('iscsi.targetextent.create', data));
    expect(await create({ target: 1, extent: other.id, lunid: 5 })).toEqual([
      ['iscsi_targetextent_create.lunid', 'LUN ID is already being used for this target.', 22],
    ]);
    expect(await create({ target: 1, extent: other.id, lunid: 16_383 })).toEqual([
      ['iscsi_targetextent_create.lunid', 'LUN ID must be a positive integer and lower than 16382', 22],
    ]);
    expect(await create({ target: 1, extent: other.id, lunid: -1 })).toHaveLength(1);
    expect(await create({ target: 1, extent: first.extent.id, lunid: 6 })).toEqual([
      ['iscsi_targetextent_create.extent', 'Extent is already in use.', 22],
    ]);
  });

  it('lets two requests at once get the same LUN: the look and the insert are not one step', async () => {
    const driver = new ArrayDriver({ release });
    await Promise.all([driver.zvol('a'), driver.zvol('b')]);
    const [a, b] = [
      withId.parse(await driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a' })),
      withId.parse(await driver.call('iscsi.extent.create', { name: 'b', disk: 'zvol/tank/pve/b' })),
    ];
    const made = await Promise.all([a, b].map((one) => driver.call('iscsi.targetextent.create', { target: 1, extent: one.id })));
    expect(made.map((one) => mapping.parse(one).lunid)).toEqual([0, 0]);
  });

  it('answers a foreign key error for a target or an extent that is not there', async () => {
    const driver = new ArrayDriver({ release });
    await expect(driver.call('iscsi.targetextent.create', { target: 1, extent: 99 })).rejects.toThrow(PythonError);
    await expect(driver.call('iscsi.targetextent.create', { target: 99, extent: 1 })).rejects.toThrow('FOREIGN KEY constraint failed');
  });

  it('lets a session of the target block the unmapping of every LUN of it, unless forced', async () => {
    const driver = new ArrayDriver({ release });
    await driver.array.start();
    const { mapping: made, extent: disk } = await exported(driver, 'a');
    await exported(driver, 'b');
    expect(driver.array.controls.openSession({ initiator: NODE, address: '10.0.0.1', target: PVE })).not.toBeNull();
    await expect(driver.call('iscsi.targetextent.delete', made.id)).rejects.toThrow(`[EFAULT] Associated target ${PVE} is in use.`);
    await expect(driver.call('iscsi.extent.delete', disk.id)).rejects.toThrow(`[EFAULT] Associated target(s) ${PVE} is in use.`);
    await expect(driver.call('iscsi.target.delete', 1)).rejects.toThrow('[EFAULT] Target pve is in use.');
    expect(await driver.call('iscsi.targetextent.delete', made.id, true)).toBe(true);
    expect(await driver.call('iscsi.global.client_count')).toBe(1);
  });

  it('never counts a target as in use whose name is a full IQN', async () => {
    const driver = new ArrayDriver({ release });
    await driver.array.start();
    const target = withId.parse(
      await driver.call('iscsi.target.create', { name: 'iqn.2020-01.com.example:x', groups: [{ portal: 1, initiator: 1 }] }),
    );
    await driver.zvol('a');
    const disk = withId.parse(await driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a' }));
    const made = withId.parse(await driver.call('iscsi.targetextent.create', { target: target.id, extent: disk.id }));
    const full = 'iqn.2005-10.org.freenas.ctl:iqn.2020-01.com.example:x';
    expect(driver.array.controls.openSession({ initiator: NODE, address: '10.0.0.1', target: full })).not.toBeNull();
    expect(await driver.call('iscsi.targetextent.delete', made.id)).toBe(true);
  });

  it('shows no target without a usable LUN, and none while the service is stopped', async () => {
    const driver = new ArrayDriver({ release });
    await driver.array.start();
    const login = () => driver.array.controls.openSession({ initiator: NODE, address: '10.0.0.1', target: PVE });
    expect(login()).toBeNull();
    const { mapping: made } = await exported(driver, 'a');
    expect(login()).not.toBeNull();
    await driver.call('iscsi.targetextent.delete', made.id, true);
    expect(login()).toBeNull();
    const stop = release === '26.0' ? (['service.control', 'STOP', 'iscsitarget'] as const) : (['service.stop', 'iscsitarget'] as const);
    const [name, ...args] = stop;
    expect(await driver.call(name, ...args)).toBe(true);
    await exported(driver, 'b');
    expect(login()).toBeNull();
    expect(await driver.call('iscsi.global.sessions')).toEqual([]);
  });

  it('says errno 202 when the running service cannot read the change', async () => {
    const driver = new ArrayDriver({ release });
    driver.array.controls.setReloadFails(true);
    await expect(exported(driver, 'a')).rejects.toMatchObject({
      errname: 'ESERVICESTARTFAILURE',
      text: 'The iscsitarget service failed to start',
    });
  });

  it('names extents by NAA and serial as TrueNAS does and keeps both unique', async () => {
    const driver = new ArrayDriver({ release });
    const { extent: made } = await exported(driver, 'a');
    expect(made.naa).toMatch(/^0x6589cfc000000[0-9a-f]{19}$/);
    expect(made.serial).toMatch(/^[0-9a-f]{15}$/);
    expect(made.disk).toBe('zvol/tank/pve/a');
    expect(made.path).toBe(made.disk);
    await driver.zvol('b');
    expect(await items(driver.call('iscsi.extent.create', { name: 'b', disk: 'zvol/tank/pve/b', serial: made.serial }))).toEqual([
      ['iscsi_extent_create.serial', 'Serial number must be unique', 22],
    ]);
    expect(await items(driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/b' }))).toEqual([
      ['iscsi_extent_create.name', 'Extent name must be unique', 22],
    ]);
  });

  it('checks the disk of an extent', async () => {
    const driver = new ArrayDriver({ release });
    await exported(driver, 'a');
    const create = (data: object) => items(driver.call('iscsi.extent.create', { name: 'x', ...data }));
    expect(await create({})).toEqual([['iscsi_extent_create.disk', 'This field is required', 22]]);
    expect(await create({ disk: 'tank/pve/a' })).toEqual([['iscsi_extent_create.disk', 'Disk name must start with "zvol/"', 22]]);
    expect(await create({ disk: 'zvol/tank/pve/none' })).toEqual([
      ['iscsi_extent_create.disk', "Device '/dev/zvol/tank/pve/none' for volume 'tank/pve/none' does not exist", 22],
    ]);
    const twice = driver.call('iscsi.extent.create', { name: 'y', disk: 'zvol/tank/pve/a' });
    if (release === '25.04') expect(withId.parse(await twice).id).toBe(2);
    else expect(await items(twice)).toEqual([['iscsi_extent_create.disk', 'Disk currently in use by extent a', 22]]);
  });

  it('compares names as SCST flattens them from 25.10 on', async () => {
    const driver = new ArrayDriver({ release });
    await exported(driver, 'a');
    await driver.call('iscsi.extent.update', 1, { name: 'x.y' });
    await driver.zvol('b');
    const create = driver.call('iscsi.extent.create', { name: 'x_y', disk: 'zvol/tank/pve/b' });
    if (release === '25.04') await expect(create).resolves.toBeDefined();
    else expect(await items(create)).toEqual([['iscsi_extent_create.name', 'Extent name must be unique when flattened (x.y)', 22]]);
  });

  it('can have a device node that comes late', async () => {
    const driver = new ArrayDriver({ release, zvolDeviceLag: 2 });
    await driver.zvol('a');
    const create = () => driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a' });
    await expect(create()).rejects.toThrow('does not exist');
    await expect(create()).rejects.toThrow('does not exist');
    await expect(create()).resolves.toBeDefined();
  });

  it('renumbers the tags of portals and takes the portal out of targets', async () => {
    const driver = new ArrayDriver({ release });
    await driver.call('iscsi.portal.create', { listen: [{ ip: '0.0.0.0' }] });
    expect(await items(driver.call('iscsi.portal.create', { listen: [{ ip: '0.0.0.0' }] }))).toEqual([
      ['iscsiportal_create.listen', "'0.0.0.0' IP is already in use.", 22],
    ]);
    expect(await items(driver.call('iscsi.portal.create', { listen: [] }))).toEqual([
      ['iscsiportal_create.listen', 'At least one listen entry is required.', 22],
    ]);
    expect(await items(driver.call('iscsi.portal.create', { listen: [{ ip: '9.9.9.9' }] }))).toEqual([
      ['iscsiportal_create.listen', 'IP 9.9.9.9 not configured on this system.', 22],
    ]);
    await driver.call('iscsi.portal.delete', 1);
    expect(await driver.call('iscsi.portal.query', [], {})).toEqual([
      { id: 2, tag: 1, comment: '', listen: [{ ip: '0.0.0.0', port: 3260 }] },
    ]);
    expect(await driver.call('iscsi.target.get_instance', 1)).toMatchObject({ groups: [] });
  });

  it('keeps an authorized access that a target needs', async () => {
    const driver = new ArrayDriver({ release });
    const auth = withId.parse(await driver.call('iscsi.auth.create', { tag: 7, user: 'u', secret: 'twelve-chars' }));
    await driver.call('iscsi.target.update', 1, { groups: [{ portal: 1, initiator: 1, authmethod: 'CHAP', auth: 7 }] });
    await expect(driver.call('iscsi.auth.delete', auth.id)).rejects.toThrow(
      new CallError('Authorized access of 1 is being used by following target(s): 1'),
    );
    expect(await items(driver.call('iscsi.auth.create', { tag: 8, user: 'u', secret: 'short' }))).toEqual([
      ['iscsi_auth_create.secret', 'Secret must be between 12 and 16 characters.', 22],
    ]);
    expect(
      await items(
        driver.call('iscsi.auth.create', { tag: 8, user: 'u', secret: 'twelve-chars', peeruser: 'p', peersecret: 'twelve-chars' }),
      ),
    ).toEqual([['iscsi_auth_create.peersecret', 'The peer secret cannot be the same as user secret.', 22]]);
  });

  it('checks the groups and the name of a target', async () => {
    const driver = new ArrayDriver({ release });
    const create = (data: object) => items(driver.call('iscsi.target.create', data));
    expect(await create({ name: 'pve' })).toEqual([['iscsi_target_create.name', 'Target with this name already exists', 22]]);
    expect((await create({ name: 'Upper' }))[0]?.[0]).toBe('iscsi_target_create.name');
    expect(await create({ name: 'x', groups: [{ portal: 1 }, { portal: 1 }, { portal: 9, initiator: 9 }] })).toEqual([
      ['iscsi_target_create.groups.1.portal', 'Portal 1 cannot be duplicated on a target', 22],
      ['iscsi_target_create.groups.2.portal', '9 Portal not found in database', 22],
      ['iscsi_target_create.groups.2.initiator', '9 Initiator not found in database', 22],
    ]);
    expect(await create({ name: 'x', groups: [{ portal: 1, authmethod: 'CHAP' }] })).toEqual([
      ['iscsi_target_create.groups.0.auth', 'Authentication group is required for CHAP and CHAP Mutual', 22],
    ]);
    expect((await items(driver.call('iscsi.target.update', 1, { alias: 'target' })))[0]?.[0]).toBe(
      release === '25.04' ? 'iscsi_target_create.alias' : 'iscsi_target_update.alias',
    );
  });
});
