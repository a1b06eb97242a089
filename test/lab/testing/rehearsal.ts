import type { Machine } from './machine.ts';
import type { Operation, Orders, Spec } from './operations.ts';
import { GIB, specOf } from './specs.ts';

const VOLUME: Spec = {
  ...specOf(999),
  storage: 'rehearsal',
  iqn: 'iqn.2005-10.org.freenas.ctl:rehearsal',
  portals: [{ host: '127.0.0.9', port: 3260 }],
  lun: 1,
};
const GROWN: Spec = { ...VOLUME, size: 2 * GIB };
const OPERATIONS: readonly Operation[] = [
  { what: 'attach', spec: VOLUME },
  { what: 'attach', spec: VOLUME },
  { what: 'holders', spec: VOLUME },
  { what: 'flush', spec: VOLUME },
  { what: 'script', text: `zfs set volsize=${GROWN.size} tank/rehearsal` },
  { what: 'grow', spec: GROWN },
  { what: 'detach', spec: GROWN },
];

const BEGIN = `IQN=${VOLUME.iqn}; iscsid; lio_target ${VOLUME.portals.map(({ host }) => host).join(' ')}
  zfs create -s -V ${VOLUME.size} -o volblocksize=16K tank/rehearsal; udevadm settle; wait_for 20 test -b /dev/zvol/tank/rehearsal
  lio_disk rehearsal /dev/zvol/tank/rehearsal ${VOLUME.serial}; lio_map rehearsal ${VOLUME.lun}`;
const AGAIN = `zfs set volsize=${VOLUME.size} tank/rehearsal`;
const END = `IQN=${VOLUME.iqn}; iscsiadm -m node -T $IQN --logout; iscsiadm -m node -T $IQN -o delete; iscsiadm -k 0; wait_for 20 sh -c '! pgrep -x iscsid'
  lio_gone; lio_undisk rehearsal; udevadm settle; wait_for 20 zfs destroy tank/rehearsal; udevadm settle; rmdir /dev/pve-truenas/rehearsal
  [ -z "$(find /sys/class/iscsi_session /sys/class/scsi_device -mindepth 1)" ]`;

/**
 * Has each of the drivers in a VM attach, grow and detach a volume once, so that Node.js has compiled its code before the VM's state is
 * kept: the first operation of each test takes a third of the time then. Target, zvol, session and their records are gone afterwards, and
 * iscsid ended. `functions`: guest/targets.sh. `tell`: what gives a driver its orders. Errors: an operation failed.
 */
export async function rehearse(
  machine: Machine,
  functions: string,
  drivers: readonly ((orders: Orders) => Promise<string>)[],
): Promise<void> {
  await machine.sh(`${functions}\n${BEGIN}`);
  for (const tell of drivers) {
    const answer = await tell({ operations: OPERATIONS });
    if (answer === '' || answer.includes('"code"')) throw new Error(`rehearsal: ${answer}`);
    await machine.sh(AGAIN);
  }
  await machine.sh(`${functions}\n${END}`);
}
