import { type CatalogueEntry, DAEMON_LOG, entry } from './entry.ts';

const REINSTALL =
  'install module and daemon of one version again: /usr/share/perl5/PVE/Storage/Custom/TrueNASPlugin.pm, /usr/libexec/pve-truenas';
/** Of a change that the daemon may have finished although its caller heard nothing of it. */
const DAEMON_SETTLES = 'not known to the caller: the daemon may have finished, and takes back what it did not finish';

/** What can be wrong with a request, the way to the daemon, and the settings. */
export const REQUEST_ERRORS = {
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
} as const satisfies Record<string, CatalogueEntry>;
