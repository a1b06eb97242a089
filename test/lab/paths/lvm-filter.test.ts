import { afterEach, describe, expect, it } from 'vitest';
import { judgeLvm, parseLvmConfig } from '../../../src/doctor/node/lvm-filter.ts';
import { example, Lab, linkOf, Node, specOf, Storage, wwidOf } from './rig.ts';

const lab = new Lab();
afterEach(() => lab.stop());

/** What Proxmox VE's own package puts at the end of lvm.conf. */
const PVE =
  'devices {\n     # added by pve-manager to avoid scanning ZFS zvols and Ceph rbds\n     global_filter=["r|/dev/zd.*|","r|/dev/rbd.*|"]\n }\n';

/** A guest has made an LVM: on the whole disk of one volume and in a partition of another. What udev's rules activate of it here is let go. */
const asGuest = (volume: ReturnType<typeof specOf>, number: number, partition: boolean) => `
  d=$(readlink -f ${linkOf(volume)})
  ${partition ? `printf 'label: gpt\\n1M,500M\\n' | sfdisk -q --no-reread --no-tell-kernel $d; l=$(losetup -f --show -o 1M --sizelimit 500M $d)` : 'l=$d'}
  pvcreate -qq $l; vgcreate -qq guest${number} $l; lvcreate -qq -an -Zn -Wn -l 10 -n data guest${number}; udevadm settle; vgchange -qq -an guest${number}; case $l in /dev/loop*) losetup -d $l; while losetup $l > /dev/null 2>&1; do sleep 0.1; done ;; esac; blockdev --flushbufs $d`;

describe('docs/examples/lvm-filter.conf', () => {
  for (const multipath of [true, false]) {
    it(`keeps the LVM of a node off the disks of guests, ${multipath ? 'maps' : 'single paths'}; without it LVM finds and holds them (F-117)`, async () => {
      const { st, n1 } = await lab.restore('st', 'n1');
      const conf = await example('multipath.conf');
      const [storage, node] = await Promise.all([Storage.start(st), multipath ? Node.start(n1, conf) : Node.start(n1)]);
      const over = multipath ? {} : { networks: [0], multipath: false };
      const [whole, parted] = [await storage.volume(specOf(1, over)), await storage.volume(specOf(2, over))];
      await node.machine.sh('cat >> /etc/lvm/lvm.conf', 60, PVE);
      await node.done({ what: 'attach', spec: whole }, { what: 'attach', spec: parted });
      await node.sh(asGuest(whole, 1, false) + asGuest(parted, 2, true), 120);
      await node.done(
        { what: 'detach', spec: whole },
        { what: 'detach', spec: parted },
        { what: 'attach', spec: whole },
        { what: 'attach', spec: parted },
      );
      const partition = multipath ? `/dev/mapper/${wwidOf(parted)}-part1` : `$(readlink -f ${linkOf(parted)})1`;
      await node.until(`[ -b ${partition} ]`);
      // A group of the node's own, which the filter must not hide.
      await node.sh('truncate -s 64M /root/own; vgcreate -qq own $(losetup -f --show /root/own)');
      const groups = 'udevadm settle; vgs --noheadings -o vg_name 2>&1 | tr -d " " | sort';
      const settings = async () =>
        parseLvmConfig(await node.sh('lvmconfig --type full devices/global_filter devices/filter devices/use_devicesfile'));
      const kinds = { disks: !multipath, maps: multipath };

      expect(await node.sh(groups)).toBe('guest1\nguest2\nown');
      expect(judgeLvm(await settings(), kinds).state).toBe('warning');
      // udev's rules have LVM activate what it sees: the disk of the guest is held by its own host.
      await node.until('[ -b /dev/guest1/data ]');
      expect(await node.perform({ what: 'detach', spec: whole })).toEqual([
        expect.objectContaining({ code: 'DEVICE_BUSY', message: expect.stringContaining('guest1-data') as string }),
      ]);
      await node.sh('vgchange -qq -an guest1 guest2');
      await node.done({ what: 'detach', spec: whole }, { what: 'detach', spec: parted });

      await node.machine.sh('cat >> /etc/lvm/lvmlocal.conf', 60, await example('lvm-filter.conf'));
      await node.done({ what: 'attach', spec: whole }, { what: 'attach', spec: parted });
      await node.until(`[ -b ${partition} ]`);
      expect(await node.sh(groups)).toBe('own');
      expect(judgeLvm(await settings(), kinds).state).toBe('ok');
      expect(await node.sh('pvs 2>&1 | grep -c -iE "duplicate|warning|error" || true')).toBe('0');
      expect(await node.sh('dmsetup ls | grep -c ^guest || true')).toBe('0');
      await node.done({ what: 'detach', spec: whole }, { what: 'detach', spec: parted });
    });
  }
});
