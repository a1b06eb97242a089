import { choice, decimal, flag, freeText, textSetting, whole, wordList } from './setting.ts';
import { fingerprintRule, hostRule, pathRule, portalListRule, portalRule, schemeRule, usernameRule } from './text-rules.ts';
import { BLOCK_SIZES, blocksizeRule, chapUserRule, datasetRule, targetRule } from './volume-rules.ts';

/** TrueNAS's words for compression, as the official plugin offers them (F-425). */
const COMPRESSION = [
  'OFF',
  'LZ4',
  'GZIP',
  'GZIP-1',
  'GZIP-9',
  'ZSTD',
  'ZSTD-1',
  'ZSTD-3',
  'ZSTD-5',
  'ZSTD-7',
  'ZSTD-9',
  'ZLE',
  'LZJB',
] as const;

/** The way to TrueNAS's API (F-401..F-407, F-430, F-431) and how this node proves and checks identities. */
export const CONNECTION = {
  apiHost: textSetting(
    'api_host',
    {
      aliases: ['tn_api_host'],
      title: 'TrueNAS host',
      description: 'Host name or IP address of TrueNAS. IPv6 addresses may stand in brackets.',
      expected: 'a host name or IP address, without scheme and port',
      required: true,
    },
    hostRule,
  ),
  apiKey: freeText('api_key', {
    aliases: ['tn_api_key'],
    title: 'API key',
    description:
      'Key of a TrueNAS user. Kept in /etc/pve/priv/storage/STORAGE.api_key; a key that stands in storage.cfg still works and is warned about.',
    expected: 'the key that TrueNAS showed when it was made',
    sensitive: true,
  }),
  apiUsername: textSetting(
    'truenas-username',
    {
      title: 'Owner of the API key',
      description: 'TrueNAS user to whom the API key belongs. Unset: TrueNAS is asked with the key alone.',
      expected: 'the name of a TrueNAS user',
    },
    usernameRule,
  ),
  apiScheme: textSetting(
    'api_scheme',
    {
      aliases: ['tn_api_scheme'],
      title: 'Scheme',
      description:
        'wss (or https). TrueNAS revokes an API key that is sent over ws (or http), so these are refused, except for a host that is this node itself (127.0.0.0/8, ::1, localhost): the near end of a tunnel.',
      expected: 'wss',
      default: 'wss',
    },
    schemeRule,
  ),
  apiPort: whole(
    'api_port',
    { minimum: 1, maximum: 65535 },
    { aliases: ['tn_api_port'], title: 'API port', description: 'TCP port of the API. Default: 443 for wss, 80 for ws.' },
  ),
  apiInsecure: flag('api_insecure', {
    aliases: ['tn_api_insecure'],
    title: 'Skip certificate check',
    description: 'Accepts any certificate. Use `fingerprint` instead: it accepts exactly the one of your TrueNAS.',
    default: false,
  }),
  fingerprint: textSetting(
    'fingerprint',
    {
      title: 'Certificate fingerprint',
      description: 'SHA-256 fingerprint of the certificate of TrueNAS. Pins a self-signed certificate.',
      expected: '32 pairs of hexadecimal digits with colons between them',
      core: true,
    },
    fingerprintRule,
  ),
  caFile: textSetting(
    'truenas-ca',
    {
      title: 'CA file',
      description: 'PEM file with a certificate authority to trust besides those of the system. The same path on every node.',
      expected: 'the absolute path of a PEM file',
    },
    pathRule,
  ),
  preferIpv4: flag('prefer_ipv4', {
    aliases: ['tn_prefer_ipv4'],
    title: 'Prefer IPv4',
    description: 'Tries the IPv4 addresses of `api_host` first.',
    default: true,
  }),
  apiTimeout: decimal(
    'api_timeout',
    { minimum: 1, maximum: 300, default: 30 },
    {
      aliases: ['tn_api_timeout'],
      unit: 's',
      title: 'API timeout',
      description: 'Longest wait for a connection to TrueNAS and for the answer to one call.',
    },
  ),
  apiRetryMax: whole(
    'api_retry_max',
    { minimum: 0, maximum: 10, default: 3 },
    { aliases: ['tn_api_retry_max'], title: 'Retries', description: 'How often a read is repeated. A change is never sent twice.' },
  ),
  apiRetryDelay: decimal(
    'api_retry_delay',
    { minimum: 0.1, maximum: 60, default: 1 },
    {
      aliases: ['tn_api_retry_delay'],
      unit: 's',
      title: 'Retry delay',
      description: 'Wait before the first retry; it doubles with each further one. Fractions count.',
    },
  ),
  connectionMaxAge: whole(
    'api_connection_max_age',
    { minimum: 1, maximum: 2_419_200, default: 3600 },
    {
      aliases: ['tn_api_connection_max_age'],
      unit: 's',
      title: 'Connection age',
      description: 'Age at which the session with TrueNAS is replaced by a new one, which is logged in before the old one is let go.',
    },
  ),
} as const;

