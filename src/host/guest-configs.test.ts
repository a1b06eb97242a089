import { beforeEach, describe, expect, it } from 'vitest';
import { deadlineAfter } from '../core/deadline.ts';
import type { GuestReferences } from '../core/guest-references.ts';
import { ManualClock } from '../core/testing/manual-clock.ts';
import { GuestConfigs } from './guest-configs.ts';
import { fileError, MemoryFiles } from './testing/memory-files.ts';

const PVE = '/etc/pve';
let files: MemoryFiles;
let configs: GuestConfigs;

const members = (more: Record<string, unknown>): string => JSON.stringify({ nodename: 'pve1', version: 4, ...more });
const cluster = (quorate: number): Record<string, unknown> => ({ cluster: { name: 'lab', version: 2, nodes: 2, quorate } });

beforeEach(() => {
  files = new MemoryFiles();
  configs = new GuestConfigs(files, PVE);
  files.put(`${PVE}/.members`, members(cluster(1)));
  files.put(`${PVE}/nodes/pve1/qemu-server/100.conf`, 'scsi0: tn:vm-100-disk-0,size=4G\n');
  files.put(`${PVE}/nodes/pve2/lxc/200.conf`, 'rootfs: tn:vm-200-disk-0,size=4G\n');
});

function read(): Promise<GuestReferences> {
  return configs.read(deadlineAfter(new ManualClock(), 60_000, 'test'));
}
async function volids(text: string): Promise<readonly string[]> {
  files.put(`${PVE}/nodes/pve1/qemu-server/100.conf`, text);
  const answer = await read();
  return answer.complete ? (answer.guests.find((guest) => guest.vmid === 100)?.volids ?? []) : [answer.reason];
}
const reason = async (): Promise<string> => {
  const answer = await read();
  return answer.complete ? 'complete' : answer.reason;
};

describe('the guests of the cluster', () => {
  it('are those of every node, virtual machines and containers', async () => {
    expect(await read()).toEqual({
      complete: true,
      guests: [
        { vmid: 100, node: 'pve1', lock: null, volids: ['tn:vm-100-disk-0'] },
        { vmid: 200, node: 'pve2', lock: null, volids: ['tn:vm-200-disk-0'] },
      ],
    });
  });

  it.each([
    ['a disk with options', 'scsi0: tn:vm-100-disk-0,cache=none,size=4G', ['tn:vm-100-disk-0']],
    ['a disk named by file=', 'virtio0: file=tn:vm-100-disk-1,size=4G', ['tn:vm-100-disk-1']],
    [
      'EFI, TPM, cloud-init',
      'efidisk0: tn:vm-100-disk-1,efitype=4m\ntpmstate0: tn:vm-100-disk-2\nide2: tn:vm-100-cloudinit,media=cdrom',
      ['tn:vm-100-disk-1', 'tn:vm-100-disk-2', 'tn:vm-100-cloudinit'],
    ],
    ['an unused disk', 'unused0: tn:vm-100-disk-3', ['tn:vm-100-disk-3']],
    ['a linked clone', 'scsi0: tn:base-900-disk-0/vm-100-disk-0,size=4G', ['tn:base-900-disk-0/vm-100-disk-0']],
    ['an id of the Perl plugins', 'scsi0: tn:vol-vm-100-disk-0-lun3,size=4G', ['tn:vol-vm-100-disk-0-lun3']],
    [
      'a snapshot with its state',
      '[before]\nscsi0: tn:vm-100-disk-0\nvmstate: tn:vm-100-state-before',
      ['tn:vm-100-disk-0', 'tn:vm-100-state-before'],
    ],
    ['a pending change', '[PENDING]\nscsi1: tn:vm-100-disk-7', ['tn:vm-100-disk-7']],
    ['a mount point', 'mp0: tn:vm-100-disk-1,mp=/data', ['tn:vm-100-disk-1']],
    ['a link in a raw option', 'lxc.mount.entry: /dev/pve-truenas/tn/vm-100-disk-4 data none bind', ['tn:vm-100-disk-4']],
    ['a storage with dots and dashes', 'scsi0: my.nas-2:vm-100-disk-0', ['my.nas-2:vm-100-disk-0']],
    ['a mention in the description', '#the old disk is tn:vm-100-disk-9', ['tn:vm-100-disk-9']],
  ])('name %s', async (_what, text, expected) => {
    expect(await volids(`${text}\n`)).toEqual(expected);
  });

  it('no network card or date is taken for a volume of ours', async () => {
    const found = await volids('net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nboot: order=scsi0;net0\nide2: none,media=cdrom\n');
    expect(found.filter((volid) => /:(vm|base|vol)-/.test(volid))).toEqual([]);
  });

  it('tell their lock, not that of a snapshot', async () => {
    files.put(`${PVE}/nodes/pve1/qemu-server/100.conf`, 'lock: backup\n');
    files.put(`${PVE}/nodes/pve2/lxc/200.conf`, 'cores: 1\n[s1]\nlock: snapshot\n');
    const answer = await read();
    expect(answer.complete && answer.guests.map((guest) => guest.lock)).toEqual(['backup', null]);
  });

  it('other files beside them are none', async () => {
    files.put(`${PVE}/nodes/pve1/qemu-server/100.conf.tmp.1`, 'scsi0: tn:vm-999-disk-0');
    files.put(`${PVE}/nodes/pve1/qemu-server/notes.txt`, 'scsi0: tn:vm-999-disk-0');
    const answer = await read();
    expect(answer.complete && answer.guests).toHaveLength(2);
  });

  it('of a node that stands alone are known without a quorum', async () => {
    files.put(`${PVE}/.members`, members({}));
    expect(await reason()).toBe('complete');
  });
});

