import { describe, expect, it, vi } from 'vitest';
import { deadlineAfter } from '../../core/deadline.ts';
import type { LunSpec } from '../../core/host-port.ts';
import { naaOf } from '../testing/fake-node.ts';
import { A, B, GIB, IQN, LINK, lun, REF, setup, two, TWO } from '../testing/kernel-rig.ts';

describe('KernelInitiator.attach', () => {
  it('logs in, scans the one LUN, verifies it and sets the link to the name that carries the identity', async () => {
    const { node, host, within } = setup();
    await expect(host.attach(lun(), within())).resolves.toEqual({ path: LINK, device: '/dev/sda' });
    expect(await node.files.readLink(LINK)).toBe(`/dev/disk/by-id/wwn-${A}`);
    expect(host.path(lun())).toBe(LINK);
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

  it.each([
    [
      'its time ends: what did not come',
      null,
      { code: 'DEVICE_MISSING', message: expect.stringMatching(/LUN 1 of .* appeared at 3:0:0:1/) as string },
    ],
    ['it is cancelled: why', new Error('the daemon is stopping'), { message: 'the daemon is stopping' }],
  ])('F-105: tells, when in the middle of a scan %s', async (_when, reason, told) => {
    const { node, host } = setup();
    const write = node.files.write.bind(node.files);
    vi.spyOn(node.files, 'write').mockImplementation((path, text) =>
      path.endsWith('/scan') ? new Promise(() => undefined) : write(path, text),
    );
    const deadline = deadlineAfter(node.clock, 20_000, 'attach');
    if (reason !== null) node.clock.after(1000, () => deadline.cancel(reason));
    await expect(host.attach(lun(), deadline)).rejects.toMatchObject(told);
    expect(node.devices.size).toBe(0);
    expect(await node.files.readLink(LINK)).toBeNull();
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

  it.each([
    { what: 'the wanted one comes right after', queue: true, later: 20, name: `wwn-${A}`, within: 200 },
    { what: 'udev is idle and makes no other', queue: false, later: null, name: `scsi-3${A.slice(2)}`, within: 50 },
    { what: 'udev is busy and makes no other', queue: true, later: null, name: `scsi-3${A.slice(2)}`, within: 1500 },
  ])('links to the name that is wanted first, though another stands there before: $what', async ({ queue, later, name, within: ms }) => {
    const { node, host, within } = setup();
    await host.attach(lun(), within());
    await node.files.remove(LINK);
    node.files.drop(`/dev/disk/by-id/wwn-${A}`);
    if (queue) node.files.put('/run/udev/queue', '');
    if (later !== null) node.clock.after(later, () => node.files.putLink(`/dev/disk/by-id/wwn-${A}`, '../../sda'));
    const before = node.clock.monotonic();
    await expect(host.attach(lun(), within())).resolves.toEqual({ path: LINK, device: '/dev/sda' });
    expect(await node.files.readLink(LINK)).toBe(`/dev/disk/by-id/${name}`);
    expect(node.clock.monotonic() - before).toBeLessThanOrEqual(ms);
  });

  it('links to the name that is wanted first, though udev makes it and is done between the look at it and the look at udev', async () => {
    const { node, host, within } = setup();
    await host.attach(lun(), within());
    await node.files.remove(LINK);
    node.files.drop(`/dev/disk/by-id/wwn-${A}`);
    const { files } = node;
    const real = files.kind.bind(files);
    files.kind = (path) => {
      if (path === '/run/udev/queue') files.putLink(`/dev/disk/by-id/wwn-${A}`, '../../sda');
      return real(path);
    };
    await host.attach(lun(), within());
    expect(await files.readLink(LINK)).toBe(`/dev/disk/by-id/wwn-${A}`);
  });

  it('reads nothing of the other disks of a node to attach one, and their identity alone to detach it', async () => {
    const { node, target, host, within } = setup();
    for (let number = 2; number <= 40; number += 1) {
      const naa = `0x6589cfc${String(number).padStart(25, '0')}`;
      target.luns.set(number, { naa, size: GIB });
    }
    node.login(target, '10.0.0.1:3260');
    for (let number = 2; number <= 40; number += 1) node.appear(3, number);
    const looked: string[] = [];
    const { files } = node;
    for (const way of ['read', 'list', 'kind'] as const) {
      const real = files[way].bind(files) as (path: string) => Promise<never>;
      files[way] = (path: string) => {
        if (/^\/sys\/class\/scsi_device\/3:0:0:(?!1(?:\/|$))/.test(path)) looked.push(path.slice(path.lastIndexOf('/') + 1));
        return real(path);
      };
    }
    await host.attach(lun(), within());
    expect(looked).toEqual([]);
    await host.detach(REF, within());
    expect(looked.length).toBeGreaterThan(0);
    expect(new Set(looked)).toEqual(new Set(['wwid']));
  });

  it('does not count a path that vanishes while it is verified', async () => {
    const { node, host, within } = two();
    const run = node.commands.run.bind(node.commands);
    node.commands.run = async (argv, options) => {
      const answer = await run(argv, options);
      if (argv.includes('--device=/dev/sdb')) await node.files.write('/sys/class/scsi_device/4:0:0:1/device/delete', '1');
      return answer;
    };
    await expect(host.attach(lun({ portals: TWO }), within())).resolves.toEqual({ path: LINK, device: '/dev/sda' });
    expect(node.warnings).toContainEqual(
      expect.objectContaining({
        message: 'a volume has fewer paths than its storage has portals',
        fields: expect.objectContaining({ paths: ['sda'] }) as unknown,
      }),
    );
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
