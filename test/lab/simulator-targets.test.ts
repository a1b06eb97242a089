import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GIB, LabArray } from './testing/lab-array.ts';
import { Machine } from './testing/machine.ts';

const BASE = 'iqn.2005-10.org.freenas.ctl';

let machine: Machine;
const arrays: LabArray[] = [];

async function start(): Promise<LabArray> {
  const array = await LabArray.start(machine);
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
});
