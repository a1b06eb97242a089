import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OneNode } from './testing/one-node.ts';
import type { Spec } from './testing/operations.ts';
import { GIB, linkOf, PORTALS, specOf } from './testing/specs.ts';

/** SCSI addresses without host number, and how many sessions. */
const DEVICES = "ls /sys/class/scsi_device | sed 's/^[0-9]*://'";
const SESSIONS = 'ls /sys/class/iscsi_session | wc -l';
/**
 * udev as on a node where nobody installed multipath-tools, which is how Proxmox VE installs it: without its rules and those of
 * sg3-utils-udev, which comes with it, and which start five programs for each disk.
 */
const WITHOUT_MULTIPATH_TOOLS =
  'for rules in 55-scsi-sg3_id 56-dm-mpath 58-scsi-sg3_symlink 60-multipath; do ln -s /dev/null /etc/udev/rules.d/$rules.rules; done; udevadm control --reload';

describe('a volume on a node, with a real kernel', () => {
  let node: OneNode;
  let spec: Spec;
  beforeAll(async () => {
    node = await OneNode.start(async (fresh) => {
      spec = await fresh.volume(1);
    });
  });
  beforeEach(() => node.again());
  afterAll(() => node.stop());

  it('attach: the link leads by identity to the disk, and what is written there is on the zvol (RP-10)', async () => {
    const device = await node.done({ what: 'attach', spec });
    expect(await node.sh(`readlink ${linkOf(spec)}; readlink -f ${linkOf(spec)}`)).toBe(`/dev/disk/by-id/wwn-${spec.naa}\n${device}`);
    expect(await node.sh(`/lib/udev/scsi_id -g -u ${linkOf(spec)}`)).toBe(`3${spec.naa.slice(2)}`);
    const sum = await node.write(linkOf(spec));
    expect(await node.read('/dev/zvol/tank/d1')).toBe(sum);
  });

  it('detach: no device, no link; a second time as well; the session stays for the others (F-120)', async () => {
    await node.done({ what: 'attach', spec });
    for (let time = 1; time <= 2; time += 1) {
      expect(await node.done({ what: 'detach', spec })).toBe('done');
      expect(await node.sh(`ls -d /dev/sd* ${linkOf(spec)} /sys/class/scsi_device/* 2> /dev/null || true; ${SESSIONS}`)).toBe('1');
    }
  });

  it('attach while attached, and in use: the same device, no second session', async () => {
    const device = await node.done({ what: 'attach', spec });
    await node.sh(`setsid sleep 600 < ${device} > /dev/null 2>&1 &`);
    expect(await node.done({ what: 'attach', spec })).toBe(device);
    expect(await node.sh(SESSIONS)).toBe('1');
  });

  it('login to two portals without a discovery (F-110, F-111); twice logged in is logged in, also by somebody else (RP-16)', async () => {
    const both = { ...spec, portals: [...PORTALS] };
    await node.sh(`iscsiadm -m node -o new -T ${spec.iqn} -p 127.0.0.2; iscsiadm -m node -T ${spec.iqn} -p 127.0.0.2 -o update -n node.session.scan -v manual
      iscsiadm -m node -T ${spec.iqn} -p 127.0.0.2 --login`);
    await node.done({ what: 'attach', spec: both });
    expect(await node.sh('cat /sys/class/iscsi_connection/*/address | sort')).toBe('127.0.0.1\n127.0.0.2');
    expect(await node.sh('ls /var/lib/iscsi/send_targets /etc/iscsi/send_targets 2> /dev/null | wc -l')).toBe('0');
    await node.done({ what: 'attach', spec: both });
    expect(await node.sh(SESSIONS)).toBe('2');
    await node.done({ what: 'detach', spec: both });
    expect(await node.sh(DEVICES)).toBe('');
  });

  it('single-LUN scan: another volume of the same target does not appear on this node (F-105, F-108)', async () => {
    const other = await node.volume(2);
    await node.done({ what: 'attach', spec });
    expect(await node.sh(`${DEVICES}; udevadm settle; ls /dev/disk/by-id/wwn-${other.naa} 2> /dev/null || echo absent`)).toBe(
      '0:0:1\nabsent',
    );
  });

  it('a LUN number above 255: SAM flat addressing (F-118)', async () => {
    const far = await node.volume(3, { lun: 300 });
    await node.done({ what: 'attach', spec: far });
    const sum = await node.write(linkOf(far));
    expect(await node.read('/dev/zvol/tank/d3')).toBe(sum);
    await node.done({ what: 'detach', spec: far });
    expect(await node.sh(DEVICES)).toBe('');
  });

  it('a device that appears late: a LUN that is mapped while the node looks for it (F-106, RP-10)', async () => {
    await node.sh('lio_unmap d1 1');
    // mapped once the node has looked in vain: its scan is in the daemon's log
    await node.sh(`(wait_for 60 grep -q 'scan < 0 0 1' /run/driver/a.log; lio_map d1 1) < /dev/null > /dev/null 2>&1 &`);
    await node.done({ what: 'attach', spec });
    expect(await node.sh(`test -b ${linkOf(spec)} && echo there`)).toBe('there');
  });

  it('a target without the LUN: an error when the time is over, nothing left behind (F-105)', async () => {
    const [outcome] = await node.perform({ what: 'attach', spec: specOf(9), ms: 12_000 });
    expect(outcome).toMatchObject({ code: 'DEVICE_MISSING', message: expect.stringContaining('LUN 9') as string });
    expect(await node.sh(`${DEVICES}; ls /dev/pve-truenas 2> /dev/null || true`)).toBe('');
  });

  it('grow while attached: the kernel shows the new size before the call returns (RP-11, RP-05)', async () => {
    const device = await node.done({ what: 'attach', spec });
    expect(await node.sh(`zfs set volsize=3G tank/d1; blockdev --getsize64 ${device}`)).toBe(String(GIB));
    const grown = { ...spec, size: 3 * GIB };
    const [done, size] = await node.perform({ what: 'grow', spec: grown }, { what: 'script', text: `blockdev --getsize64 ${device}` });
    expect([done, size]).toMatchObject([{ value: 'done' }, { value: `${3 * GIB}\n` }]);
    expect(await node.done({ what: 'attach', spec: grown })).toBe(device);
  });

  it('grow that the target does not serve yet: refused, never called grown (RP-11)', async () => {
    await node.done({ what: 'attach', spec });
    const [outcome] = await node.perform({ what: 'grow', spec: { ...spec, size: 2 * GIB } });
    expect(outcome).toMatchObject({ code: 'DEVICE_SIZE', message: expect.stringContaining(String(GIB)) as string });
  });

  it('rollback while attached: after the flush a cached read shows the old content and not the page cache (RP-15, F-321)', async () => {
    await node.done({ what: 'attach', spec });
    const before = await node.write(linkOf(spec));
    await node.sh('zfs snapshot tank/d1@s');
    const after = await node.write(linkOf(spec));
    // Who has the device open keeps its pages while the zvol changes below them. multipathd does so as its job and is no user of a volume.
    const cached = `dd if=${linkOf(spec)} bs=1M count=8 status=none | sha256sum`;
    const stale = await node.sh(
      `cp /bin/sleep /tmp/multipathd; setsid /tmp/multipathd 600 < ${linkOf(spec)} > /dev/null 2>&1 & wait_for 9 pgrep -x multipathd
      ${cached}; wait_for 20 zfs rollback tank/d1@s; ${cached}`,
    );
    expect(stale).toBe(`${after}\n${after}`);
    expect(await node.done({ what: 'flush', spec })).toBe('done');
    expect(await node.read(linkOf(spec), true)).toBe(before);
  });

  it('rollback while somebody uses the volume: the flush is refused and names him (F-321)', async () => {
    const device = await node.done({ what: 'attach', spec });
    await node.sh(`setsid sleep 600 < ${device} > /dev/null 2>&1 &`);
    const [refused] = await node.perform({ what: 'flush', spec });
    expect(refused).toMatchObject({ code: 'DEVICE_BUSY', message: expect.stringContaining('sleep (process') as string });
  });

  it('a disk that lost its names, because its array was away when a writer closed it, has them again when attach returns', async () => {
    const device = await node.done({ what: 'attach', spec });
    // on a loaded machine udev misses a writer's closing now and then; another one comes, then
    await node.sh(
      `${WITHOUT_MULTIPATH_TOOLS}; udevadm settle; state=/sys/block/${device.slice(5)}/device/state
       for writer in 1 2 3 4 5 6; do exec 3<> ${device}; echo offline > $state; exec 3>&-
         if wait_for 5 sh -c '! test -e ${linkOf(spec)}'; then break; fi; echo running > $state; done
       udevadm settle; test ! -e ${linkOf(spec)}; echo running > $state`,
      120,
    );
    expect(await node.done({ what: 'attach', spec })).toBe(device);
    expect(await node.sh(`readlink -f ${linkOf(spec)}`)).toBe(device);
  });

  it('40 volumes attached at once, each with its own content, and detached at once (F-109)', async () => {
    const numbers = Array.from({ length: 40 }, (_, index) => index + 11);
    await node.sh(WITHOUT_MULTIPATH_TOOLS);
    // One zvol and its clones: quicker than 40 of their own.
    await node.sh(
      `zfs snapshot tank/d1@s; for n in ${numbers.join(' ')}; do zfs clone tank/d1@s tank/d$n; done; udevadm settle
       for n in ${numbers.join(' ')}; do wait_for 30 test -b /dev/zvol/tank/d$n; printf %-512s "content-$n" | dd of=/dev/zvol/tank/d$n bs=512 oflag=direct status=none
       lio_disk d$n /dev/zvol/tank/d$n 000000a1b2c3d4e5f60$((1000 + n))00; lio_map d$n $n; done`,
      300,
    );
    const specs = numbers.map((number) => specOf(number));
    const attached = await node.together(specs.map((one) => ({ what: 'attach', spec: one })));
    expect(attached.filter((outcome) => !('value' in outcome))).toEqual([]);
    const contents = await node.sh(
      `for n in ${numbers.join(' ')}; do dd if=/dev/pve-truenas/nas/vm-$((100 + n))-disk-0 bs=512 count=1 iflag=direct status=none | tr -d ' '; echo; done`,
    );
    expect(contents.split('\n')).toEqual(numbers.map((number) => `content-${number}`));
    const detached = await node.together(specs.map((one) => ({ what: 'detach', spec: one })));
    expect(detached.filter((outcome) => !('value' in outcome))).toEqual([]);
    expect(await node.sh(`${DEVICES}; ls /dev/pve-truenas/nas`)).toBe('');
  });
});