/** How volumes are made (F-408, F-409, F-425, F-426). */
export const VOLUMES = {
  dataset: textSetting(
    'dataset',
    {
      aliases: ['tn_dataset'],
      title: 'Dataset',
      description: 'Parent dataset of the volumes, for example tank/proxmox. It must exist.',
      expected: "a dataset such as tank/proxmox: letters, digits, '_', '-', '.', ':' and single '/'",
      required: true,
      fixed: true,
    },
    datasetRule,
  ),
  blocksize: textSetting(
    'zvol_blocksize',
    {
      aliases: ['tn_zvol_blocksize'],
      title: 'Block size',
      description:
        'volblocksize of new volumes. A volume whose size is no multiple of it gets the largest block size that fits, so sizes stay exact.',
      expected: `one of ${BLOCK_SIZES.join(', ')}`,
      default: '16K',
    },
    blocksizeRule,
  ),
  sparse: flag('tn_sparse', { title: 'Thin volumes', description: 'Makes new volumes without a reservation.', default: true }),
  spaceOverhead: whole(
    'truenas-space-overhead',
    { minimum: 0, maximum: 100, default: 20 },
    {
      unit: '%',
      title: 'Space overhead',
      description:
        'What ZFS is taken to need beyond the size of a thick volume, in per cent of it: checked before a volume is made or grown.',
    },
  ),
  forceSize: flag('truenas-force-size', {
    title: 'Large volumes',
    description:
      'Lifts the rule of TrueNAS that one volume may take at most 80 % of the available space (force_size). Thin volumes may then be larger than the pool.',
    default: false,
  }),
  compression: choice('tn_compression', COMPRESSION, {
    title: 'Compression',
    description: 'Compression of new volumes. Unset: inherited from the dataset.',
  }),
} as const;

/** How this node reaches the volumes (F-410..F-414, F-420, F-434). */
export const FABRIC = {
  transport: choice('transport_mode', ['iscsi', 'nvme-tcp'], {
    aliases: ['tn_transport_mode'],
    title: 'Transport',
    description: 'iscsi. The word nvme-tcp is known, but this transport is not offered yet: a storage that asks for it is refused.',
    default: 'iscsi',
    fixed: true,
  }),
  target: textSetting(
    'target_iqn',
    {
      aliases: ['tn_target_iqn'],
      title: 'iSCSI target',
      description: 'Full IQN of the target, or its short name on TrueNAS. It must exist.',
      expected: 'an IQN such as iqn.2005-10.org.freenas.ctl:proxmox, or a target’s short name',
      required: true,
      fixed: true,
    },
    targetRule,
  ),
  discoveryPortal: textSetting(
    'discovery_portal',
    {
      aliases: ['tn_discovery_portal'],
      title: 'Portal',
      description: 'Address of the first iSCSI portal. Port 3260 when none is given.',
      expected: 'IP, IP:port or [IPv6]:port',
      required: true,
    },
    portalRule,
  ),
  portals: textSetting(
    'portals',
    {
      aliases: ['tn_portals'],
      title: 'More portals',
      description: 'Further portals of the same target, divided by commas.',
      expected: 'IP, IP:port or [IPv6]:port, divided by commas',
    },
    portalListRule,
  ),
  multipath: flag('use_multipath', {
    aliases: ['tn_use_multipath'],
    title: 'Multipath',
    description: 'Uses the volumes through dm-multipath. Unset is off, as the Perl plugins behaved (their schema said on).',
    default: false,
  }),
  initiator: choice('truenas-initiator', ['kernel', 'qemu'], {
    title: 'Initiator',
    description:
      'kernel: the iSCSI initiator of the node. qemu: QEMU’s own, with no device on the node; containers and TPM state then still use the kernel’s.',
    default: 'kernel',
  }),
  chapUser: textSetting(
    'chap_user',
    {
      aliases: ['tn_chap_user'],
      title: 'CHAP user',
      description: 'User of one-way CHAP. The secret is `chap_password`.',
      expected: 'a CHAP user name without blanks',
    },
    chapUserRule,
  ),
  chapPassword: freeText('chap_password', {
    aliases: ['tn_chap_password'],
    title: 'CHAP secret',
    description:
      'Secret of one-way CHAP. Kept in /etc/pve/priv/storage/STORAGE.chap_password; one that stands in storage.cfg still works and is warned about.',
    expected: 'the secret of the CHAP user, 12 to 16 characters',
    sensitive: true,
  }),
  lunRest: whole(
    'truenas-lun-rest',
    { minimum: 0, maximum: 604_800, default: 3600 },
    {
      unit: 's',
      title: 'LUN rest',
      description: 'How long the LUN number of a freed volume is not given to another one: a node may still have the old device.',
    },
  ),
  deviceRetries: whole(
    'tn_device_ready_retries',
    { minimum: 0, maximum: 1200, default: 600 },
    {
      unit: '100 ms',
      title: 'Device wait',
      description: 'Longest wait for the device of a volume to appear on the node, in tenths of a second: 600 are 60 s.',
    },
  ),
} as const;

/** Settings that PVE declares and mostly handles itself. */
export const PVE = {
  content: wordList('content', {
    title: 'Content',
    description: 'What the storage is for: images (VM disks), rootdir (containers), none.',
    expected: 'images, rootdir or both with a comma, or none',
    default: 'images,rootdir',
    core: true,
  }),
  nodes: wordList('nodes', {
    title: 'Nodes',
    description: 'Nodes that use the storage. Unset: all.',
    expected: 'names of nodes, divided by commas',
    core: true,
  }),
  disable: flag('disable', { title: 'Disabled', description: 'Takes the storage out of use.', default: false, core: true }),
  shared: flag('shared', { title: 'Shared', description: 'Always 1: every node sees the same volumes.', default: true, core: true }),
  bwlimit: freeText('bwlimit', {
    title: 'Bandwidth limits',
    description: 'Limits of PVE’s own copies (clone, move, restore, …); PVE reads and applies it.',
    core: true,
  }),
} as const;
