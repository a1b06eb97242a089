import { type CatalogueEntry, entry } from './entry.ts';

const EXTENTS = 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Extents';
const TARGETS = 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets';

/** Objects on the array: dataset, target, service, volumes, LUNs, snapshots. */
export const ARRAY_ERRORS = {
  DATASET_MISSING: entry(
    'not-found',
    'The dataset does not exist on TrueNAS',
    ['the setting dataset is wrong', 'the pool is not imported', 'the dataset was renamed or deleted'],
    ['TrueNAS: Datasets', 'TrueNAS: Storage: is the pool there?', 'pve-truenas config check'],
  ),
  DATASET_UNUSABLE: entry(
    'refused',
    'The dataset cannot hold volumes',
    [
      'it is locked: its key was not given since TrueNAS started',
      'it is read-only, for example the target of a replication',
      'it is a zvol',
    ],
    ['TrueNAS: Datasets: unlock it, or switch Read-only off', 'pve-truenas health'],
  ),
  POOL_SUSPENDED: entry(
    'refused',
    'The pool takes no changes: ZFS suspended its input and output',
    ['disks of the pool failed or are missing', 'a disk shelf or its cable is off'],
    ['TrueNAS: Storage: state of the pool and its disks', 'TrueNAS: System > Shell: zpool status -v POOL', 'pve-truenas health'],
  ),
  TARGET_MISSING: entry(
    'not-found',
    'The iSCSI target does not exist on TrueNAS',
    ['the setting target_iqn is wrong', 'the target was deleted or renamed', 'the base name of the iSCSI service was changed'],
    [TARGETS, 'pve-truenas config check'],
  ),
  TARGET_UNUSABLE: entry(
    'refused',
    'The iSCSI target admits nobody',
    ['it has no portal group'],
    ['TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets > Edit: add a group with portal and initiators'],
  ),
  SERVICE_STOPPED: entry(
    'refused',
    'The iSCSI service of TrueNAS is not running',
    ['it was stopped, or failed to start', 'it is not enabled and TrueNAS was rebooted'],
    ['TrueNAS: System > Services > iSCSI: start it and enable Start Automatically', 'pve-truenas health'],
  ),
  NO_SPACE: entry(
    'refused',
    'Not enough space on the dataset',
    ['the pool is full', 'a quota is set on the dataset or above it', 'thick volumes and snapshots reserve what they may need'],
    [
      'TrueNAS: Datasets: space, quota and reservations',
      'pve-truenas status',
      'pvesm set STORAGE --tn_sparse 1: new volumes without a reservation',
    ],
  ),
  VOLUME_EXISTS: entry(
    'conflict',
    'A volume of this name exists already',
    ['another guest or node made it', 'it was left by an earlier guest of the same number', 'someone made a zvol of this name by hand'],
    ['pve-truenas list STORAGE --vmid VMID', 'TrueNAS: Datasets', 'pvesm free STORAGE:VOLUME: when nobody needs it'],
  ),
  VOLUME_MISSING: entry(
    'not-found',
    'The volume does not exist',
    ['it was freed, on this or another node', 'it was deleted or renamed on TrueNAS', 'the guest’s configuration names a wrong volume'],
    ['pve-truenas list STORAGE', 'TrueNAS: Datasets', 'qm config VMID or pct config VMID'],
  ),
  VOLUME_BUSY: entry(
    'conflict',
    'The volume is in use',
    [
      'a guest, a mount or another device mapper holds it',
      'another extent or a snapshot hold on TrueNAS uses it',
      'another node is logged in to it',
    ],
    ['lsblk', 'fuser -v DEVICE', EXTENTS],
  ),
  VOLUME_HAS_CLONES: entry(
    'conflict',
    'Other volumes are clones of this one',
    ['linked clones were made of it', 'a backup left a clone behind'],
    ['pve-truenas list STORAGE: column PARENT', 'TrueNAS: Datasets: promote or delete the clones first'],
  ),
  VOLUME_FOREIGN: entry(
    'refused',
    'The object was not made by this plugin',
    ['someone made the zvol by hand', 'the extent by which a Perl plugin marked it was deleted'],
    ['TrueNAS: Datasets', EXTENTS, 'copy its data to a new volume: qemu-img convert'],
  ),
  NO_FREE_NAME: entry(
    'conflict',
    'No free disk name is left for this guest',
    ['old volumes of this guest number were never freed', 'zvols of such names were made by hand'],
    ['pve-truenas list STORAGE --vmid VMID', 'TrueNAS: Datasets'],
  ),
  LUN_EXHAUSTED: entry(
    'conflict',
    'No free LUN number is left on the target',
    ['the target has as many volumes as it can export', 'freed numbers rest for a while (setting truenas-lun-rest)'],
    [TARGETS, 'add a second storage with another target: pvesm add truenasplugin', 'pve-truenas list STORAGE'],
  ),
  LUN_CONFLICT: entry(
    'conflict',
    'Another volume took the LUN number',
    ['several nodes made volumes on the same target at the same moment', 'LUN numbers are given out by hand or by another program'],
    ['try again', TARGETS, 'pve-truenas health'],
    'what had been made was taken back',
  ),
  EXTENT_FAILED: entry(
    'refused',
    'TrueNAS made no iSCSI extent of the volume',
    [
      'the iSCSI service is not running',
      'the zvol was made, but its device is not there yet',
      'the API key lacks the role SHARING_ISCSI_EXTENT_WRITE',
      'the extent name is taken already',
    ],
    [
      'TrueNAS: System > Services > iSCSI: running, and Start Automatically set',
      'TrueNAS: Shares > Block (iSCSI) Shares Targets > Extents',
      'TrueNAS: Credentials > Groups > Privileges',
      'on TrueNAS: /var/log/middlewared.log',
    ],
    'the zvol that had been made was removed again',
  ),
  PREFLIGHT_FAILED: entry(
    'refused',
    'Several checks before an operation failed; nothing was changed',
    ['each line of the message names a check and what is wrong'],
    ['pve-truenas preflight STORAGE --size SIZE', 'pve-truenas health STORAGE'],
  ),
  EXPORT_MISSING: entry(
    'not-found',
    'The volume is not exported: it has no extent or no LUN on the target',
    ['someone removed the extent or its mapping', 'an interrupted deletion is still being finished'],
    [EXTENTS, 'pve-truenas list STORAGE: column LUN', 'pve-truenas health'],
    'the volume and its data are there; the guest cannot open it',
  ),
  DELETE_UNCONFIRMED: entry(
    'conflict',
    'TrueNAS said it deleted an object that is still there',
    ['something on TrueNAS has it open: a replication, a snapshot hold, an extent', 'a node still uses it'],
    ['try again: pvesm free STORAGE:VOLUME', 'TrueNAS: Jobs (at the top right): replication of this dataset?', 'pve-truenas health'],
    'the object and its data are still there; its LUN may be gone already',
  ),
  SNAPSHOT_EXISTS: entry(
    'conflict',
    'A snapshot of this name exists already',
    ['it was made on TrueNAS, or left by an interrupted snapshot of the guest'],
    ['qm listsnapshot VMID', 'TrueNAS: Datasets > (volume) > Manage Snapshots'],
  ),
  SNAPSHOT_MISSING: entry(
    'not-found',
    'The snapshot does not exist',
    ['it was deleted on TrueNAS, for example by the retention of a snapshot task', 'the disk was added to the guest after the snapshot'],
    ['qm listsnapshot VMID', 'TrueNAS: Datasets > (volume) > Manage Snapshots'],
  ),
  SNAPSHOT_HAS_CLONES: entry(
    'conflict',
    'Other volumes are clones of this snapshot',
    ['linked clones were made of it', 'a backup left a clone behind'],
    ['TrueNAS: Datasets: promote or delete the clones first', 'pve-truenas list STORAGE: column PARENT'],
  ),
  LOOK_INCOMPLETE: entry(
    'unavailable',
    'What TrueNAS answered does not fit together, so nothing is concluded from it',
    ['something was changed while it was read', 'an answer was cut short'],
    ['try again in a minute: pve-truenas orphans', 'pve-truenas health'],
  ),
  ROLLBACK_BLOCKED: entry(
    'conflict',
    'Newer snapshots stand in the way of the rollback',
    ['newer snapshots of the guest', 'periodic snapshot tasks of TrueNAS'],
    [
      'qm delsnapshot VMID SNAPSHOT: delete the newer snapshots of the guest first',
      'TrueNAS: Datasets > (volume) > Manage Snapshots: delete those that PVE does not know',
      'TrueNAS: Data Protection > Periodic Snapshot Tasks: exclude the dataset',
    ],
  ),
  SHRINK_REFUSED: entry(
    'invalid',
    'A volume cannot be made smaller',
    ['a smaller volume would cut off data'],
    ['make a new, smaller disk and copy the data inside the guest', 'qm config VMID shows the present size'],
  ),
} as const satisfies Record<string, CatalogueEntry>;
