import { createServer } from 'node:net';
import type { SimRelease } from '../../sim/api/contract.ts';
import type { SimulatorOptions } from '../../sim/server/launch.ts';
import { GIB, type Stage } from './testing/broken-array-stage.ts';

export interface Situation {
  readonly name: string;
  /** default 25.10 */
  readonly release?: SimRelease;
  readonly array?: SimulatorOptions;
  /** What is there while all is well. */
  readonly before?: (stage: Stage) => Promise<unknown>;
  /** How the array breaks. */
  readonly breaks: (stage: Stage) => unknown;
  /** Method of the daemon's socket and its parameters but for the storage. */
  readonly tried: readonly [method: string, params?: Readonly<Record<string, unknown>>];
  readonly code: string;
  /** Setting or object that the message names, and what else it must say. */
  readonly says: readonly RegExp[];
  /** What its causes and hints must say, where that is known exactly. */
  readonly advice?: readonly RegExp[];
  /**
   * `unchanged` (default): the array holds what it held when the attempt was answered. `settles`: as soon as the daemon has
   * taken back or looked after what was unknown, the array being well again. `finished`: a begun deletion is finished then.
   */
  readonly ends?: 'unchanged' | 'settles' | 'finished';
}

const DISK = 'vm-100-disk-0';
const allocate = ['volume.allocate', { vmid: 100, size: GIB }] as const;
const list = ['volume.list'] as const;
const free = ['volume.free', { volume: DISK }] as const;
const grow = ['volume.resize', { volume: DISK, size: 2 * GIB }] as const;
const activate = ['volume.activate', { volume: DISK }] as const;
const validate = ['storage.validate', { action: 'add' }] as const;
const snapshot = (name: string) => ['snapshot.create', { volume: DISK, snapshot: name }] as const;
const unsnapshot = (name: string) => ['snapshot.delete', { volume: DISK, snapshot: name }] as const;
const rollback = (name: string) => ['snapshot.rollback', { volume: DISK, snapshot: name }] as const;
const within = (ms: number, [method, params]: Situation['tried']): Situation['tried'] => [method, { ...params, deadline_ms: ms }];

/** Roles of a key that may read all that the plugin reads. */
const READS = ['DATASET_READ', 'SHARING_ISCSI_READ', 'SERVICE_READ', 'SNAPSHOT_READ', 'POOL_READ'] as const;
const DATASETS = ['DATASET_WRITE', 'DATASET_DELETE'] as const;
const EXPORTS = ['SHARING_ISCSI_EXTENT_READ', 'SHARING_ISCSI_TARGETEXTENT_READ', 'SHARING_ISCSI_PORTAL_READ', 'SERVICE_READ'] as const;

const withDisk = (stage: Stage) => stage.volume();
const withSnapshots =
  (...names: readonly string[]) =>
  async (stage: Stage): Promise<void> => {
    await stage.volume();
    for (const name of names) await stage.snapshot(DISK, name);
  };
