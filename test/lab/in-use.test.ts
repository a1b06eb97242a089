import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OneNode } from './testing/one-node.ts';
import type { Spec } from './testing/operations.ts';
import { linkOf } from './testing/specs.ts';

interface Use {
  readonly by: string;
  /** `$D`: the link of the volume */
  readonly begin: string;
  readonly end: string;
  readonly named: RegExp;
}

const USES: readonly Use[] = [
  { by: 'a mount', begin: 'mkfs.ext4 -q $D; mkdir -p /mnt/x; mount $D /mnt/x', end: 'umount /mnt/x', named: /mount \/mnt\/x/ },
  {
    by: 'a mount of a partition',
    begin:
      "echo ',100M' | sfdisk -q $D; udevadm settle; P=$(readlink -f $D)1; wait_for 20 test -b $P; mkfs.ext4 -q $P; mkdir -p /mnt/x; mount $P /mnt/x",
    end: 'umount /mnt/x',
    named: /mount \/mnt\/x/,
  },
  {
    by: 'device mapper',
    begin: 'dmsetup create labdm --table "0 1024 linear $D 0"',
    end: 'dmsetup remove --retry labdm',
    named: /dm-\d+ \(labdm\)/,
  },
  {
    by: 'LVM',
    // the zvol itself is in the same VM: LVM must not see the disk twice
    begin:
      'mkdir -p /etc/lvm; echo "devices { global_filter=[ \\"r|/dev/zd.*|\\" ] }" > /etc/lvm/lvmlocal.conf; vgcreate -q labvg $D; lvcreate -q -y -Wn -Zn -l 10 -n lablv labvg; wait_for 20 test -e /dev/mapper/labvg-lablv || vgchange -ay labvg',
    end: 'vgchange -q -an labvg',
    named: /dm-\d+ \(labvg-lablv\)/,
  },
  { by: 'a loop device', begin: 'losetup -f --show $D > /tmp/loop', end: 'losetup -d $(cat /tmp/loop)', named: /loop\d+/ },
  { by: 'swap', begin: 'mkswap -q $D; swapon $D', end: 'swapoff $D', named: /swap \/dev\/sd/ },
  {
    by: 'an open file',
    begin: 'setsid sleep 600 < $D > /dev/null 2>&1 & echo $! > /tmp/holder',
    end: 'kill $(cat /tmp/holder)',
    named: /sleep \(process \d+\)/,
  },
];

describe('a volume that is in use on its node', () => {
  let node: OneNode;
  let spec: Spec;
  beforeAll(async () => {
    node = await OneNode.start(async (fresh) => {
      spec = await fresh.volume(1);
      await fresh.done({ what: 'attach', spec });
    });
  });
  beforeEach(() => node.again());
  afterAll(() => node.stop());

  it.each(USES)('by $by is not let go: the error names who holds it; once it is free it goes (F-312)', async ({ begin, end, named }) => {
    const inVm = (text: string): Promise<string> => node.sh(`D=${linkOf(spec)}\n${text}`);
    await inVm(begin);
    const [refused, holders] = await node.perform({ what: 'detach', spec }, { what: 'holders', spec });
    expect(refused).toMatchObject({ code: 'DEVICE_BUSY', message: expect.stringMatching(named) as string });
    expect(holders).toMatchObject({ value: expect.stringMatching(named) as string });
    expect(await inVm('test -b $D && dd if=$D bs=4k count=1 status=none | wc -c')).toBe('4096');
    await inVm(end);
    expect(await node.done({ what: 'detach', spec })).toBe('done');
    expect(await inVm('ls -d $D /sys/class/scsi_device/* 2> /dev/null || true')).toBe('');
  });
});
