import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SimulatorOptions } from '../../sim/server/launch.ts';
import { GIB, LabArray } from './testing/lab-array.ts';
import { Machine } from './testing/machine.ts';

const NODE = 'iqn.1993-08.org.debian:01:st';
const BASE = 'iqn.2005-10.org.freenas.ctl';

let machine: Machine;
const arrays: LabArray[] = [];

async function start(options: Partial<SimulatorOptions> = {}): Promise<LabArray> {
  const array = await LabArray.start(machine, options);
  arrays.push(array);
  return array;
}

beforeEach(async () => {
  machine = await Machine.restore('st');
  await machine.sh('iscsid');
});
afterEach(async () => {
  for (const array of arrays.splice(0)) await array.stop();
  await machine.stop();
});

/** s that a script in the VM may take on a machine that is busy with other things */
const PATIENCE = 200;
const sh = (script: string): Promise<string> => machine.sh(script, PATIENCE);
const until = (condition: string): string =>
  `for ((i = 0; i < 300; i++)); do if ${condition}; then break; fi; sleep 0.5; done; ${condition} || { echo "it did not come to it: ${condition.replaceAll('"', "'")}"; exit 1; };`;
/** udev knows the device and has made its link. */
const appeared = (device: string): string => `udevadm wait --timeout=150 ${device};`;
/** A node record without discovery, then a login; `settings` of the record. */
const login = (iqn: string, settings: Readonly<Record<string, string>> = {}): string =>
  [
    `iscsiadm -m node -T ${iqn} -p 127.0.0.1 -o new > /dev/null`,
    ...Object.entries(settings).map(
      ([name, value]) => `iscsiadm -m node -T ${iqn} -p 127.0.0.1 -o update -n node.session.auth.${name} -v ${value}`,
    ),
    `iscsiadm -m node -T ${iqn} -p 127.0.0.1 --login > /dev/null`,
  ].join('\n');
const sha = (device: string): string => `dd if=${device} bs=1M count=1 iflag=direct status=none | sha256sum | cut -d' ' -f1`;

