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
  readonly title: string;
  readonly causes: readonly string[];
  readonly hints: readonly string[];
}

function entry(kind: ErrorKind, title: string, causes: readonly string[] = [], hints: readonly string[] = []): CatalogueEntry {
  return { kind, title, causes, hints };
}

/** Every stable error code with what it means. docs/reference/errors.md is generated from this table. */
export const ERROR_CATALOGUE = {
  // requests
  BAD_REQUEST: entry(
    'invalid',
    'A request on the daemon socket was malformed',
    ['the Perl module and the daemon are of different versions'],
    ['pve-truenas status', 'reinstall the package on this node'],
  ),
  PROTOCOL_VERSION: entry(
    'invalid',
    'Perl module and daemon speak different protocol versions',
    ['the daemon was not restarted after an upgrade'],
    ['systemctl restart pve-truenasd'],
  ),
  DEADLINE: entry(
    'unavailable',
    'The caller’s deadline ended before the work was done',
    ['the array is slow or busy'],
    ['pve-truenas health'],
  ),
  INTERNAL: entry('bug', 'A fault of pve-truenas itself', [], ['journalctl -u pve-truenasd']),
  SHUTTING_DOWN: entry('unavailable', 'The daemon is stopping', [], ['systemctl status pve-truenasd']),
  DAEMON_UNREACHABLE: entry(
    'unavailable',
    'The daemon of this node cannot be asked',
    ['pve-truenasd is not running'],
    ['systemctl start pve-truenasd', 'journalctl -u pve-truenasd'],
  ),
  // settings
  CONFIG_INVALID: entry('invalid', 'A setting of the storage is wrong', [], ['pve-truenas config check']),
  SECRET_MISSING: entry(
    'invalid',
    'The API key of the storage is not there',
    ['the file in /etc/pve/priv/storage was removed'],
    ['pvesm set STORAGE --api_key KEY'],
  ),
  STORAGE_UNKNOWN: entry('not-found', 'No storage of this name is configured', [], ['pvesm status']),
  // names and sizes
  NAME_INVALID: entry('invalid', 'A volume or snapshot name is not allowed'),
  SIZE_INVALID: entry('invalid', 'A size is not allowed'),
  NOT_SUPPORTED: entry('invalid', 'The operation is not offered by this storage'),
  // connection
  ARRAY_UNREACHABLE: entry(
    'unavailable',
    'TrueNAS cannot be reached',
    ['wrong api_host or api_port', 'TrueNAS is down or rebooting', 'a firewall blocks the way'],
    ['ping the host from this node', 'curl -k https://HOST/api/versions'],
  ),
  TLS_UNTRUSTED: entry(
    'unavailable',
    'The certificate of TrueNAS is not trusted',
    ['TrueNAS uses its self-signed certificate', 'the certificate was renewed'],
    ['set `fingerprint` to the SHA-256 fingerprint shown', 'TrueNAS: System > General Settings > GUI > GUI SSL Certificate'],
  ),
  INSECURE_TRANSPORT: entry(
    'invalid',
    'An API key must not travel unencrypted',
    ['api_scheme is ws or http: TrueNAS revokes a key used that way'],
    ['pvesm set STORAGE --api_scheme wss'],
  ),
  AUTH_FAILED: entry(
    'refused',
    'TrueNAS does not accept the API key',
    ['the key was mistyped, revoked or expired', 'truenas-username is not the owner of the key'],
    ['TrueNAS: Credentials > Users > API Keys', 'pvesm set STORAGE --api_key KEY'],
  ),
  AUTH_RATE_LIMITED: entry(
    'unavailable',
    'TrueNAS limits logins from this address',
    ['more than 20 logins in 60 s from this address'],
    ['wait a minute'],
  ),
  NOT_AUTHORIZED: entry(
    'refused',
    'The API key’s user lacks a role',
    ['the user’s privilege does not hold the role for this call'],
    ['TrueNAS: Credentials > Groups > Privileges'],
  ),
  RELEASE_UNSUPPORTED: entry('refused', 'This release of TrueNAS is not supported', [], ['update TrueNAS to 25.04 or newer']),
  ARRAY_PROTOCOL: entry('unavailable', 'TrueNAS answered something that is not understood', [
    'a proxy sits between',
    'the port belongs to another service',
  ]),
  CALL_NOT_SENT: entry('unavailable', 'A call could not be sent to TrueNAS', ['the connection was lost']),
  CALL_REFUSED: entry('refused', 'TrueNAS refused a call'),
  OUTCOME_UNKNOWN: entry(
    'unknown-outcome',
    'TrueNAS did not answer a change that was sent',
    ['the connection was lost while the call ran'],
    ['the daemon looks whether it happened and goes on from there'],
  ),
  REQUEST_TOO_LARGE: entry('invalid', 'A call is larger than TrueNAS accepts (64 KiB)'),
  // objects on the array
  DATASET_MISSING: entry(
    'not-found',
    'The dataset does not exist on TrueNAS',
    ['wrong `dataset`', 'the pool is not imported'],
    ['TrueNAS: Datasets'],
  ),
  DATASET_UNUSABLE: entry('refused', 'The dataset cannot hold volumes', ['it is a zvol, read-only or locked'], ['TrueNAS: Datasets']),
  TARGET_MISSING: entry(
    'not-found',
    'The iSCSI target does not exist on TrueNAS',
    ['wrong `target_iqn`'],
    ['TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets'],
  ),
  SERVICE_STOPPED: entry(
    'refused',
    'The iSCSI service of TrueNAS is not running',
    ['it was stopped or is not enabled'],
    ['TrueNAS: System > Services > iSCSI: start it and enable Start Automatically'],
  ),
  NO_SPACE: entry('refused', 'Not enough space on the dataset', ['the pool is full', 'a quota is set'], ['TrueNAS: Datasets']),
  VOLUME_EXISTS: entry('conflict', 'A volume of this name exists already'),
  VOLUME_MISSING: entry('not-found', 'The volume does not exist'),
  VOLUME_BUSY: entry(
    'conflict',
    'The volume is in use',
    ['a guest, a mount or another device mapper holds it'],
    ['lsblk', 'fuser -v DEVICE'],
  ),
  VOLUME_HAS_CLONES: entry('conflict', 'Other volumes are clones of this one'),
  VOLUME_FOREIGN: entry('refused', 'The object was not made by this plugin'),
  NO_FREE_NAME: entry('conflict', 'No free disk name is left for this guest'),
  LUN_EXHAUSTED: entry('conflict', 'No free LUN number is left on the target'),
  LUN_CONFLICT: entry('conflict', 'Another volume took the LUN number'),
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
    ['someone removed the extent or its mapping'],
    ['TrueNAS: Shares > Block (iSCSI) Shares Targets > Extents'],
  ),
  DELETE_UNCONFIRMED: entry('conflict', 'TrueNAS said it deleted an object that is still there', ['the zvol was busy'], ['try again']),
  SNAPSHOT_EXISTS: entry('conflict', 'A snapshot of this name exists already'),
  SNAPSHOT_MISSING: entry('not-found', 'The snapshot does not exist'),
  SNAPSHOT_HAS_CLONES: entry('conflict', 'Other volumes are clones of this snapshot'),
  ROLLBACK_BLOCKED: entry(
    'conflict',
    'Newer snapshots stand in the way of the rollback',
    ['newer snapshots of the guest', 'periodic snapshot tasks of TrueNAS'],
    ['delete the newer snapshots first'],
  ),
  SHRINK_REFUSED: entry('invalid', 'A volume cannot be made smaller'),
  // this node
  HOST_COMMAND: entry('refused', 'A command on this node failed'),
  LOGIN_FAILED: entry(
    'unavailable',
    'The iSCSI login to a portal failed',
    ['wrong portal', 'the initiator is not allowed on the target', 'wrong CHAP secret'],
    ['TrueNAS: Shares > Block (iSCSI) Shares Targets > Initiators', 'iscsiadm -m session'],
  ),
  DEVICE_MISSING: entry(
    'unavailable',
    'The device did not appear on this node in time',
    ['the LUN is not mapped', 'the session is down'],
    ['iscsiadm -m session -P 3'],
  ),
  DEVICE_IDENTITY: entry(
    'conflict',
    'The device is not the volume it should be',
    ['the LUN number was given to another volume'],
    ['pve-truenas health'],
  ),
  DEVICE_SIZE: entry('conflict', 'The device has another size than the volume on TrueNAS'),
  DEVICE_BUSY: entry('conflict', 'The device is in use on this node', ['it is mounted, or part of LVM, dm or loop'], ['lsblk DEVICE']),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;
