import { beforeEach, describe, expect, it } from 'vitest';
import { deadlineAfter } from '../core/deadline.ts';
import type { NodeState } from '../core/leftovers-port.ts';
import { ManualClock } from '../core/testing/manual-clock.ts';
import { HostLeftovers } from './leftovers.ts';
import { FakeHost } from './testing/fake-host.ts';
import { FakeNode } from './testing/fake-node.ts';

const NAA = `6589cfc000000${'a'.repeat(19)}`;
const IQN = 'iqn.2005-10.org.freenas.ctl:pve';
let node: FakeNode;
let kernel: FakeHost;
let leftovers: HostLeftovers;

beforeEach(() => {
  node = new FakeNode();
  kernel = new FakeHost();
  leftovers = new HostLeftovers(
    node.context,
    { links: '/dev/pve-truenas', records: '/run/pve-truenas/direct' },
    { kernel, direct: new FakeHost() },
  );
});

const deadline = () => deadlineAfter(new ManualClock(), 60_000, 'test');
const read = (): Promise<NodeState> => leftovers.read(deadline());

describe('what volumes leave on a node', () => {
  it('is nothing on a node that never had one', async () => {
    expect(await read()).toEqual({ links: [], records: [], devices: [], initiatorRecords: [] });
  });

  it('are links with the identity that they were set to, and records', async () => {
    node.files.putLink('/dev/pve-truenas/tn/vm-100-disk-0', `/dev/disk/by-id/wwn-0x${NAA}`);
    node.files.put('/dev/pve-truenas/tn/a-file', 'not ours');
    node.files.putLink('/run/pve-truenas/direct/tn/vm-101-disk-0', 'iscsi://10.0.0.1:3260/x/1');
    expect(await read()).toMatchObject({
      links: [{ storage: 'tn', volume: 'vm-100-disk-0', naa: NAA }],
      records: [{ storage: 'tn', volume: 'vm-101-disk-0', naa: null, text: 'iscsi://10.0.0.1:3260/x/1' }],
    });
  });

  it('are devices of TrueNAS with their session, and no others', async () => {
    const target = node.addTarget(IQN, '10.0.0.1:3260');
    target.luns.set(1, { naa: `0x${NAA}`, size: 2 ** 30 });
    target.luns.set(2, { naa: `0x6001405${'0'.repeat(25)}`, size: 2 ** 20 });
    const session = node.login(target, '10.0.0.1:3260');
    for (const lun of [1, 2]) {
      node.appear(session + 2, lun);
      node.files.put(`/sys/class/scsi_device/${session + 2}:0:0:${lun}/device/vendor`, 'TrueNAS \n');
    }
    const { devices } = await read();
    expect(devices).toMatchObject([{ address: `${session + 2}:0:0:1`, naa: NAA, size: 2 ** 30, iqn: IQN, portals: ['10.0.0.1:3260'] }]);
  });

  it('are records of the initiator; secrets in them are not told', async () => {
    const record = (more: string): string =>
      `# BEGIN RECORD\nnode.name = ${IQN}\n${more}node.session.auth.password = hunter2hunter2\n# END RECORD\n`;
    node.files.put(`/var/lib/iscsi/nodes/${IQN}/10.0.0.1,3260,1/default`, record('node.startup = manual\nnode.session.scan = manual\n'));
    node.files.put(`/var/lib/iscsi/nodes/${IQN}/fd00::1,3260`, record('node.startup = automatic\n'));
    const { initiatorRecords } = await read();
    expect(initiatorRecords).toEqual([
      { iqn: IQN, host: '10.0.0.1', port: 3260, likeOurs: true, loggedIn: false },
      { iqn: IQN, host: 'fd00::1', port: 3260, likeOurs: false, loggedIn: false },
    ]);
    expect(JSON.stringify(initiatorRecords)).not.toContain('hunter2');
  });

  it('a link goes as deactivating the volume would take it: never while something holds the device', async () => {
    const place = { storage: 'tn', volume: 'vm-100-disk-0', naa: NAA, text: '' };
    kernel.hold(place, ['mounted on /mnt']);
    await expect(leftovers.removeLink(place, deadline())).rejects.toMatchObject({ code: 'DEVICE_BUSY' });
    kernel.hold(place, []);
    await leftovers.removeLink(place, deadline());
    expect(kernel.count('detach')).toBe(2);
  });
});
