/**
 * What kind of failure this is. The kind alone drives retry, exit status and JSON-RPC code.
 * - `invalid`: the request or a setting is wrong; repeating it changes nothing.
 * - `conflict`: the state of the world forbids it now (exists already, in use, LUN taken).
 * - `not-found`: the object asked for is positively absent.
 * - `refused`: the array or the node said no (authorisation, space, a rule of its own).
 * - `unavailable`: nobody could be asked; nothing was changed.
 * - `unknown-outcome`: a change was sent and no answer came.
 * - `bug`: a fault of this program.
 */
export type ErrorKind = 'invalid' | 'conflict' | 'not-found' | 'refused' | 'unavailable' | 'unknown-outcome' | 'bug';

interface CatalogueEntry {
  readonly kind: ErrorKind;
  /** What it means, in one sentence without its full stop. */
  readonly title: string;
  /** Likely reasons, most likely first. */
  readonly causes: readonly string[];
  /** What to look at or do: a menu path in TrueNAS, a command on the node, a file. */
  readonly hints: readonly string[];
  /** What state an operation that failed so leaves, unless the error itself says it more exactly. */
  readonly leaves: string;
}

/** What a failure of a kind leaves, where its code says nothing better. */
const LEAVES: Readonly<Record<ErrorKind, string>> = {
  invalid: 'nothing was changed',
  conflict: 'nothing was changed',
  'not-found': 'nothing was changed',
  refused: 'nothing was changed',
  unavailable: 'nothing was changed',
  'unknown-outcome': 'not known at first: the daemon looks whether the change was made and goes on from there',
  bug: 'not known: what an unfinished operation made is taken back by the daemon, also after its restart',
};

function entry(
  kind: ErrorKind,
  title: string,
  causes: readonly string[],
  hints: readonly string[],
  leaves: string = LEAVES[kind],
): CatalogueEntry {
  return { kind, title, causes, hints, leaves };
}

const EXTENTS = 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Extents';
const TARGETS = 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets';
const DAEMON_LOG = 'journalctl -u pve-truenasd';
const REINSTALL =
  'install module and daemon of one version again: /usr/share/perl5/PVE/Storage/Custom/TrueNASPlugin.pm, /usr/lib/pve-truenas';
/** Of a change that the daemon may have finished although its caller heard nothing of it. */
const DAEMON_SETTLES = 'not known to the caller: the daemon may have finished, and takes back what it did not finish';