describe('targets of the simulator in the lab', () => {
  it('identity: a real initiator sees what the API says, and what it writes is on the zvol (RP-10)', async () => {
    const array = await start();
    const disk = await array.disk('vm-100-disk-0');
    await sh(`${login(array.iqn)}; ${appeared(disk.device)}`);
    const about = await sh(
      `lsblk -dnbo VENDOR,MODEL,WWN,SERIAL,SIZE,LOG-SEC,RO ${disk.device} | tr -s ' '; sg_vpd -p lbpv ${disk.device} | grep -o 'LBPU=.'`,
    );
    expect(about).toBe(`TrueNAS iSCSI Disk 0x${disk.naa} ${disk.naa.slice(7)} ${GIB} 512 0\nLBPU=1`);
    expect(await sh(`ls -l /dev/disk/by-path | grep -o '127.0.0.1:3260-iscsi-${array.iqn}-lun-${disk.lun} '`)).not.toBe('');
    await sh(`dd if=/dev/urandom of=${disk.device} bs=1M count=1 oflag=direct status=none`);
    expect(await sh(sha(disk.device))).toBe(await sh(sha(`/dev/zvol/${disk.zvol}`)));

    const cold = await array.disk('vm-100-disk-1', 1, { blocksize: 4096, ro: true, rpm: '7200', product_id: 'Cold Disk' });
    expect(await sh(`test -e ${cold.device} || echo not yet`)).toBe('not yet');
    await sh(`iscsiadm -m session -R > /dev/null; ${appeared(cold.device)}`);
    expect(await sh(`lsblk -dnbo MODEL,SIZE,LOG-SEC,RO,ROTA ${cold.device} | tr -s ' '`)).toBe(`Cold Disk ${GIB} 4096 1 1`);
  });

  it('CHAP: one way and mutual, with the right secrets and with wrong ones (RP-16)', async () => {
    const array = await start();
    const group = { portal: 1, initiator: 1, authmethod: 'CHAP', auth: 5 };
    await array.call('iscsi.auth.create', { tag: 5, user: 'pve', secret: 'twelve-chars-1', peeruser: 'nas', peersecret: 'twelve-chars-2' });
    const target = await array.made('iscsi.target.create', { name: 'closed', groups: [group] });
    const disk = await array.disk('vm-100-disk-0', target);
    const iqn = `${BASE}:closed`;
    const one = { authmethod: 'CHAP', username: 'pve', password: 'twelve-chars-1' };
    const both = { ...one, username_in: 'nas', password_in: 'twelve-chars-2' };
    const away = `iscsiadm -m node -T ${iqn} --logout > /dev/null; iscsiadm -m node -T ${iqn} -o delete`;
    const refused = (settings: Readonly<Record<string, string>>): Promise<string> =>
      sh(`( ${login(iqn, settings)} ) 2>&1 | grep -o 'authorization failure' || echo 'let in'; iscsiadm -m node -T ${iqn} -o delete`);

    expect(await refused({})).toBe('authorization failure');
    expect(await refused({ ...one, password: 'wrong-secret-1' })).toBe('authorization failure');
    await sh(`${login(iqn, one)}; ${appeared(disk.device)} ${away}`);

    await array.call('iscsi.target.update', target, { groups: [{ ...group, authmethod: 'CHAP_MUTUAL' }] });
    expect(await refused({ ...both, password: 'wrong-secret-1' })).toBe('authorization failure');
    // the node refuses an array that cannot prove who it is
    expect(
      await sh(
        `( ${login(iqn, { ...both, password_in: 'wrong-secret-2' })} ) > /dev/null 2>&1 && echo in || echo out; iscsiadm -m node -T ${iqn} -o delete`,
      ),
    ).toBe('out');
    await sh(`${login(iqn, both)}; ${appeared(disk.device)} ${away}`);
  });

  it('initiator group: others are refused, a named one gets in, and a session of another target goes on', async () => {
    const array = await start();
    const open = await array.disk('vm-100-disk-0');
    await sh(`${login(array.iqn)}; ${appeared(open.device)}`);
    const before = await sh('ls /sys/class/iscsi_session');
    const group = await array.made('iscsi.initiator.create', { initiators: ['iqn.2026-01.org.example:other'] });
    const target = await array.made('iscsi.target.create', { name: 'closed', groups: [{ portal: 1, initiator: group }] });
    const disk = await array.disk('vm-100-disk-1', target);
    expect(await sh(`( ${login(`${BASE}:closed`)} ) 2>&1 | grep -o 'authorization failure'`)).toBe('authorization failure');
    await array.call('iscsi.initiator.update', group, { initiators: ['iqn.2026-01.org.example:other', NODE] });
    await sh(`${login(`${BASE}:closed`)}; ${appeared(disk.device)}`);
    const more = await array.disk('vm-100-disk-2', target);
    await sh(`iscsiadm -m session -R > /dev/null; ${appeared(more.device)}`);
    // the first session is the one from before: nothing cut it
    expect(await sh('ls /sys/class/iscsi_session')).toContain(before);
    expect(await sh(`dmesg | grep -c 'connection1:0: detected conn error' || true; ${sha(open.device)} > /dev/null`)).toBe('0');
  });

  it('in use: extent, LUN and target with a session are not deleted but by force, which leaves a dead device (RP-01, RP-12)', async () => {
    const array = await start();
    const disk = await array.disk('vm-100-disk-0');
    await sh(`${login(array.iqn)}; ${appeared(disk.device)}`);
    await expect(array.call('iscsi.extent.delete', disk.extent)).rejects.toThrow(`Associated target(s) ${array.iqn} is in use.`);
    await expect(array.call('iscsi.targetextent.delete', disk.mapping)).rejects.toThrow(`Associated target ${array.iqn} is in use.`);
    await expect(array.call('iscsi.target.delete', 1)).rejects.toThrow('is in use.');
    expect(await sh(`zfs destroy ${disk.zvol} 2>&1 || true`)).toContain('dataset is busy');
    expect(await sh(`${sha(disk.device)} | wc -c`)).toBe('65');

    await array.call('iscsi.targetextent.delete', disk.mapping, true);
    expect(await sh(`test -b /dev/sda && dd if=/dev/sda of=/dev/null bs=4k count=1 iflag=direct 2>&1 || echo failed`)).toContain('failed');
    // with the LUN the export is gone: ZFS destroys the zvol
    await array.call('iscsi.extent.delete', disk.extent);
    expect(await array.call('pool.dataset.delete', disk.zvol)).toBe(true);
    expect(await sh(`zfs list -Ho name ${disk.zvol} 2>&1 || true`)).toContain('dataset does not exist');
  });

  it('resize: LIO shows a grown zvol after a rescan, with the session and the data in place (RP-11)', async () => {
    const array = await start();
    const disk = await array.disk('vm-100-disk-0');
    await sh(`${login(array.iqn)}; ${appeared(disk.device)} dd if=/dev/urandom of=${disk.device} bs=1M count=1 oflag=direct status=none`);
    const content = await sh(sha(disk.device));
    await array.call('pool.dataset.update', disk.zvol, { volsize: 2 * GIB });
    expect(await sh(`blockdev --getsize64 ${disk.device}`)).toBe(String(GIB));
    await sh(`iscsiadm -m session -R > /dev/null; ${until(`test "$(blockdev --getsize64 ${disk.device})" = ${2 * GIB}`)}`);
    expect(await sh(sha(disk.device))).toBe(content);
    expect(await sh('ls /sys/class/iscsi_session')).toBe('session1');
  });

  it('service: stopped, nobody listens and the zvol is free; started, the node is back on the same disk', async () => {
    const array = await start();
    const disk = await array.disk('vm-100-disk-0');
    await sh(`${login(array.iqn)}; ${appeared(disk.device)} dd if=/dev/urandom of=${disk.device} bs=1M count=1 oflag=direct status=none`);
    const content = await sh(sha(disk.device));
    await array.call('service.stop', 'iscsitarget');
    expect(await sh("ss -Hltn 'sport = :3260'; ls /sys/kernel/config/target/core/iblock_17 | grep -v hba || true")).toBe('');
    expect(await array.sessions()).toEqual([]);
    await array.call('service.start', 'iscsitarget');
    await sh(until("iscsiadm -m session -P1 | grep -q 'iSCSI Connection State: LOGGED IN'"));
    expect(await sh(sha(disk.device))).toBe(content);
  });

  it('sessions: one for each connection, with initiator and address; none after the logout', async () => {
    const array = await start({ portal: { host: '127.0.0.1', port: 3260 }, morePortals: ['10.77.0.10'] });
    await array.disk('vm-100-disk-0');
    expect(await array.sessions()).toEqual([]);
    await sh(`iscsiadm -m discovery -t st -p 127.0.0.1 > /dev/null; iscsiadm -m node --login > /dev/null`);
    const session = { initiator: NODE, target: array.iqn };
    const listed = [...(await array.sessions())].sort((a, b) => a.address.localeCompare(b.address));
    expect(listed).toEqual([
      { ...session, address: '10.77.0.10' },
      { ...session, address: '127.0.0.1' },
    ]);
    expect(await array.call('iscsi.global.client_count')).toBe(2);
    await sh('iscsiadm -m node --logout > /dev/null');
    expect(await array.sessions()).toEqual([]);
  });

  it('restart: the simulator finds its targets in place and cuts no session; without its state they are taken down', async () => {
    const state = await mkdtemp(join(tmpdir(), 'pve-truenas-lab-state-'));
    try {
      const array = await LabArray.start(machine, { state });
      const disk = await array.disk('vm-100-disk-0');
      await sh(`${login(array.iqn)}; ${appeared(disk.device)}`);
      await array.stop();
      const standing = 'find /sys/kernel/config/target/iscsi -type l';
      const links = await sh(standing);
      expect(links).toContain(disk.naa);
      const again = await LabArray.start(machine, { state });
      expect(await sh(standing)).toBe(links);
      expect((await again.sessions()).map((one) => one.initiator)).toEqual([NODE]);
      const more = await again.disk('vm-100-disk-1');
      await sh(`iscsiadm -m session -R > /dev/null; ${appeared(more.device)}`);
      expect(await sh("dmesg | grep -c 'detected conn error' || true")).toBe('0');
      await again.stop();
    } finally {
      await rm(state, { recursive: true, force: true });
    }
    await sh('iscsiadm -m node --logout > /dev/null');
    const fresh = await start();
    await fresh.stop();
    expect(
      await sh('{ ls /sys/kernel/config/target/iscsi | grep ^iqn; ls /sys/kernel/config/target/core/iblock_17 | grep -v hba; } || true'),
    ).toBe('');
  });
});
