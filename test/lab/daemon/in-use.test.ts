import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LabNode } from '../testing/lab-node.ts';

/** What holds a disk `$d`, and how it lets go. */
const HOLDERS = {
  // read-only, so that nothing but the refused deletion could change it
  mount: { take: 'mkfs.ext4 -q $d; mkdir -p /mnt/held; mount -o ro,noload $d /mnt/held', leave: 'umount /mnt/held' },
  'device mapper': { take: 'dmsetup create held --table "0 2048 linear $d 0"', leave: 'dmsetup remove held' },
  LVM: { take: 'pvcreate -qy $d; vgcreate -qy held $d; lvcreate -qy -L 64M -n disk held', leave: 'vgchange -qan held' },
  'a loop device': { take: 'losetup -f $d', leave: 'losetup -D' },
} as const;

describe('a volume that something on the node uses', () => {
  let node: LabNode;
  beforeEach(async () => {
    node = await LabNode.start();
  });
  afterEach(() => node.stop());

  for (const [what, { take, leave }] of Object.entries(HOLDERS)) {
    it(`in use by ${what}: is not freed and stays whole; is freed when that has let go`, async () => {
      const lun = await node.volume();
      const path = await node.activate(lun);
      await node.machine.sh(`d=${path}; ${take}; udevadm settle`);
      const sum = await node.onArray(lun);
      // by the daemon, which saw the holder, before the array was asked for anything
      expect((await node.ask('volume.free', { volume: lun.volume })).error).toMatchObject({
        data: { code: 'VOLUME_BUSY' },
        message: expect.stringContaining(`'nas:${lun.volume}' is in use on this node: `) as string,
      });
      expect(await node.sim.luns()).toEqual([lun]);
      expect(await node.onArray(lun)).toBe(sum);
      await node.machine.sh(`${leave}; udevadm settle`);
      await node.call('volume.free', { volume: lun.volume });
      expect(await node.sim.luns()).toEqual([]);
      expect(await node.devices()).toBe('');
    });
  }
});
