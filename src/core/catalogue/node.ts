import { type CatalogueEntry, entry } from './entry.ts';

/** The initiator and the devices of this node. */
export const NODE_ERRORS = {
  HOST_COMMAND: entry(
    'refused',
    'A command on this node failed',
    ['the program is not installed', 'the kernel or the service behind it refused; its own words stand in the message'],
    ['apt install open-iscsi multipath-tools libiscsi-bin', 'run the command of the message by hand', 'dmesg | tail'],
    'nothing was changed on TrueNAS; a device may have been attached half and is looked at again at the next try',
  ),
  LOGIN_FAILED: entry(
    'unavailable',
    'The iSCSI login to a portal failed',
    ['nobody listens at the portal', 'the initiator is not allowed on the target', 'wrong CHAP user or secret'],
    [
      'TrueNAS: Shares > Block (iSCSI) Shares Targets > Portals, Initiators and Authorized Access',
      'cat /etc/iscsi/initiatorname.iscsi',
      'iscsiadm -m session',
    ],
    'nothing was changed; the volume is not attached to this node',
  ),
  DEVICE_MISSING: entry(
    'unavailable',
    'The device did not appear on this node in time',
    ['the session to a portal is down', 'the LUN is not mapped', 'multipathd or udev is slow or has given up'],
    ['iscsiadm -m session -P 3', 'multipath -ll', 'dmesg | tail', 'pve-truenas health'],
    'nothing was changed on TrueNAS; the volume is not attached to this node',
  ),
  DEVICE_IDENTITY: entry(
    'conflict',
    'The device is not the volume it should be',
    ['the LUN number was given to another volume while the old device stayed', 'the extent was made anew with another identity'],
    ['pve-truenas list STORAGE: column NAA', 'lsblk -o NAME,WWN,SIZE', 'pve-truenas health'],
    'the device was not handed to the guest; nothing was read from it or written to it',
  ),
  DEVICE_SIZE: entry(
    'conflict',
    'The device has another size than the volume on TrueNAS',
    ['the node still shows the size from before a resize or a rollback', 'the LUN number was given to another volume'],
    ['lsblk -b -o NAME,WWN,SIZE', 'pve-truenas list STORAGE', 'iscsiadm -m session -R'],
    'the device was not handed to the guest; the volume on TrueNAS is as it was',
  ),
  DEVICE_BUSY: entry(
    'conflict',
    'The device is in use on this node',
    [
      'the guest still runs, or QEMU has not closed it yet',
      'it is mounted, or part of LVM, dm or loop',
      'LVM on this node scans guest disks',
    ],
    ['lsblk DEVICE', 'fuser -v DEVICE', 'pvs; /etc/lvm/lvm.conf: global_filter'],
    'the device stays attached to this node; nothing was changed on TrueNAS',
  ),
} as const satisfies Record<string, CatalogueEntry>;
