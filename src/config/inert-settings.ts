import { decimal, flag, freeText, textSetting, whole } from './setting.ts';
import { nqnRule } from './volume-rules.ts';

const NEVER = 'it never did anything in the Perl plugins either';
const NVME = 'it belongs to NVMe/TCP, which is not offered yet';
const ONE_DEVICE = 'only the device of the one volume is ever removed; sessions are shared with other volumes and stay';
const IDENTITY = 'devices are found by their identity, never by path pattern';
const NQN = 'an NQN such as nqn.2011-06.com.truenas:name, or nqn.2014-08.org.nvmexpress:uuid:UUID';
const DEADLINES = 'every call carries its own deadline';

function tn(name: string, more: readonly string[] = []): readonly string[] {
  return [`tn_${name}`, ...more];
}

/** Names of NVMe subsystem and host: of no effect, but their form is judged. */
export const NQN_SETTINGS = [
  textSetting(
    'subsystem_nqn',
    {
      aliases: tn('subsystem_nqn'),
      title: 'NVMe subsystem',
      description: 'NQN of the subsystem on TrueNAS.',
      expected: NQN,
      fixed: true,
      reason: NVME,
    },
    nqnRule,
  ),
  textSetting(
    'hostnqn',
    { aliases: tn('hostnqn'), title: 'NVMe host name', description: 'NQN of this host.', expected: NQN, reason: NVME },
    nqnRule,
  ),
] as const;

/**
 * Settings that stand in existing sections and change nothing here. They are accepted so that the sections keep working
 * (F-022) and named by `pve-truenas config check`. A wrong value is no more than a warning: what has no effect breaks nothing.
 */
export const INERT = [
  freeText('api_transport', {
    aliases: tn('api_transport'),
    title: 'API transport',
    description: 'Old choice of REST or WebSocket.',
    reason: 'the API is always used over WebSocket',
  }),
  freeText('tn_transport', {
    title: 'Transport',
    description: 'Named in documents of the official plugin.',
    reason: 'no plugin ever read it; the setting is transport_mode',
  }),
  freeText('tn_api_key_file', {
    title: 'API key file',
    description: 'Named in documents of the official plugin.',
    reason: 'no plugin ever read it; the key is kept in /etc/pve/priv/storage',
  }),
  decimal(
    'tn_api_budget_s',
    { minimum: 0, maximum: 1e9 },
    { unit: 's', title: 'Call budget', description: 'Longest time of one call with all its retries.', reason: DEADLINES },
  ),
  whole(
    'tn_broker_timeout',
    { minimum: 5, maximum: 300, default: 60 },
    { unit: 's', title: 'Broker timeout', description: 'Longest wait of the Perl code for its node daemon.', reason: DEADLINES },
  ),
  whole(
    'tn_status_probe_backoff_s',
    { minimum: 0, maximum: 1e9 },
    {
      unit: 's',
      title: 'Status back-off',
      description: 'How long a failed connection was answered from memory.',
      reason: 'status is always answered from memory and the daemon reconnects by itself',
    },
  ),
  whole(
    'storage_lock_timeout',
    { minimum: 10, maximum: 600, default: 120 },
    {
      aliases: tn('storage_lock_timeout'),
      unit: 's',
      title: 'Lock timeout',
      description: 'Longest wait for the cluster lock of the storage.',
      reason: 'no operation waits for a lock of its own making',
    },
  ),
  flag('tn_use_cluster_lock', {
    title: 'Cluster lock',
    description: 'Runs one operation at a time in the whole cluster.',
    default: false,
    reason: 'TrueNAS itself decides who gets a name or a LUN, and the loser takes the next',
  }),
  flag('enable_bulk_operations', {
    aliases: tn('enable_bulk_operations'),
    title: 'Bulk operations',
    description: 'Was to put several changes into one call.',
    default: true,
    reason: NEVER,
  }),
  flag('enable_live_snapshots', {
    aliases: tn('enable_live_snapshots'),
    title: 'Live snapshots',
    description: 'Was to allow snapshots of running guests; these always work.',
    default: true,
    reason: NEVER,
  }),
  flag('snapshot_volume_chains', {
    aliases: tn('snapshot_volume_chains'),
    title: 'Volume chains',
    description: 'Was to allow snapshots as volume chains; ZFS snapshots are used.',
    default: true,
    reason: NEVER,
  }),
  freeText('vmstate_storage', {
    aliases: tn('vmstate_storage'),
    title: 'VM state storage',
    description: 'Was to choose the place of VM state; PVE chooses it.',
    default: 'local',
    reason: NEVER,
  }),
  flag('force_delete_on_inuse', {
    aliases: tn('force_delete_on_inuse'),
    title: 'Force delete',
    description: 'Logged this node out of the target when a delete was refused.',
    default: false,
    reason: ONE_DEVICE,
  }),
  flag('logout_on_free', {
    aliases: tn('logout_on_free'),
    title: 'Log out on free',
    description: 'Logged out of the target when its last LUN was gone.',
    default: false,
    reason: ONE_DEVICE,
  }),
  flag('use_by_path', {
    aliases: tn('use_by_path'),
    title: 'Use by-path names',
    description: 'Handed /dev/disk/by-path names to QEMU.',
    default: false,
    reason: IDENTITY,
  }),
  flag('ipv6_by_path', {
    aliases: tn('ipv6_by_path'),
    title: 'IPv6 by-path names',
    description: 'Was to adapt by-path names to IPv6 portals.',
    default: false,
    reason: NEVER,
  }),
  whole(
    'debug',
    { minimum: 0, maximum: 2, default: 0 },
    {
      aliases: tn('debug'),
      contested: ['debug'],
      title: 'Debug level',
      description: 'Amount of log lines of the Perl code.',
      reason: 'the daemon logs by severity: journalctl -u pve-truenasd',
    },
  ),
  ...NQN_SETTINGS,
  freeText('nvme_dhchap_secret', {
    aliases: tn('nvme_dhchap_secret'),
    title: 'DH-CHAP secret',
    description: 'Key with which the host proves itself.',
    sensitive: true,
    reason: NVME,
  }),
  freeText('nvme_dhchap_ctrl_secret', {
    aliases: tn('nvme_dhchap_ctrl_secret'),
    title: 'DH-CHAP controller secret',
    description: 'Key with which the controller proves itself.',
    sensitive: true,
    reason: NVME,
  }),
  flag('tn_nvme_allow_any_host', {
    title: 'Any NVMe host',
    description: 'Opens the subsystem to every host.',
    default: true,
    reason: NVME,
  }),
  whole(
    'tn_nr_io_queues',
    { minimum: 1, maximum: 256 },
    { title: 'NVMe I/O queues', description: 'Queues of one controller.', reason: NVME },
  ),
  whole(
    'tn_nvme_ctrl_loss_tmo',
    { minimum: -1, maximum: 3600 },
    {
      unit: 's',
      title: 'NVMe loss timeout',
      description: 'How long the kernel tries to get a controller back; -1 for ever.',
      reason: NVME,
    },
  ),
  whole(
    'tn_nvme_reconnect_delay',
    { minimum: 1, maximum: 3600 },
    { unit: 's', title: 'NVMe reconnect delay', description: 'Wait between two tries.', reason: NVME },
  ),
  whole(
    'tn_nvme_keep_alive_tmo',
    { minimum: 1, maximum: 3600 },
    { unit: 's', title: 'NVMe keep-alive', description: 'Interval of keep-alives.', reason: NVME },
  ),
] as const;
