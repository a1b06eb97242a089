import { describe, expect, it } from 'vitest';
import { type FakeNode, naaOf } from '../testing/fake-node.ts';
import { A, B, GIB, LINK, lun, REF, setup } from '../testing/kernel-rig.ts';

const SPEC = lun();

async function attached(): Promise<ReturnType<typeof setup>> {
  const rig = setup();
  await rig.host.attach(SPEC, rig.within());
  return rig;
}

const deletes = (node: FakeNode): readonly string[] => node.writes.filter(([path]) => path.endsWith('/delete')).map(([path]) => path);

describe('KernelInitiator.detach', () => {
  it('removes link and device of this volume only, keeps the session, and succeeds again when nothing is there', async () => {
    const { node, target, host, within } = await attached();
    target.luns.set(2, { naa: B, size: GIB });
    await host.attach({ ...SPEC, volume: 'vm-100-disk-1', lun: 2, naa: B }, within());
    await host.detach(REF, within());
    await host.detach(REF, within());
    expect(await node.files.readLink(LINK)).toBeNull();
    expect([...node.devices.keys()]).toEqual(['3:0:0:2']);
    expect(deletes(node)).toEqual(['/sys/class/scsi_device/3:0:0:1/device/delete']);
    expect(node.sessionOf(target, '10.0.0.1:3260')).toBe(true);
    expect(node.commands.log).toContainEqual(['blockdev', '--flushbufs', '/dev/sda']);
  });

  it('finds the devices through the link when the array can no longer tell the NAA', async () => {
    const { node, host, within } = await attached();
    await host.detach({ storage: 'tn', volume: 'vm-100-disk-0' }, within());
    expect(node.devices.size).toBe(0);
  });

  it('finds the devices by NAA when the link is gone', async () => {
    const { node, host, within } = await attached();
    node.files.drop(LINK);
    await host.detach(REF, within());
    expect(node.devices.size).toBe(0);
  });

  it('RP-13: leaves a device alone that sysfs shows as this volume but that is another one by now', async () => {
    const { node, target, host, within } = await attached();
    target.luns.set(1, { naa: B, size: GIB });
    await host.detach(REF, within());
    expect(deletes(node)).toEqual([]);
    expect(await node.files.readLink(LINK)).toBeNull();
  });

  it('RP-12: removes the leftover of a LUN that is unmapped already', async () => {
    const { node, target, host, within } = await attached();
    target.luns.clear();
    await host.detach(REF, within());
    expect(node.devices.size).toBe(0);
  });

  it.each<[string, (node: FakeNode) => void, string]>([
    ['mounted', (node) => node.files.put('/proc/1/mountinfo', '36 35 8:16 / /mnt/x rw - ext4 /dev/sda rw\n'), 'mount /mnt/x'],
    [
      'mounted by a partition',
      (node) => {
        node.files.put('/sys/class/block/sda/sda1/partition', '1\n');
        node.files.put('/sys/class/block/sda1/partition', '1\n');
        node.files.put('/sys/class/block/sda/sda1/dev', '8:17\n');
        node.files.put('/sys/class/block/sda1/dev', '8:17\n');
        node.files.put('/proc/1/mountinfo', '36 35 8:17 / /mnt/y rw - ext4 /dev/sda1 rw\n');
      },
      'mount /mnt/y',
    ],
    ['swap', (node) => node.files.put('/proc/swaps', 'Filename Type Size\n/dev/sda partition 1 0 -2\n'), 'swap /dev/sda'],
    ['behind a loop device', (node) => node.files.put('/sys/class/block/loop0/loop/backing_file', '/dev/sda\n'), 'loop0'],
    [
      'part of LVM',
      (node) => {
        node.files.put('/sys/class/block/sda/holders/dm-9', '');
        node.files.put('/sys/class/block/dm-9/dm/name', 'guest-root\n');
      },
      'dm-9 (guest-root)',
    ],
    [
      'open in QEMU',
      (node) => {
        node.files.putLink('/proc/4711/fd/12', '/dev/sda');
        node.files.put('/proc/4711/comm', 'kvm\n');
      },
      'kvm (process 4711)',
    ],
    ['exclusively open', (node) => void node.files.exclusive.add('/dev/sda'), 'an exclusive opener of /dev/sda'],
  ])('F-312: refuses while the device is %s, and removes nothing', async (_how, hold, who) => {
    const { node, host, within } = await attached();
    hold(node);
    await expect(host.holders(REF, within())).resolves.toEqual([who]);
    await expect(host.detach(REF, within())).rejects.toMatchObject({
      code: 'DEVICE_BUSY',
      message: expect.stringContaining(who) as string,
    });
    await expect(host.flush(REF, within())).rejects.toMatchObject({ code: 'DEVICE_BUSY' });
    expect(deletes(node)).toEqual([]);
    expect(await node.files.readLink(LINK)).not.toBeNull();
  });

  it('takes neither multipathd, nor udev, nor somebody who looks for a moment, nor a name that only begins alike for a holder', async () => {
    const { node, host, within } = await attached();
    node.files.putLink('/proc/7/fd/3', '/dev/sda');
    node.files.put('/proc/7/comm', 'multipathd\n');
    node.files.putLink('/proc/8/fd/3', '/dev/sdab');
    node.files.put('/proc/8/comm', 'kvm\n');
    node.files.put('/proc/swaps', 'Filename\n/dev/sdab partition\n');
    await expect(host.holders(REF, within())).resolves.toEqual([]);
    node.files.exclusive.add('/dev/sda');
    node.clock.after(500, () => node.files.exclusive.delete('/dev/sda'));
    await host.detach(REF, within());
    expect(node.devices.size).toBe(0);
  });

  it('detaches a volume that was never here, and answers that nobody holds it', async () => {
    const { node, host, within } = await attached();
    const never = { storage: 'tn', volume: 'vm-9999-disk-0', naa: naaOf('9') };
    await host.detach(never, within());
    await host.flush(never, within());
    await expect(host.holders(never, within())).resolves.toEqual([]);
    expect(node.devices.size).toBe(1);
  });
});

describe('KernelInitiator.grow and flush', () => {
  it('RP-11: shows the new size before it returns', async () => {
    const { node, target, host, within } = await attached();
    target.luns.set(1, { naa: A, size: 2 * GIB });
    await host.grow({ ...SPEC, size: 2 * GIB }, within());
    expect(await node.files.read('/sys/class/block/sda/size')).toBe(String((2 * GIB) / 512));
  });

  it('fails with DEVICE_SIZE when the target keeps the old size, with DEVICE_IDENTITY when the number went to another volume', async () => {
    const { target, host, within } = await attached();
    await expect(host.grow({ ...SPEC, size: 2 * GIB }, within())).rejects.toMatchObject({ code: 'DEVICE_SIZE' });
    target.luns.set(1, { naa: B, size: 2 * GIB });
    await expect(host.grow({ ...SPEC, size: 2 * GIB }, within())).rejects.toMatchObject({ code: 'DEVICE_IDENTITY' });
  });

  it('has nothing to do where the volume is not attached', async () => {
    const { node, host, within } = await attached();
    await host.detach(REF, within());
    const before = node.writes.length;
    await host.grow({ ...SPEC, size: 2 * GIB }, within());
    expect(node.writes).toHaveLength(before);
  });

  it('F-321, RP-15: drops the cached blocks of the device', async () => {
    const { node, host, within } = await attached();
    await host.flush(REF, within());
    expect(node.commands.log.at(-1)).toEqual(['blockdev', '--flushbufs', '/dev/sda']);
  });
});
