import { describe, expect, it } from 'vitest';
import { deadlineAfter } from '../../core/deadline.ts';
import type { LunSpec } from '../../core/host-port.ts';
import type { Deadline } from '../../core/ports.ts';
import { createHost } from '../host.ts';
import { FakeNode, naaOf } from '../testing/fake-node.ts';
import type { FakeTarget } from '../testing/fake-node-state.ts';

const IQN = 'iqn.2005-10.org.freenas.ctl:proxmox';
const GIB = 1024 ** 3;
const A = naaOf('a');
const B = naaOf('b');
const REF = { storage: 'tn', volume: 'vm-100-disk-0', naa: A };
const LINK = '/dev/pve-truenas/tn/vm-100-disk-0';

function setup(...portals: string[]): {
  node: FakeNode;
  target: FakeTarget;
  host: ReturnType<typeof createHost>['kernel'];
  within: (ms?: number) => Deadline;
} {
  const node = new FakeNode();
  const target = node.addTarget(IQN, ...(portals.length === 0 ? ['10.0.0.1:3260'] : portals));
  target.luns.set(1, { naa: A, size: GIB });
  return { node, target, host: createHost(node.context).kernel, within: (ms = 60_000) => deadlineAfter(node.clock, ms, 'test') };
}

function lun(over: Partial<LunSpec> = {}): LunSpec {
  return {
    storage: 'tn',
    volume: 'vm-100-disk-0',
    iqn: IQN,
    portals: [{ host: '10.0.0.1', port: 3260 }],
    lun: 1,
    naa: A,
    serial: '0123456789abcde',
    size: GIB,
    multipath: false,
    ...over,
  };
}

const TWO = [
  { host: '10.0.0.1', port: 3260 },
  { host: '10.0.1.1', port: 3260 },
];
const two = (): ReturnType<typeof setup> => setup('10.0.0.1:3260', '10.0.1.1:3260');