/** Every stable error code with what it means. docs/reference/errors.md is generated from this table. */
export const ERROR_CATALOGUE = {
  // requests
  BAD_REQUEST: entry(
    'invalid',
    'A request to the daemon, or a flag of the command line, was malformed',
    ['the Perl module and the daemon are of different versions', 'the command line was mistyped'],
    ['pve-truenas --help', 'systemctl restart pve-truenasd', REINSTALL],
  ),
  PROTOCOL_VERSION: entry(
    'invalid',
    'Perl module and daemon speak different protocol versions',
    ['the daemon was not restarted after an upgrade', 'a PVE service still runs the old Perl module'],
    ['systemctl restart pve-truenasd', 'systemctl restart pvedaemon pveproxy pvestatd pvescheduler'],
  ),
  DEADLINE: entry(
    'unavailable',
    'The caller’s deadline ended before the work was done',
    ['TrueNAS is slow or busy (a scrub, a resilver, a full pool)', 'another operation on the same volume was still running'],
    ['pve-truenas health', DAEMON_LOG, 'TrueNAS: Jobs (at the top right) and Dashboard: what is it busy with?'],
    'what an unfinished allocation made is taken back, a begun deletion is finished; everything else is as the error says',
  ),
  INTERNAL: entry(
    'bug',
    'A fault of pve-truenas itself',
    ['a case that pve-truenas does not know yet'],
    [`${DAEMON_LOG}: it has the stack; please report it with the version (pve-truenas --version)`],
  ),
  SHUTTING_DOWN: entry(
    'unavailable',
    'The daemon, or its connection to TrueNAS, is being closed',
    ['pve-truenasd is being restarted or upgraded', 'the settings of the storage were changed meanwhile'],
    ['systemctl status pve-truenasd', 'try again in a few seconds'],
  ),
  DAEMON_UNREACHABLE: entry(
    'unavailable',
    'The command line cannot ask the daemon of this node',
    ['pve-truenasd is not running', 'the command was not run as root'],
    ['systemctl start pve-truenasd', DAEMON_LOG, 'ls -l /run/pve-truenas/daemon.sock'],
  ),
  // what the Perl module says itself, since the daemon could not
  DAEMON_NOT_RUNNING: entry(
    'unavailable',
    'The daemon does not run on this node',
    ['it was stopped, or failed to start', 'it is just being restarted'],
    ['systemctl start pve-truenasd', 'systemctl status pve-truenasd', DAEMON_LOG],
  ),
  DAEMON_TIMEOUT: entry(
    'unavailable',
    'The daemon gave no answer in time',
    ['the node is overloaded', 'the daemon hangs'],
    ['systemctl status pve-truenasd', DAEMON_LOG, 'systemctl restart pve-truenasd'],
    DAEMON_SETTLES,
  ),
  DAEMON_BROKEN: entry(
    'unavailable',
    'The connection to the daemon broke',
    ['the daemon was restarted or killed while it worked', 'the command was not run as root'],
    ['systemctl status pve-truenasd', DAEMON_LOG],
    DAEMON_SETTLES,
  ),
  DAEMON_ANSWER: entry(
    'bug',
    'The daemon gave an answer that the Perl module does not understand',
    ['the Perl module and the daemon are of different versions'],
    ['systemctl restart pve-truenasd', REINSTALL],
    DAEMON_SETTLES,
  ),
  // settings
  CONFIG_INVALID: entry(
    'invalid',
    'A setting of the storage is wrong',
    ['it was mistyped, or /etc/pve/storage.cfg was edited by hand', 'what it names does not exist on TrueNAS'],
    ['pve-truenas config check', 'pvesm set STORAGE --SETTING VALUE', '/etc/pve/storage.cfg'],
  ),
  SECRET_MISSING: entry(
    'invalid',
    'The API key of the storage is not there',
    ['the file in /etc/pve/priv/storage was removed', 'the storage was copied from another cluster without its key'],
    ['ls -l /etc/pve/priv/storage', 'pvesm set STORAGE --api_key KEY'],
  ),
  SECRET_FILE: entry(
    'refused',
    'The file of a secret cannot be read or written',
    ['the cluster has no quorum, so that /etc/pve is read-only', 'the command was not run as root'],
    ['pvecm status', 'ls -l /etc/pve/priv/storage', 'systemctl status pve-cluster'],
  ),
  STORAGE_UNKNOWN: entry(
    'not-found',
    'No storage of this name is configured',
    ['the name was mistyped', 'the storage is of another type', 'it was removed from storage.cfg'],
    ['pvesm status', '/etc/pve/storage.cfg'],
  ),
  // names and sizes
  NAME_INVALID: entry(
    'invalid',
    'A volume or snapshot name is not allowed',
    ['it does not begin with the guest’s own vm-<VMID>- or base-<VMID>-', 'it has other characters than letters, digits and . _ -'],
    ['pvesm list STORAGE shows names as they must be'],
  ),
  SIZE_INVALID: entry(
    'invalid',
    'A size is not allowed',
    ['it is below 512 bytes or above 8 PiB', 'it is no multiple of 512 bytes', 'TrueNAS rounded it to its block size'],
    ['pvesm set STORAGE --zvol_blocksize 16K', "pvesm alloc STORAGE VMID '' 4G: sizes with K, M, G or T"],
  ),
  NOT_SUPPORTED: entry(
    'invalid',
    'The operation is not offered by this storage',
    ['it is planned for a later version', 'the storage’s settings exclude it'],
    ['use a full clone in the place of a linked one', 'pve-truenas config check: what the settings exclude'],
  ),
  // connection
  ARRAY_UNREACHABLE: entry(
    'unavailable',
    'TrueNAS cannot be reached',
    ['TrueNAS is down, rebooting or failing over', 'wrong api_host or api_port', 'a firewall or a broken network is in between'],
    ['ping the host of api_host from this node', 'curl -k https://HOST/api/versions', 'pve-truenas config check', 'TrueNAS: Network'],
  ),
  TLS_UNTRUSTED: entry(
    'unavailable',
    'The certificate of TrueNAS is not trusted',
    ['TrueNAS uses its self-signed certificate', 'the certificate was renewed', 'another machine answers at this address'],
    [
      'pvesm set STORAGE --fingerprint AA:BB:...: the SHA-256 fingerprint, compared with the one on TrueNAS first',
      'TrueNAS: System > General Settings > GUI > GUI SSL Certificate',
      'pvesm set STORAGE --truenas-ca /etc/pve/truenas-ca.pem: where a certificate authority of your own signed it',
    ],
  ),
  INSECURE_TRANSPORT: entry(
    'invalid',
    'An API key must not travel unencrypted',
    ['api_scheme is ws or http: TrueNAS revokes a key used that way'],
    ['pvesm set STORAGE --api_scheme wss', 'TrueNAS: Credentials > Users > API Keys: make a new key if it was revoked already'],
  ),
  AUTH_FAILED: entry(
    'refused',
    'TrueNAS does not accept the API key',
    [
      'the key was mistyped, revoked or has expired',
      'truenas-username is not the owner of the key',
      'TrueNAS revoked the key since it was used over http or ws',
    ],
    [
      'TrueNAS: Credentials > Users > API Keys',
      'pvesm set STORAGE --api_key KEY',
      'TrueNAS: System > Audit: the refused login with its reason',
    ],
    'nothing was changed; the daemon asks no more with this key until it is replaced',
  ),
  AUTH_RATE_LIMITED: entry(
    'unavailable',
    'TrueNAS limits logins from this address',
    [
      'more than 20 logins within 60 s from one address: several nodes or tools behind one NAT address, or a script that logs in for every call',
      'TrueNAS has seen 100 addresses since its start and takes no new one (its middleware forgets none)',
    ],
    [
      'pve-truenas health: shows how long the daemon waits yet; it logs in by itself',
      'TrueNAS: System > Audit: look who logs in so often',
      'if it lasts for more than some minutes: restart the middleware of TrueNAS (systemctl restart middlewared in its shell)',
    ],
  ),
  RATE_LIMITED: entry(
    'unavailable',
    'TrueNAS, or a proxy before it, takes no more requests for now',
    ['a proxy or firewall before TrueNAS limits requests (HTTP 429)', 'other clients ask TrueNAS too often'],
    [
      'pve-truenas health: shows how long the daemon waits yet; it goes on by itself',
      'let api_host name TrueNAS itself instead of a proxy',
    ],
  ),
  TOO_MANY_CALLS: entry(
    'unavailable',
    'TrueNAS has as many calls of one connection to do as it takes',
    ['calls that TrueNAS has not finished pile up: the pool or the middleware is slow'],
    ['TrueNAS: the Jobs icon in the top bar: what runs', 'pve-truenas health'],
  ),
  NOT_AUTHORIZED: entry(
    'refused',
    'The API key’s user lacks a role',
    ['the user’s privilege does not hold the role for this call', 'the user was taken out of its group'],
    ['TrueNAS: Credentials > Groups > Privileges', 'pve-truenas health'],
  ),
  RELEASE_UNSUPPORTED: entry(
    'refused',
    'This release of TrueNAS is not supported',
    ['it is older than 25.04', 'it is TrueNAS CORE'],
    ['TrueNAS: System > Update: 25.04, 25.10 or 26.0', 'curl -k https://HOST/api/versions'],
  ),
  ARRAY_PROTOCOL: entry(
    'unavailable',
    'TrueNAS answered something that is not understood',
    ['the port belongs to another service', 'a proxy sits between', 'this TrueNAS is newer than this version of pve-truenas knows'],
    ['curl -k https://HOST/api/versions: must list versions', 'pve-truenas config check', DAEMON_LOG],
  ),
  CALL_NOT_SENT: entry(
    'unavailable',
    'A call could not be sent to TrueNAS',
    ['the connection was lost', 'the time for the operation was over before it could be sent', 'too many calls wait for TrueNAS'],
    ['pve-truenas health', 'try again: nothing was sent'],
  ),
  CALL_REFUSED: entry(
    'refused',
    'TrueNAS refused a call',
    ['the reason stands in the message, in TrueNAS’s own words'],
    ['TrueNAS: Jobs (at the top right)', 'TrueNAS: System > Shell: tail /var/log/middlewared.log', DAEMON_LOG],
  ),
  OUTCOME_UNKNOWN: entry(
    'unknown-outcome',
    'TrueNAS did not answer a change that was sent',
    [
      'the connection was lost while the call ran',
      'TrueNAS was restarted or failed over',
      'TrueNAS took longer than the operation may last',
    ],
    ['wait for the daemon to settle it: pve-truenas health counts unfinished operations', 'pve-truenas list STORAGE', DAEMON_LOG],
  ),
  REQUEST_TOO_LARGE: entry(
    'invalid',
    'A call is larger than TrueNAS accepts (64 KiB)',
    ['a name or a comment is unusually long'],
    [`${DAEMON_LOG}: please report it`],
  ),
  // objects on the array
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
  // this node
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

export type ErrorCode = keyof typeof ERROR_CATALOGUE;