describe('law 3: nothing is known', () => {
  it('without the cluster file system', async () => {
    files.drop(PVE);
    expect(await reason()).toContain('not the cluster file system');
  });

  it('without any node in it', async () => {
    files.drop(`${PVE}/nodes`);
    expect(await reason()).toContain('not mounted');
  });

  it('without a quorum: the files may be old', async () => {
    files.put(`${PVE}/.members`, members(cluster(0)));
    expect(await reason()).toBe('the cluster has no quorum');
  });

  it.each(['', '{', '[]', '{"nodename":3}', '{"nodename":"a","cluster":{}}'])('with .members as %j', async (text) => {
    files.put(`${PVE}/.members`, text);
    expect(await reason()).toContain('.members');
  });

  it('when one file cannot be read', async () => {
    const whole = files.read.bind(files);
    files.read = (path) => (path.endsWith('200.conf') ? Promise.reject(fileError('EACCES', path)) : whole(path));
    expect(await reason()).toContain('EACCES');
  });

  it('when a directory cannot be listed', async () => {
    const whole = files.list.bind(files);
    files.list = (path) => (path.endsWith('pve2/lxc') ? Promise.reject(fileError('EIO', path)) : whole(path));
    expect(await reason()).toContain('EIO');
  });

  it('a guest that moves to a node that was read already is found by reading again', async () => {
    const whole = files.list.bind(files);
    let moved = false;
    files.list = (path) => {
      // pve1 is listed, then the guest of pve2 moves there before pve2 is
      if (path.endsWith('pve2/lxc') && !moved) {
        moved = true;
        files.drop(`${PVE}/nodes/pve2/lxc/200.conf`);
        files.put(`${PVE}/nodes/pve1/lxc/200.conf`, 'rootfs: tn:vm-200-disk-0\n');
      }
      return whole(path);
    };
    const answer = await read();
    expect(answer.complete && answer.guests.flatMap((guest) => guest.volids)).toEqual(['tn:vm-100-disk-0', 'tn:vm-200-disk-0']);
  });

  it('guests that move all the time are not known', async () => {
    const whole = files.list.bind(files);
    let turn = 0;
    files.list = (path) => {
      if (path.endsWith('pve1/qemu-server')) files.put(`${PVE}/nodes/pve1/lxc/${300 + (turn += 1)}.conf`, 'cores: 1\n');
      return whole(path);
    };
    expect(await reason()).toContain('change faster');
  });

  it('and the deadline is kept', async () => {
    files.read = () => new Promise(() => undefined);
    const clock = new ManualClock();
    const deadline = deadlineAfter(clock, 1000, 'reading');
    const answer = configs.read(deadline);
    const outcome = expect(answer).rejects.toMatchObject({ code: 'DEADLINE' });
    await clock.advance(1001);
    await outcome;
  });
});