describe('KernelInitiator.attach', () => {
  it('logs in, scans the one LUN, verifies it and sets the link to the name that carries the identity', async () => {
    const { node, host, within } = setup();
    await expect(host.attach(lun(), within())).resolves.toEqual({ path: LINK, device: '/dev/sda' });
    expect(await node.files.readLink(LINK)).toBe(`/dev/disk/by-id/wwn-${A}`);
    expect(host.path(lun())).toBe(LINK);
  });

  it('F-111: makes the node record directly, once, without discovery', async () => {
    const { node, host, within } = setup();
    await host.attach(lun(), within());
    await host.attach(lun(), within());
    expect(node.commands.count('iscsiadm', '-m', 'discovery')).toBe(0);
    expect(node.commands.count('iscsiadm', '-m', 'node', '-o', 'new')).toBe(1);
    const record = await node.files.read(`/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`);
    expect(record).toContain('node.session.scan = manual');
  });

  it('F-109: removes an empty node record, on which iscsiadm itself fails, and makes a new one', async () => {
    const { node, host, within } = setup();
    node.files.put(`/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`, '');
    await host.attach(lun(), within());
    expect(await node.files.read(`/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`)).toContain(`node.name = ${IQN}`);
  });

  it('keeps records where iscsiadm does: below /var/lib/iscsi on Debian 13, below /etc/iscsi on Debian 12, whatever an upgrade left', async () => {
    const upgraded = setup();
    upgraded.node.files.put(`/etc/iscsi/nodes/${IQN}/10.0.0.1,3260`, 'node.name = left over\n');
    await upgraded.host.attach(lun(), upgraded.within());
    expect(upgraded.node.commands.count('iscsiadm', '-m', 'node', '-o', 'new')).toBe(1);
    const older = setup();
    older.node.iscsiDatabase = '/etc/iscsi';
    older.node.files.drop('/var/lib/iscsi');
    await older.host.attach(lun(), older.within());
    expect(await older.node.files.read(`/etc/iscsi/nodes/${IQN}/10.0.0.1,3260`)).toContain('node.session.scan = manual');
  });

  it('F-109: finishes a record that was made and no more: the login would show all LUNs. One by hand for each start of the node stays', async () => {
    const path = `/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`;
    const crashed = setup();
    await crashed.node.commands.run(['iscsiadm', '-m', 'node', '-o', 'new', '-T', IQN, '-p', '10.0.0.1:3260'], {
      deadline: crashed.within(),
    });
    await crashed.host.attach(lun(), crashed.within());
    expect(await crashed.node.files.read(path)).toContain('node.session.scan = manual');
    const byHand = setup();
    const record = `node.name = ${IQN}\nnode.discovery_type = static\nnode.startup = automatic\nnode.session.scan = auto`;
    byHand.node.files.put(path, record);
    await byHand.host.attach(lun(), byHand.within());
    expect(await byHand.node.files.read(path)).toBe(record);
  });

  it('writes CHAP secrets into the record, 0600, and never into an argument; an existing record keeps the rest', async () => {
    const { node, host, within } = setup();
    const path = `/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260`;
    node.files.put(
      path,
      '# BEGIN RECORD\nnode.name = x\nnode.startup = automatic\nnode.session.auth.authmethod = None\n# END RECORD\n',
      0o600,
    );
    await host.attach(lun({ chap: { user: 'pve', password: 'topsecret1234' } }), within());
    const record = (await node.files.read(path)) ?? '';
    expect(record).toContain('node.session.auth.authmethod = CHAP\n');
    expect(record).toContain('node.session.auth.password = topsecret1234\n');
    expect(record).toContain('node.startup = automatic\n');
    expect(record.trimEnd().endsWith('# END RECORD')).toBe(true);
    expect(node.files.mode(path)).toBe(0o600);
    expect(JSON.stringify(node.commands.log)).not.toContain('topsecret');
  });

  it('refuses a CHAP secret that would add settings to the record, without showing it', async () => {
    const { host, within } = setup();
    const error: unknown = await host
      .attach(lun({ chap: { user: 'pve', password: 'x\nnode.startup = automatic' } }), within())
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'LOGIN_FAILED' });
    expect(String(error)).not.toContain('automatic');
  });

  it('F-101: a session to a target whose name only begins alike does not count', async () => {
    const { node, target, host, within } = setup();
    const alike = node.addTarget(`${IQN}-16k`, '10.0.0.1:3260');
    node.login(alike, '10.0.0.1:3260');
    await host.attach(lun(), within());
    expect(node.sessionOf(target, '10.0.0.1:3260')).toBe(true);
  });

  it('F-102: the same target name behind another portal is another array: its LUN is neither scanned nor taken', async () => {
    const { node, host, within } = setup();
    const other = node.addTarget(IQN, '10.9.9.9:3260');
    other.luns.set(1, { naa: B, size: GIB });
    const session = node.login(other, '10.9.9.9:3260');
    node.appear(session + 2, 1);
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/sdb' });
    expect(node.deviceOf('sda')?.target).toBe(other);
    expect(node.writes.some(([path]) => path.includes(`host${session + 2}/`))).toBe(false);
  });

  it('F-105, F-108: orders exactly one scan of exactly one LUN of exactly its session', async () => {
    const { node, target, host, within } = setup();
    target.luns.set(2, { naa: B, size: GIB });
    await host.attach(lun(), within());
    expect(node.writes).toEqual([['/sys/class/scsi_host/host3/scan', '0 0 1']]);
    expect([...node.devices.keys()]).toEqual(['3:0:0:1']);
    expect(node.commands.log.some((argv) => argv.includes('--rescan') || argv.includes('-R'))).toBe(false);
  });

  it('F-106: waits for a device that appears after 30 s, scanning again in between', async () => {
    const { node, target, host, within } = setup();
    target.luns.clear();
    node.clock.after(30_000, () => target.luns.set(1, { naa: A, size: GIB }));
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/sda' });
    expect(node.writes.length).toBeGreaterThan(3);
    expect(node.writes.length).toBeLessThan(20);
  });

  it('F-110: logs in to all configured portals; F-009: by address, also where the setting is a name', async () => {
    const { node, target, host, within } = two();
    node.names.set('nas.example', ['10.0.1.1']);
    const portals = [TWO[0]!, { host: 'nas.example', port: 3260 }];
    await host.attach(lun({ portals }), within());
    await host.attach(lun({ portals }), within());
    expect(node.sessionOf(target, '10.0.0.1:3260') && node.sessionOf(target, '10.0.1.1:3260')).toBe(true);
    expect(node.commands.log.filter((argv) => argv.includes('--login'))).toHaveLength(2);
  });

  it('RP-16: exit 15 (somebody else logged in meanwhile) is success, exit 24 names what to check', async () => {
    const { node, target, host, within } = setup();
    node.commands.before = (argv) => {
      if (argv.includes('--login')) node.login(target, '10.0.0.1:3260');
    };
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/sda' });
    const refused = setup();
    refused.target.refusals.set('10.0.0.1:3260', 24);
    await expect(refused.host.attach(lun(), refused.within())).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('refused the login') as string,
      causes: expect.arrayContaining([expect.stringContaining('CHAP')]) as string[],
    });
  });

  it('RP-16: exit 19 with mutual CHAP says that the array did not prove itself', async () => {
    const { target, host, within } = setup();
    target.refusals.set('10.0.0.1:3260', 19);
    const chap = { user: 'pve', password: 'topsecret1234', peer: { user: 'nas', password: 'topsecret5678' } };
    await expect(host.attach(lun({ chap }), within())).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('mutual CHAP') as string,
      causes: [expect.stringContaining('peer secret'), expect.any(String)] as string[],
    });
  });

  it('RP-16: a failed login is told with the reason that iscsiadm gives, not with its last line', async () => {
    const { target, host, within } = setup();
    target.refusals.set('10.0.0.1:3260', 8);
    await expect(host.attach(lun(), within())).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('iscsiadm exit code 8: connection timed out') as string,
    });
  });

  it('goes on with one path when the other portal is dead, and says so', async () => {
    const { node, target, host, within } = two();
    target.refusals.set('10.0.1.1:3260', 8);
    await expect(host.attach(lun({ portals: TWO }), within())).resolves.toMatchObject({ device: '/dev/sda' });
    expect(node.warnings.map((warning) => warning.message)).toContain('not every portal has a session');
    const logins = node.commands.log.filter((argv) => argv.includes('--login')).length;
    await host.attach(lun({ portals: TWO }), within());
    expect(node.commands.log.filter((argv) => argv.includes('--login')).length).toBe(logins);
  });

  it('waits for a session that the kernel is bringing back', async () => {
    const { node, target, host, within } = setup();
    const session = node.login(target, '10.0.0.1:3260', 'FAILED');
    node.clock.after(20_000, () => node.setSessionState(session, 'LOGGED_IN'));
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/sda' });
    expect(node.commands.log.some((argv) => argv.includes('--login'))).toBe(false);
  });

  it('RP-13: an old device at a number that went to this volume is removed and found anew, not used', async () => {
    const { node, target, host, within } = setup();
    target.luns.set(1, { naa: B, size: 3 * GIB });
    node.login(target, '10.0.0.1:3260');
    node.appear(3, 1);
    target.luns.set(1, { naa: A, size: GIB });
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/sdb' });
    expect(node.writes).toContainEqual(['/sys/class/scsi_device/3:0:0:1/device/delete', '1']);
    expect(await node.files.read('/sys/class/scsi_device/3:0:0:1/device/wwid')).toBe(`naa.${A.slice(2)}`);
  });

  it('RP-13: a device that sysfs still shows as this volume but that is another one by now is never handed out', async () => {
    const { node, target, host, within } = setup();
    await host.attach(lun(), within());
    node.files.drop(LINK);
    target.luns.set(1, { naa: B, size: GIB });
    await expect(host.attach(lun(), within())).rejects.toMatchObject({ code: 'DEVICE_IDENTITY' });
    expect(await node.files.readLink(LINK)).toBeNull();
  });

  it('F-104: an old device that somebody holds is left alone, and the attach fails', async () => {
    const { node, target, host, within } = setup();
    target.luns.set(1, { naa: B, size: GIB });
    node.login(target, '10.0.0.1:3260');
    node.appear(3, 1);
    target.luns.set(1, { naa: A, size: GIB });
    node.files.exclusive.add('/dev/sda');
    await expect(host.attach(lun(), within())).rejects.toMatchObject({
      code: 'DEVICE_IDENTITY',
      message: expect.stringContaining('held by') as string,
    });
    expect(node.devices.has('3:0:0:1')).toBe(true);
    expect(node.writes.some(([path]) => path.endsWith('/delete'))).toBe(false);
  });

  it('RP-12: a leftover that does not answer is removed before the number is used again', async () => {
    const { node, target, host, within } = setup();
    await host.attach(lun(), within());
    target.luns.clear();
    node.clock.after(10_000, () => target.luns.set(1, { naa: A, size: GIB }));
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/sdb' });
  });

  it("RP-14: LIO's virtual LUN 0 is not taken for the volume", async () => {
    const { node, target, host, within } = setup();
    target.luns.set(0, { naa: B, size: GIB });
    node.login(target, '10.0.0.1:3260');
    node.appear(3, 0);
    target.luns.delete(0);
    await expect(host.attach(lun({ lun: 0 }), within(20_000))).rejects.toMatchObject({ code: 'DEVICE_MISSING' });
  });

  it('RP-11: rescans a device that shows the old size, and fails where the size stays wrong', async () => {
    const { node, target, host, within } = setup();
    await host.attach(lun(), within());
    target.luns.set(1, { naa: A, size: 2 * GIB });
    await expect(host.attach(lun({ size: 2 * GIB }), within())).resolves.toMatchObject({ device: '/dev/sda' });
    expect(node.writes).toContainEqual(['/sys/class/scsi_device/3:0:0:1/device/rescan', '1']);
    await expect(host.attach(lun({ size: 3 * GIB }), within())).rejects.toMatchObject({ code: 'DEVICE_SIZE' });
  });

  it('F-326: a regular file in the place of the device is not a device', async () => {
    const { node, host, within } = setup();
    node.udevDelay = 1e6;
    node.files.put(`/dev/disk/by-id/wwn-${A}`, 'written by qemu-img');
    await expect(host.attach(lun(), within(20_000))).rejects.toMatchObject({ code: 'DEVICE_MISSING' });
    expect(await node.files.readLink(LINK)).toBeNull();
  });

  it('waits for the name that udev makes late (RP-10), and gives up at the deadline', async () => {
    const { node, host, within } = setup();
    node.udevDelay = 1e9;
    await expect(host.attach(lun(), within(5000))).rejects.toMatchObject({
      code: 'DEVICE_MISSING',
      message: expect.stringContaining('udev') as string,
    });
    expect(node.clock.monotonic()).toBeLessThan(10_000);
  });

  it('asks udev again for names that a disk has lost, but not while udev is busy', async () => {
    const { node, host, within } = setup();
    await host.attach(lun(), within());
    const lose = (): void => [`wwn-${A}`, `scsi-3${A.slice(2)}`].forEach((name) => node.files.drop(`/dev/disk/by-id/${name}`));
    const asked = (): number => node.writes.filter(([path]) => path === '/sys/class/block/sda/uevent').length;
    expect(asked()).toBe(0);

    lose();
    await expect(host.attach(lun(), within())).resolves.toEqual({ path: LINK, device: '/dev/sda' });
    expect(asked()).toBe(1);

    lose();
    node.files.put('/run/udev/queue', '');
    await expect(host.attach(lun(), within(20_000))).rejects.toMatchObject({ code: 'DEVICE_MISSING' });
    expect(asked()).toBe(1);
  });

  it('finds LUNs above 255 in the flat spelling of the target as well', async () => {
    const { node, target, host, within } = setup();
    target.luns.set(300 | 0x4000, { naa: A, size: GIB });
    await expect(host.attach(lun({ lun: 300 }), within())).resolves.toMatchObject({ device: '/dev/sda' });
    expect([...node.devices.keys()]).toEqual(['3:0:0:16684']);
  });

  it.each([
    ['a volume that climbs', { volume: '../../etc' }, 'NAME_INVALID'],
    ['an empty volume', { volume: '' }, 'NAME_INVALID'],
    ['a NUL in the storage', { storage: 'a\0b' }, 'NAME_INVALID'],
    ['an option as target', { iqn: '--login' }, 'CONFIG_INVALID'],
    ['a target with a slash', { iqn: 'iqn.2005/../x' }, 'CONFIG_INVALID'],
    ['an option as portal', { portals: [{ host: '-x', port: 3260 }] }, 'CONFIG_INVALID'],
    ['no portal', { portals: [] }, 'CONFIG_INVALID'],
    ['port 0', { portals: [{ host: '10.0.0.1', port: 0 }] }, 'CONFIG_INVALID'],
    ['a negative LUN', { lun: -1 }, 'CONFIG_INVALID'],
    ['LUN 2^63', { lun: 2 ** 63 }, 'CONFIG_INVALID'],
    ['no NAA', { naa: '' }, 'DEVICE_IDENTITY'],
    ['a short NAA', { naa: '0x6589cfc' }, 'DEVICE_IDENTITY'],
  ] as const)('refuses %s before it touches the node', async (_what, over, code) => {
    const { node, host, within } = setup();
    await expect(host.attach(lun(over as Partial<LunSpec>), within())).rejects.toMatchObject({ code });
    expect(node.commands.log).toEqual([]);
    expect(node.writes).toEqual([]);
  });

  it('serialises the same volume and lets others pass', async () => {
    const { node, target, host, within } = setup();
    target.luns.set(2, { naa: B, size: GIB });
    const results = await Promise.all([
      host.attach(lun(), within()),
      host.attach(lun(), within()),
      host.attach(lun({ volume: 'vm-100-disk-1', lun: 2, naa: B }), within()),
      host.detach({ ...REF, volume: 'vm-100-disk-7', naa: naaOf('7') }, within()),
    ]);
    expect(results[0]).toEqual(results[1]);
    expect(node.commands.log.filter((argv) => argv.includes('--login'))).toHaveLength(1);
    expect(node.writes.filter(([, text]) => text === '0 0 1')).toHaveLength(1);
  });
});

