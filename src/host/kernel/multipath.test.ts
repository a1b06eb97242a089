import { describe, expect, it } from 'vitest';
import { A, B, GIB, IQN, LINK, lun, REF, setup, two, TWO } from '../testing/kernel-rig.ts';

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
