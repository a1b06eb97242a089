import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GIB, LabNode, pvesmCommand } from '../testing/lab-node.ts';

const LINKS = '/dev/pve-truenas/nas';

describe('the life of a volume through the Perl module and the daemon', () => {
  let node: LabNode;
  beforeEach(async () => {
    node = await LabNode.start();
  });
  afterEach(() => node.stop());

  it('allocate, activate, write, deactivate, activate, read, free: by sha256, and nothing stays (RP-10)', async () => {
    expect(await node.pvesm('alloc', 'nas', '100', '', String(GIB / 1024))).toBe('nas:vm-100-disk-0');
    const lun = { volume: 'vm-100-disk-0' };
    expect(await node.machine.sh(`zfs get -Hpo value volsize ${node.zvol(lun)}`)).toBe(String(GIB));
    await node.pvesm('activate', 'nas:vm-100-disk-0');
    const path = await node.pvesm('path', 'nas:vm-100-disk-0');
    expect(path).toBe(`${LINKS}/vm-100-disk-0`);
    const sum = await node.write(path);
    expect(await node.onArray(lun)).toBe(sum);
    await node.pvesm('deactivate', 'nas:vm-100-disk-0');
    expect(await node.devices()).toBe('');
    await node.pvesm('activate', 'nas:vm-100-disk-0');
    expect(await node.read(path)).toBe(sum);
    await node.pvesm('free', 'nas:vm-100-disk-0');
    expect(await node.devices()).toBe('');
    expect(await node.machine.sh(`zfs list -Ho name -r ${node.sim.about.dataset}`)).toBe(node.sim.about.dataset);
    expect(await node.sim.luns()).toEqual([]);
  });

  it('resize: the kernel shows the new size when the call returns (RP-11)', async () => {
    const lun = await node.volume();
    const path = await node.activate(lun);
    const size = `blockdev --getsize64 ${path}`;
    expect(await node.machine.sh(size)).toBe(String(GIB));
    expect(await node.machine.sh(`${pvesmCommand('resize', `nas:${lun.volume}`, String(2 * GIB))} > /dev/null; ${size}`, 120)).toBe(
      String(2 * GIB),
    );
  });

  it('end to end, rollback: whoever has the disk open under a name of his own reads no page of before (RP-15)', async () => {
    const lun = await node.volume();
    const path = await node.activate(lun);
    const old = await node.write(path);
    await node.call('snapshot.create', { volume: lun.volume, snapshot: 'before' });
    const later = await node.write(path);
    // As a container does: its device node is its own. Its pages stay while it has it open.
    await node.machine.sh(`mknod /tmp/own b $(lsblk -dno MAJ:MIN ${path} | tr : ' '); setsid sleep 600 < /tmp/own > /dev/null 2>&1 &`);
    expect(await node.read('/tmp/own')).toBe(later);
    // It reads once more when the daemon has asked for the rollback and the array has not done it yet.
    const held = await node.sim.hold('pool.snapshot.rollback');
    const rollback = node.call('snapshot.rollback', { volume: lun.volume, snapshot: 'before' });
    await held.asked();
    expect(await node.readMeanwhile('/tmp/own')).toBe(later);
    await held.release();
    await rollback;
    expect(await node.onArray(lun)).toBe(old);
    expect(await node.read('/tmp/own')).toBe(old);
  });

  it('end to end, single LUN: a scan brings the volume asked for and no other one of the target (F-108)', async () => {
    const luns = [await node.volume(), await node.volume(), await node.volume()] as const;
    // The first login brings what the target has, by the initiator's own scan or not; what is there is counted afterwards.
    await node.activate(luns[0]);
    await node.call('volume.deactivate', { volume: luns[0].volume });
    const before = await node.devices();
    const path = await node.activate(luns[1]);
    const disk = await node.machine.sh(`basename $(readlink -f ${path})`);
    expect((await node.devices()).split('\n').sort()).toEqual([before, disk, path].filter((line) => line !== '').sort());
  });

  it('leaves disks of NVMe/TCP to whoever connected them', async () => {
    await node.sh(`zfs create -s -V 256M tank/foreign; udevadm settle; nvmet_subsystem; nvmet_namespace 1 /dev/zvol/tank/foreign 11111111-2222-4333-8444-555555555555
      nvmet_port 1 10.77.0.10; nvme connect -t tcp -a 10.77.0.10 -s 4420 -n $NQN; wait_for 30 test -b /dev/nvme0n1`);
    const sum = await node.write('/dev/nvme0n1');
    const lun = await node.volume();
    await node.write(await node.activate(lun));
    await node.call('volume.resize', { volume: lun.volume, size: 2 * GIB });
    await node.call('volume.deactivate', { volume: lun.volume });
    await node.call('volume.free', { volume: lun.volume });
    expect(await node.machine.sh('nvme list-subsys | grep -c " live"')).toBe('1');
    expect(await node.read('/dev/nvme0n1')).toBe(sum);
  });
});