const withForeignExtent = async (stage: Stage): Promise<void> => {
  await stage.admin('pool.dataset.create', { name: stage.zvol('by-hand'), type: 'VOLUME', volsize: GIB, sparse: true });
  await stage.admin('iscsi.extent.create', { name: 'by-hand', disk: `zvol/${stage.zvol('by-hand')}` });
};
const connection: readonly Situation[] = [
  {
    name: 'nobody listens at its port',
    breaks: (stage) => Object.assign(stage.section, { api_port: 9 }),
    tried: list,
    code: 'ARRAY_UNREACHABLE',
    says: [/127\.0\.0\.1:9/],
  },
  {
    name: 'something that speaks no TLS listens at its port',
    breaks: async (stage) => {
      const server = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.end('220 mail.example ESMTP\r\n');
      });
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      const address = server.address();
      Object.assign(stage.section, { api_port: typeof address === 'object' ? (address?.port ?? 0) : 0 });
      stage.atEnd(() => server.close());
    },
    tried: list,
    code: 'ARRAY_PROTOCOL',
    says: [/127\.0\.0\.1:\d+/, /TLS/],
  },
  {
    name: 'its certificate was changed',
    breaks: (stage) => Object.assign(stage.section, { fingerprint: Array.from({ length: 32 }, () => 'AB').join(':') }),
    tried: list,
    code: 'TLS_UNTRUSTED',
    says: [/fingerprint/, /([0-9A-F]{2}:){31}/],
  },
  {
    name: 'its certificate is self-signed and nobody pinned it',
    breaks: (stage) => {
      delete stage.section['fingerprint'];
    },
    tried: list,
    code: 'TLS_UNTRUSTED',
    says: [/certificate/, /([0-9A-F]{2}:){31}/],
  },
  {
    name: 'it is mute: accepts and never answers',
    breaks: (stage) => stage.fault({ fault: 'mute' }),
    tried: within(4000, list),
    code: 'ARRAY_UNREACHABLE',
    says: [/127\.0\.0\.1:\d+/, /not done after|did not answer/, /api_host/],
  },
  {
    name: 'it goes mute while it is in use',
    before: withDisk,
    breaks: (stage) => stage.fault({ fault: 'mute' }),
    tried: within(5000, ['snapshot.list', { volume: DISK }]),
    code: 'ARRAY_UNREACHABLE',
    says: [/vm-100-disk-0/, /did not answer/],
  },
  {
    name: 'a proxy in between answers 502',
    breaks: (stage) => stage.fault({ method: 'connect', fault: 'raw', text: 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n' }),
    tried: within(4000, list),
    code: 'ARRAY_PROTOCOL',
    says: [/127\.0\.0\.1:\d+/, /502/],
  },
  {
    name: 'it has too many requests (HTTP 429)',
    breaks: (stage) =>
      stage.fault({
        method: 'connect',
        fault: 'raw',
        text: 'HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n',
      }),
    tried: within(3000, list),
    code: 'RATE_LIMITED',
    says: [/127\.0\.0\.1:\d+/, /429|no more requests/],
  },
  {
    name: 'a portal page answers in place of the list of versions',
    breaks: (stage) => stage.fault({ method: 'GET /api/versions', fault: 'raw', text: '<!doctype html><title>Sign in</title>' }),
    tried: list,
    code: 'ARRAY_PROTOCOL',
    says: [/127\.0\.0\.1:\d+/, /\/api\/versions/],
  },
  {
    name: 'it is an old release',
    breaks: (stage) => stage.fault({ method: 'GET /api/versions', fault: 'answer', result: ['v24.10', 'v25.04-RC.1'] }),
    tried: list,
    code: 'RELEASE_UNSUPPORTED',
    says: [/25\.04/],
  },
  {
    name: 'it is a release that is not made yet, and has another login',
    breaks: (stage) => {
      stage.fault({ method: 'GET /api/versions', fault: 'answer', result: ['v31.0.0', 'v32.4.1'] });
      for (const method of ['auth.login_ex', 'auth.login_with_api_key']) {
        stage.fault({ method, fault: 'error', code: -32_601, reason: 'Method does not exist' });
      }
    },
    tried: list,
    code: 'RELEASE_UNSUPPORTED',
    says: [/login/],
  },
  {
    name: 'it cuts the connection at the login',
    breaks: (stage) => stage.fault({ method: 'auth.login_ex', fault: 'cut-before' }),
    tried: within(3000, list),
    code: 'ARRAY_UNREACHABLE',
    says: [/login/],
  },
  {
    name: 'the standby controller of a pair answers',
    breaks: (stage) =>
      stage.fault({ method: 'auth.login_ex', fault: 'answer', result: { response_type: 'REDIRECT', urls: ['https://10.0.0.9'] } }),
    tried: within(3000, list),
    code: 'ARRAY_UNREACHABLE',
    says: [/standby/],
  },
];

const credentials: readonly Situation[] = [
  {
    name: 'the key is wrong',
    breaks: (stage) => stage.key(`1-${'x'.repeat(64)}`),
    tried: list,
    code: 'AUTH_FAILED',
    says: [/API key/, /truenas_admin/],
  },
  {
    name: 'the key belongs to another user',
    breaks: (stage) => Object.assign(stage.section, { 'truenas-username': 'nobody' }),
    tried: list,
    code: 'AUTH_FAILED',
    says: [/API key/, /nobody/],
  },
  {
    name: 'the key was revoked',
    breaks: (stage) => stage.sim.command({ command: 'revoke-key', id: 1 }),
    tried: list,
    code: 'AUTH_FAILED',
    says: [/API key/, /truenas_admin/],
  },
  {
    name: 'the key has expired, and the clock was set 31 days on, so that the session ended, too',
    before: withDisk,
    breaks: async (stage) => {
      await stage.sim.command({ command: 'revoke-key', id: 1 });
      await stage.sim.command({ command: 'clock-advance', ms: 31 * 86_400_000 });
    },
    tried: within(4000, snapshot('snap1')),
    code: 'AUTH_FAILED',
    says: [/API key/, /truenas_admin/],
  },
  {
    name: 'the account wants a one-time password',
    breaks: (stage) =>
      stage.fault({ method: 'auth.login_ex', fault: 'answer', result: { response_type: 'OTP_REQUIRED', username: 'truenas_admin' } }),
    tried: list,
    code: 'AUTH_FAILED',
    says: [/one-time password/, /truenas_admin/],
  },
  {
    name: 'the user may not use the API',
    release: '26.0',
    breaks: (stage) => stage.fault({ method: 'auth.login_ex', fault: 'answer', result: { response_type: 'DENIED' } }),
    tried: list,
    code: 'NOT_AUTHORIZED',
    says: [/truenas_admin/, /API/],
  },
  {
    name: 'its login limit is used up',
    breaks: (stage) =>
      stage.fault({ method: 'auth.login_ex', fault: 'error', code: -32001, errno: 16, reason: '[EBUSY] Rate Limit Exceeded' }),
    tried: within(3000, list),
    code: 'AUTH_RATE_LIMITED',
    says: [/login/],
  },
  ...(
    [
      ['DATASET_READ', list, /tank\/proxmox/, ['SHARING_ISCSI_READ', 'SERVICE_READ']],
      ['DATASET_WRITE', allocate, /'narrow'/, [...READS, 'SHARING_ISCSI_WRITE']],
      ['SHARING_ISCSI_EXTENT_WRITE', allocate, /'narrow'/, [...READS, ...DATASETS]],
      ['SHARING_ISCSI_TARGETEXTENT_WRITE', allocate, /'narrow'/, [...READS, ...DATASETS, 'SHARING_ISCSI_EXTENT_WRITE']],
      ['SHARING_ISCSI_TARGET_READ', list, /targets/, ['DATASET_READ', 'SHARING_ISCSI_GLOBAL_READ', ...EXPORTS]],
      ['DATASET_DELETE', free, /'narrow'/, [...READS, 'DATASET_WRITE', 'SHARING_ISCSI_WRITE', 'SNAPSHOT_DELETE']],
      ['SNAPSHOT_WRITE', snapshot('snap1'), /vm-100-disk-0@snap1/, READS],
      ['SNAPSHOT_DELETE', unsnapshot('one'), /vm-100-disk-0@one/, [...READS, 'SNAPSHOT_WRITE']],
    ] as const
  ).map(
    ([role, tried, object, roles]): Situation => ({
      name: `the key's user lacks ${role}`,
      before: role === 'DATASET_DELETE' ? withDisk : withSnapshots('one'),
      breaks: (stage) => stage.keyWithRoles(roles),
      tried,
      code: 'NOT_AUTHORIZED',
      says: [object, /[Nn]ot authorized|lacks the role/],
      advice: [new RegExp(role)],
    }),
  ),
];

const datasets: readonly Situation[] = [
  {
    name: 'the dataset was deleted',
    breaks: (stage) => stage.admin('pool.dataset.delete', stage.dataset, {}),
    tried: allocate,
    code: 'DATASET_MISSING',
    says: [/tank\/proxmox/, /setting dataset/],
  },
  {
    name: 'the dataset was deleted while it was in use',
    before: withDisk,
    breaks: (stage) => stage.admin('pool.dataset.delete', stage.dataset, { recursive: true }),
    tried: allocate,
    code: 'PREFLIGHT_FAILED',
    says: [/tank\/proxmox/, /does not exist/],
  },
  {
    name: 'the dataset is a zvol',
    breaks: async (stage) => {
      await stage.admin('pool.dataset.delete', stage.dataset, {});
      await stage.admin('pool.dataset.create', { name: stage.dataset, type: 'VOLUME', volsize: GIB, sparse: true });
    },
    tried: allocate,
    code: 'DATASET_UNUSABLE',
    says: [/tank\/proxmox/, /setting dataset/, /zvol/],
  },
  {
    name: 'the dataset is read-only',
    breaks: (stage) => stage.admin('pool.dataset.update', stage.dataset, { readonly: 'ON' }),
    tried: allocate,
    code: 'DATASET_UNUSABLE',
    says: [/tank\/proxmox/, /read-only/],
  },
  {
    name: 'the dataset became read-only while it was in use',
    before: withDisk,
    breaks: (stage) => stage.admin('pool.dataset.update', stage.dataset, { readonly: 'ON' }),
    tried: allocate,
    code: 'DATASET_UNUSABLE',
    says: [/tank\/proxmox/, /read-only|readonly/],
  },
  {
    name: 'the whole pool is read-only',
    breaks: (stage) => stage.admin('pool.dataset.update', 'tank', { readonly: 'ON' }),
    tried: allocate,
    code: 'DATASET_UNUSABLE',
    says: [/tank\/proxmox/, /read-only/],
  },
  {
    name: 'the dataset is locked',
    breaks: (stage) => stage.sim.command({ command: 'dataset-lock', dataset: stage.dataset, locked: true }),
    tried: allocate,
    code: 'DATASET_UNUSABLE',
    says: [/tank\/proxmox/, /locked/],
  },
  {
    name: 'the pool is full',
    breaks: (stage) => stage.fault({ fault: 'pool-full' }),
    tried: allocate,
    code: 'NO_SPACE',
    says: [/tank\/proxmox/, /Requested: 1\.00 GB/, /Shortfall/],
  },
  {
    name: 'the pool is filled by others right before the volume is made',
    before: withDisk,
    breaks: (stage) => stage.fault({ method: 'pool.dataset.create', fault: 'pool-full' }),
    tried: allocate,
    code: 'NO_SPACE',
    says: [/tank\/proxmox/],
  },
  {
    name: 'a quota is reached',
    breaks: (stage) => stage.admin('pool.dataset.update', stage.dataset, { quota: GIB }),
    tried: allocate,
    code: 'NO_SPACE',
    says: [/tank\/proxmox/, /Quota: 1\.00 GB/],
  },
  {
    name: 'there is no room to grow',
    before: withDisk,
    breaks: (stage) => stage.admin('pool.dataset.update', stage.dataset, { quota: 2 * GIB }),
    tried: ['volume.resize', { volume: DISK, size: 8 * GIB }],
    code: 'NO_SPACE',
    says: [/tank\/proxmox/],
  },
  ...(['FAULTED', 'SUSPENDED', 'UNAVAIL'] as const).map(
    (status): Situation => ({
      name: `the pool is ${status}`,
      breaks: (stage) => stage.sim.command({ command: 'pool-status', status }),
      tried: allocate,
      code: 'POOL_SUSPENDED',
      says: [/tank\/proxmox/, /suspended/],
    }),
  ),
  {
    name: 'the pool is suspended when a snapshot is wanted',
    before: withDisk,
    breaks: (stage) => stage.sim.command({ command: 'pool-status', status: 'SUSPENDED' }),
    tried: snapshot('snap1'),
    code: 'POOL_SUSPENDED',
    says: [/vm-100-disk-0/, /suspended/],
  },
];

const exportsOf: readonly Situation[] = [
  {
    name: 'the target was deleted',
    breaks: (stage) => stage.admin('iscsi.target.delete', 1, true),
    tried: allocate,
    code: 'TARGET_MISSING',
    says: [/iqn\.2005-10\.org\.freenas\.ctl:proxmox/, /target_iqn/],
  },
  {
    name: 'the target was renamed',
    breaks: (stage) => stage.admin('iscsi.target.update', 1, { name: 'other' }),
    tried: allocate,
    code: 'TARGET_MISSING',
    says: [/ctl:proxmox/, /ctl:other/],
  },
  {
    name: 'the base name of the service was changed',
    breaks: (stage) => stage.admin('iscsi.global.update', { basename: 'iqn.2024-01.example' }),
    tried: allocate,
    code: 'TARGET_MISSING',
    says: [/ctl:proxmox/, /iqn\.2024-01\.example:proxmox/],
  },
  {
    name: 'the target has no group and admits nobody',
    breaks: (stage) => stage.admin('iscsi.target.update', 1, { groups: [] }),
    tried: validate,
    code: 'CONFIG_INVALID',
    says: [/target/, /group|portal/],
  },
  {
    name: 'the target demands CHAP',
    breaks: async (stage) => {
      await stage.admin('iscsi.auth.create', { tag: 1, user: 'pve', secret: 'twelve-chars' });
      await stage.admin('iscsi.target.update', 1, { groups: [{ portal: 1, initiator: 1, authmethod: 'CHAP', auth: 1 }] });
    },
    tried: validate,
    code: 'CONFIG_INVALID',
    says: [/CHAP/, /use_chap|chap_user/],
  },
  {
    name: 'the iSCSI service is stopped',
    breaks: (stage) => stage.admin('service.control', 'STOP', 'iscsitarget', {}),
    tried: allocate,
    code: 'SERVICE_STOPPED',
    says: [/iSCSI service/, /127\.0\.0\.1/],
  },
  {
    name: 'the iSCSI service was stopped while it was in use',
    before: withDisk,
    breaks: (stage) => stage.admin('service.control', 'STOP', 'iscsitarget', {}),
    tried: allocate,
    code: 'SERVICE_STOPPED',
    says: [/iSCSI service/],
  },
  {
    name: 'the name of the extent is taken',
    breaks: (stage) =>
      stage.fault({
        method: 'iscsi.extent.create',
        fault: 'error',
        code: -32602,
        errno: 22,
        reason: '[EINVAL] iscsi_extent_create.name: Extent name must be unique\n',
        extra: [['iscsi_extent_create.name', 'Extent name must be unique', 22]],
      }),
    tried: allocate,
    code: 'EXTENT_FAILED',
    says: [/extent 'pve-[0-9a-f]{32}'/, /zvol\/tank\/proxmox\/vm-100-disk-0/, /unique/],
  },
  {
    name: 'somebody else makes an extent of the new zvol first',
    breaks: (stage) =>
      stage.fault({
        method: 'iscsi.extent.create',
        fault: 'error',
        code: -32602,
        errno: 22,
        reason: '[EINVAL] iscsi_extent_create.disk: Disk currently in use by extent by-hand\n',
        extra: [['iscsi_extent_create.disk', 'Disk currently in use by extent by-hand', 22]],
      }),
    tried: allocate,
    code: 'VOLUME_BUSY',
    says: [/by-hand/, /vm-100-disk-0/],
  },
  {
    name: 'the device of the new zvol never appears',
    array: { zvolDeviceLag: 1_000_000 },
    breaks: () => undefined,
    tried: within(3000, allocate),
    code: 'EXTENT_FAILED',
    says: [/zvol\/tank\/proxmox\/vm-100-disk-0/, /does not exist/],
    ends: 'settles',
  },
  {
    name: 'every LUN number is taken by others',
    breaks: (stage) =>
      stage.fault({
        method: 'iscsi.targetextent.create',
        fault: 'error',
        code: -32602,
        errno: 22,
        reason: '[EINVAL] iscsi_targetextent_create.lunid: LUN ID is already being used for this target.\n',
        extra: [['iscsi_targetextent_create.lunid', 'LUN ID is already being used for this target.', 22]],
      }),
    tried: allocate,
    code: 'LUN_CONFLICT',
    says: [/LUN/, /ctl:proxmox/],
  },
  {
    name: 'no LUN number is left on the target',
    breaks: async (stage) => {
      await withForeignExtent(stage);
      const part = stage.sim.array.persistent.find((one) => one.name === 'iscsi');
      const mappings = Array.from({ length: 16_383 }, (_none, lun) => ({ id: lun + 1, target: 1, extent: 1, lunid: lun }));
      part?.load({ ...(part.dump() as object), mappings });
    },
    tried: allocate,
    code: 'LUN_EXHAUSTED',
    says: [/ctl:proxmox/, /16383|16382/],
  },
  {
    name: 'every mapping vanishes as soon as it was made',
    breaks: (stage) => {
      stage.fault({
        method: 'iscsi.targetextent.create',
        fault: 'answer',
        result: { id: 4711, target: 1, extent: 1, lunid: 0 },
      });
    },
    tried: allocate,
    code: 'LUN_CONFLICT',
    says: [/LUN/, /ctl:proxmox/],
  },
  {
    name: 'somebody deleted the extent of a volume',
    before: withDisk,
    breaks: (stage) => stage.admin('iscsi.extent.delete', 1, false, true),
    tried: activate,
    code: 'EXPORT_MISSING',
    says: [/vm-100-disk-0/, /extent/],
  },
  {
    name: 'somebody removed the LUN of a volume',
    before: withDisk,
    breaks: (stage) => stage.admin('iscsi.targetextent.delete', 1, true),
    tried: activate,
    code: 'EXPORT_MISSING',
    says: [/vm-100-disk-0/, /LUN|mapped|target/],
  },
];

const volumes: readonly Situation[] = [
  {
    name: 'a zvol of this name was made by hand',
    breaks: (stage) => stage.admin('pool.dataset.create', { name: stage.zvol('vm-100-efi'), type: 'VOLUME', volsize: GIB, sparse: true }),
    tried: ['volume.allocate', { vmid: 100, name: 'vm-100-efi', size: GIB }],
    code: 'VOLUME_EXISTS',
    says: [/vm-100-efi/],
  },
  {
    name: 'a zvol that somebody made by hand is to be freed',
    breaks: (stage) => stage.admin('pool.dataset.create', { name: stage.zvol(DISK), type: 'VOLUME', volsize: GIB, sparse: true }),
    tried: free,
    code: 'VOLUME_FOREIGN',
    says: [/vm-100-disk-0/],
  },
  {
    name: 'the volume was deleted on TrueNAS',
    before: withDisk,
    breaks: (stage) => stage.admin('pool.dataset.delete', stage.zvol(DISK), {}),
    tried: grow,
    code: 'VOLUME_MISSING',
    says: [/vm-100-disk-0/],
  },
  {
    name: 'somebody shares the volume by an extent of their own, too (25.04 allows it)',
    release: '25.04',
    before: withDisk,
    breaks: async (stage) => {
      await stage.admin('iscsi.extent.create', { name: 'by-hand', disk: `zvol/${stage.zvol(DISK)}` });
      await stage.forget();
    },
    tried: free,
    code: 'VOLUME_BUSY',
    says: [/by-hand/, /vm-100-disk-0/],
  },
  {
    name: 'a clone hangs on the volume to be freed',
    before: withSnapshots('one'),
    breaks: (stage) =>
      stage.admin(stage.snapshots('clone'), { snapshot: `${stage.zvol(DISK)}@one`, dataset_dst: stage.zvol('by-hand-clone') }),
    tried: free,
    code: 'VOLUME_HAS_CLONES',
    says: [/tn\d+:vm-100-disk-0/, /by-hand-clone/],
  },
  {
    name: 'a snapshot of the volume to be freed is held',
    before: withSnapshots('one'),
    breaks: (stage) => stage.admin(stage.snapshots('hold'), `${stage.zvol(DISK)}@one`, {}),
    tried: free,
    code: 'VOLUME_BUSY',
    says: [/vm-100-disk-0@one/, /hold/],
    advice: [/zfs release/],
  },
  {
    name: 'TrueNAS itself keeps the zvol open while it is freed',
    before: withDisk,
    breaks: (stage) => stage.sim.command({ command: 'zvol-busy', zvol: stage.zvol(DISK), busy: true }),
    tried: within(4000, free),
    code: 'DELETE_UNCONFIRMED',
    says: [/vm-100-disk-0/, /still there/, /busy/],
    ends: 'finished',
  },
  {
    name: '26.0 says it deleted the zvol and did nothing',
    release: '26.0',
    before: withDisk,
    breaks: (stage) => stage.fault({ method: 'pool.dataset.delete', fault: 'answer', result: true }),
    tried: within(4000, free),
    code: 'DELETE_UNCONFIRMED',
    says: [/vm-100-disk-0/, /still there/],
    ends: 'finished',
  },
  {
    name: 'the volume grew on TrueNAS',
    before: withDisk,
    breaks: (stage) => stage.admin('pool.dataset.update', stage.zvol(DISK), { volsize: 4 * GIB }),
    tried: grow,
    code: 'SHRINK_REFUSED',
    says: [/vm-100-disk-0/],
  },
  {
    name: 'a snapshot of this name was made on TrueNAS',
    before: withDisk,
    breaks: (stage) => stage.admin(stage.snapshots('create'), { dataset: stage.zvol(DISK), name: 'auto' }),
    tried: snapshot('auto'),
    code: 'SNAPSHOT_EXISTS',
    says: [/vm-100-disk-0@auto/],
  },
  {
    name: 'the snapshot was deleted on TrueNAS',
    before: withSnapshots('one'),
    breaks: (stage) => stage.admin(stage.snapshots('delete'), `${stage.zvol(DISK)}@one`, {}),
    tried: rollback('one'),
    code: 'SNAPSHOT_MISSING',
    says: [/vm-100-disk-0/, /one/],
  },
  {
    name: 'a periodic task made a newer snapshot',
    before: withSnapshots('one'),
    breaks: (stage) => stage.admin(stage.snapshots('create'), { dataset: stage.zvol(DISK), name: 'auto-2026-01-01' }),
    tried: rollback('one'),
    code: 'ROLLBACK_BLOCKED',
    says: [/vm-100-disk-0/, /auto-2026-01-01/],
  },
  {
    name: 'the snapshot to be deleted is held',
    before: withSnapshots('one'),
    breaks: (stage) => stage.admin(stage.snapshots('hold'), `${stage.zvol(DISK)}@one`, {}),
    tried: unsnapshot('one'),
    code: 'VOLUME_BUSY',
    says: [/vm-100-disk-0@one/],
  },
  {
    name: 'a clone hangs on the snapshot to be deleted',
    before: withSnapshots('one'),
    breaks: (stage) =>
      stage.admin(stage.snapshots('clone'), { snapshot: `${stage.zvol(DISK)}@one`, dataset_dst: stage.zvol('by-hand-clone') }),
    tried: unsnapshot('one'),
    code: 'SNAPSHOT_HAS_CLONES',
    says: [/vm-100-disk-0@one/, /by-hand-clone/],
  },
];

const transport: readonly Situation[] = [
  ...(
    [
      ['pool.dataset.create', 'cut-before'],
      ['pool.dataset.create', 'cut-after'],
      ['iscsi.extent.create', 'cut-before'],
      ['iscsi.extent.create', 'drop-answer'],
      ['iscsi.targetextent.create', 'cut-after'],
    ] as const
  ).map(
    ([method, fault]): Situation => ({
      name: `${fault} at every ${method}`,
      before: withDisk,
      breaks: (stage) => {
        stage.fault({ method, fault });
        // It cannot be looked up whether it was done, either.
        stage.fault({
          method: method.replace('create', 'query'),
          fault: 'error',
          errno: 5,
          reason: '[EIO] database disk image is malformed',
        });
      },
      tried: within(6000, allocate),
      code: 'OUTCOME_UNKNOWN',
      says: [/vm-100-disk-1|extent/, /could it be looked up/],
      ends: 'settles',
    }),
  ),
  {
    name: 'it is slower than the caller can wait',
    before: withDisk,
    breaks: (stage) => stage.fault({ method: 'pool.dataset.create', fault: 'latency', ms: 8000 }),
    tried: within(2000, allocate),
    code: 'OUTCOME_UNKNOWN',
    says: [/vm-100-disk-1/],
    ends: 'settles',
  },
  {
    name: 'it has too many calls to do',
    before: withDisk,
    breaks: (stage) =>
      stage.fault({
        method: 'pool.dataset.create',
        fault: 'error',
        code: -32_000,
        reason: 'Maximum number of concurrent calls (20) has exceeded',
      }),
    tried: within(3000, allocate),
    code: 'TOO_MANY_CALLS',
    says: [/vm-100-disk-1/, /too many calls/],
  },
  {
    name: 'it ends every session at once',
    before: withDisk,
    breaks: (stage) => stage.fault({ method: 'pool.dataset.create', fault: 'session-expired' }),
    tried: within(4000, allocate),
    code: 'CALL_NOT_SENT',
    says: [/vm-100-disk-1/, /session/],
  },
];

const nonsense: readonly Situation[] = [
  ...(
    [
      ['null', null],
      ['a number', 42],
      ['text', 'everything is fine'],
      ['rows without an id', [{ type: 'VOLUME' }]],
      ['rows of null', [null]],
      ['rows with a size of text', [{ id: 'tank/proxmox/vm-100-disk-0', type: 'VOLUME', volsize: 'large' }]],
    ] as const
  ).map(
    ([what, result]): Situation => ({
      name: `it lists its datasets as ${what}`,
      breaks: (stage) => stage.fault({ method: 'pool.dataset.query', fault: 'answer', result }),
      tried: list,
      code: 'ARRAY_PROTOCOL',
      says: [/tank\/proxmox/],
    }),
  ),
  {
    name: 'its mappings have no LUN',
    breaks: (stage) => stage.fault({ method: 'iscsi.targetextent.query', fault: 'answer', result: [{ id: 1, target: 1, extent: 1 }] }),
    tried: list,
    code: 'ARRAY_PROTOCOL',
    says: [/mappings/],
  },
  {
    name: 'it answers with HTML in place of JSON',
    before: withDisk,
    breaks: (stage) => stage.fault({ method: 'pool.snapshot.query', fault: 'raw', text: '<html><body>502 Bad Gateway</body></html>' }),
    tried: within(4000, ['snapshot.list', { volume: DISK }]),
    code: 'ARRAY_UNREACHABLE',
    says: [/vm-100-disk-0/, /no JSON-RPC/],
  },
  {
    name: 'it answers another call than was made',
    before: withDisk,
    breaks: (stage) => stage.fault({ method: 'pool.snapshot.query', fault: 'raw', text: '{"jsonrpc":"2.0","id":987654321,"result":[]}' }),
    tried: within(6000, ['snapshot.list', { volume: DISK }]),
    code: 'ARRAY_UNREACHABLE',
    says: [/vm-100-disk-0/, /did not answer/],
  },
  {
    name: 'its answer has no end',
    before: withDisk,
    breaks: (stage) => stage.fault({ method: 'pool.snapshot.query', fault: 'raw', text: 'x'.repeat(1024), repeat: 80 * 1024 }),
    tried: within(8000, ['snapshot.list', { volume: DISK }]),
    code: 'ARRAY_UNREACHABLE',
    says: [/vm-100-disk-0/],
  },
  {
    name: 'it answers with a traceback',
    before: withDisk,
    breaks: (stage) =>
      stage.fault({
        method: 'pool.snapshot.create',
        fault: 'error',
        errno: 14,
        reason:
          '[EFAULT] Failed to snapshot\nTraceback (most recent call last):\n  File "/usr/lib/python3/x.py", line 3, in y\nKeyError: 7',
      }),
    tried: snapshot('snap1'),
    code: 'CALL_REFUSED',
    says: [/vm-100-disk-0@snap1/, /Failed to snapshot/],
  },
  {
    name: 'it makes the zvol with another size',
    before: withDisk,
    breaks: async (stage) => {
      const [row] = (await stage.admin('pool.dataset.query', [['id', '=', stage.zvol(DISK)]], {})) as Record<string, unknown>[];
      const result = { ...row, id: stage.zvol('vm-100-disk-1'), name: stage.zvol('vm-100-disk-1'), volsize: { parsed: 7, rawvalue: '7' } };
      stage.fault({ method: 'pool.dataset.create', fault: 'answer', result, done: true });
    },
    tried: within(6000, allocate),
    code: 'SIZE_INVALID',
    says: [/vm-100-disk-1/, /7 bytes/],
    ends: 'settles',
  },
];

export const BROKEN_ARRAYS: readonly Situation[] = [
  ...connection,
  ...credentials,
  ...datasets,
  ...exportsOf,
  ...volumes,
  ...transport,
  ...nonsense,
];