describe('KernelInitiator with multipath', () => {
  const spec = lun({ portals: TWO, multipath: true });
  const MAP = `/dev/mapper/3${A.slice(2)}`;

  it('F-112, RP-21: registers the WWID, waits for the node of the map and links to it', async () => {
    const { node, host, within } = two();
    await expect(host.attach(spec, within())).resolves.toEqual({ path: LINK, device: '/dev/dm-1' });
    expect(await node.files.readLink(LINK)).toBe(MAP);
    expect(await node.files.list('/sys/class/block/dm-1/slaves')).toEqual(['sda', 'sdb']);
    expect(node.commands.count('multipath', '-r')).toBe(0);
    expect(node.commands.log).not.toContainEqual(['multipathd', 'reconfigure']);
  });

  it('F-112: multipath asked for and no map: an error, not a silent single path', async () => {
    const { node, host, within } = two();
    node.multipathdRuns = false;
    await expect(host.attach(spec, within())).rejects.toMatchObject({
      code: 'DEVICE_MISSING',
      message: expect.stringContaining('multipathd made no map') as string,
    });
    expect(await node.files.readLink(LINK)).toBeNull();
  });

  it('uses a map that stands on the paths although it was not asked for', async () => {
    const { node, target, host, within } = setup();
    node.login(target, '10.0.0.1:3260');
    node.appear(3, 1);
    node.addMap(A.slice(2), 'mpatha');
    await expect(host.attach(lun(), within())).resolves.toMatchObject({ device: '/dev/dm-1' });
    expect(await node.files.readLink(LINK)).toBe('/dev/mapper/mpatha');
    await host.detach({ storage: 'tn', volume: 'vm-100-disk-0' }, within());
    expect(node.maps.size + node.devices.size).toBe(0);
  });

  it('refuses a map that has a path of another identity', async () => {
    const { node, target, host, within } = two();
    await host.attach(spec, within());
    const other = node.addTarget(IQN, '10.9.9.9:3260');
    other.luns.set(1, { naa: A, size: GIB });
    const session = node.login(other, '10.9.9.9:3260');
    node.appear(session + 2, 1);
    node.addMap(A.slice(2));
    other.luns.set(1, { naa: B, size: GIB });
    expect(target.luns.get(1)?.naa).toBe(A);
    await expect(host.attach(spec, within())).rejects.toMatchObject({ code: 'DEVICE_IDENTITY' });
  });

  it('RP-11: grows paths and map', async () => {
    const { node, target, host, within } = two();
    await host.attach(spec, within());
    target.luns.set(1, { naa: A, size: 2 * GIB });
    await host.grow({ ...spec, size: 2 * GIB }, within());
    expect(await node.files.read('/sys/class/block/dm-1/size')).toBe(String((2 * GIB) / 512));
    expect(node.commands.count('multipathd', 'resize', 'map')).toBe(1);
  });

  it('RP-20, F-107: removes only its own map, trying again while it is in use for a moment', async () => {
    const { node, target, host, within } = two();
    target.luns.set(2, { naa: B, size: GIB });
    await host.attach(spec, within());
    await host.attach({ ...spec, volume: 'vm-100-disk-1', lun: 2, naa: B }, within());
    node.busyFlushes = 3;
    await host.detach(REF, within());
    expect([...node.maps.keys()]).toEqual([B.slice(2)]);
    expect([...node.devices.values()].map((device) => device.lun)).toEqual([2, 2]);
    expect([...node.wwids]).toEqual([`3${B.slice(2)}`]);
    expect(node.sessionOf(target, '10.0.0.1:3260')).toBe(true);
    expect(node.commands.log.some((argv) => argv.includes('--logout') || argv.includes('-F'))).toBe(false);
  });
});
