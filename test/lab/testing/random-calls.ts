import type { SimRelease } from '../../../sim/api/contract.ts';

export interface RandomCall {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** Not a method of TrueNAS: the simulator's fault that holds a zvol open; arguments are the zvol and whether. */
export const HOLD_OPEN = 'fault: zvol held open';

const MIB = 1_048_576;
const BASE = 'tank/pve';
const VOLUMES = ['v0', 'v1', 'v2', 'v3'] as const;
const FILESYSTEMS = ['f0', 'f1'] as const;
const SNAPSHOTS = ['s0', 's1', 's2'] as const;
const SIZES = [16 * MIB, 64 * MIB, 1024 * MIB, 48 * MIB, 20 * MIB + 512, 0, 40 * 1024 * MIB] as const;

/** Numbers that are the same for the same seed (mulberry32). */
export class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** 0 <= n < 1 */
  next(): number {
    this.state = (this.state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[Math.floor(this.next() * from.length)] ?? from[0];
  }

  int(below: number): number {
    return Math.floor(this.next() * below);
  }
}

type Maker = (dice: Dice, release: SimRelease) => RandomCall;

const call = (method: string, ...args: readonly unknown[]): RandomCall => ({ method, args });
const volume = (dice: Dice): string => `${BASE}/${dice.pick(VOLUMES)}`;
const filesystem = (dice: Dice): string => `${BASE}/${dice.pick(FILESYSTEMS)}`;
const dataset = (dice: Dice): string =>
  dice.chance(0.7) ? volume(dice) : dice.chance(0.5) ? filesystem(dice) : `${filesystem(dice)}/${dice.pick(VOLUMES)}`;
const snapshot = (dice: Dice): string => `${dataset(dice)}@${dice.pick(SNAPSHOTS)}`;
const hostile = (dice: Dice): string =>
  dice.pick([
    `${BASE}/$(touch x)`,
    `${BASE}/a;b`,
    '-r',
    `${BASE}/..`,
    `${BASE}/a b`,
    `${BASE}/`,
    'other/x',
    '',
    `${BASE}/v0@s0`,
    `${BASE}/é`,
  ]);
const space = (release: SimRelease): string => (release === '25.04' ? 'zfs.snapshot' : 'pool.snapshot');
const some = <T>(dice: Dice, share: number, key: string, value: T): Record<string, T> => (dice.chance(share) ? { [key]: value } : {});

const createVolume: Maker = (dice) =>
  call('pool.dataset.create', {
    name: dice.chance(0.12) ? hostile(dice) : dice.chance(0.8) ? volume(dice) : `${filesystem(dice)}/${dice.pick(VOLUMES)}`,
    type: 'VOLUME',
    volsize: dice.pick(SIZES),
    ...some(dice, 0.7, 'sparse', true),
    ...some(dice, 0.3, 'volblocksize', dice.pick(['4K', '16K', '64K', '128K'])),
    ...some(dice, 0.2, 'force_size', true),
    ...some(dice, 0.2, 'compression', dice.pick(['LZ4', 'OFF', 'ZSTD-3', 'GZIP'])),
    ...some(dice, 0.2, 'user_properties', [{ key: 'pve:owner', value: dice.pick(['a', 'b c', '$(reboot)', "it's", 'x\ty']) }]),
    ...some(dice, 0.1, 'comments', 'a "comment"'),
  });

const createFilesystem: Maker = (dice) =>
  call('pool.dataset.create', {
    name: dice.chance(0.1) ? hostile(dice) : filesystem(dice),
    type: 'FILESYSTEM',
    ...some(dice, 0.2, 'readonly', 'ON'),
    ...some(dice, 0.2, 'sync', dice.pick(['ALWAYS', 'DISABLED'])),
    ...some(dice, 0.2, 'quota', 2048 * MIB),
    ...some(dice, 0.2, 'user_properties', [{ key: 'pve:storage', value: 'tn' }]),
  });

const updateDataset: Maker = (dice) => {
  const kind = dice.int(6);
  const changes: Record<string, unknown>[] = [
    { volsize: dice.pick(SIZES) },
    { volsize: dice.pick(SIZES), force_size: true },
    {
      user_properties_update: [
        dice.chance(0.6) ? { key: 'pve:owner', value: dice.pick(['n', '*', '']) } : { key: 'pve:owner', remove: true },
      ],
    },
    { readonly: dice.pick(['ON', 'OFF', 'INHERIT']) },
    { comments: 'changed', compression: dice.pick(['ZSTD', 'INHERIT', 'OFF']) },
    { refreservation: dice.pick([0, 32 * MIB, 64 * 1024 * MIB]) },
  ];
  return call('pool.dataset.update', dice.chance(0.1) ? hostile(dice) : dataset(dice), changes[kind] ?? {});
};

/** Calls that reach ZFS when they are not refused before. */
const CHANGES: readonly [Maker, ...Maker[]] = [
  createVolume,
  createVolume,
  createVolume,
  createFilesystem,
  updateDataset,
  updateDataset,
  (dice) => call('pool.dataset.delete', dice.chance(0.1) ? hostile(dice) : dataset(dice), { recursive: dice.chance(0.4) }),
  (dice) =>
    call('pool.dataset.rename', dataset(dice), { new_name: dice.chance(0.1) ? hostile(dice) : dataset(dice), force: dice.chance(0.9) }),
  (dice) => call('pool.dataset.promote', dataset(dice)),
  (dice) => call(HOLD_OPEN, volume(dice), dice.chance(0.4)),
  (dice, release) =>
    call(`${space(release)}.create`, {
      dataset: dataset(dice),
      name: dice.pick([...SNAPSHOTS, 'a b', 'x;y', '']),
      ...some(dice, 0.2, 'recursive', true),
      ...some(dice, 0.2, 'properties', { 'pve:note': 'n' }),
    }),
  (dice, release) => call(`${space(release)}.create`, { dataset: volume(dice), name: dice.pick(SNAPSHOTS) }),
  (dice, release) =>
    call(`${space(release)}.delete`, snapshot(dice), { ...some(dice, 0.2, 'defer', true), ...some(dice, 0.1, 'recursive', true) }),
  (dice, release) =>
    call(`${space(release)}.clone`, { snapshot: snapshot(dice), dataset_dst: dice.chance(0.1) ? hostile(dice) : dataset(dice) }),
  (dice, release) =>
    call(`${space(release)}.rollback`, snapshot(dice), {
      ...some(dice, 0.3, 'recursive', true),
      ...some(dice, 0.1, 'recursive_clones', true),
    }),
  (dice, release) => call(`${space(release)}.hold`, snapshot(dice)),
  (dice, release) => call(`${space(release)}.release`, snapshot(dice)),
  (dice, release) => call(`${space(release)}.update`, snapshot(dice), { user_properties_update: [{ key: 'pve:note', value: 'm' }] }),
  (dice) => call('pool.snapshot.rename', snapshot(dice), { new_name: snapshot(dice), force: true }),
  (dice) => call('zfs.resource.snapshot.create', { dataset: dataset(dice), name: dice.pick(SNAPSHOTS), user_properties: { 'a:b': 'c' } }),
  (dice) => call('zfs.resource.snapshot.hold', { path: snapshot(dice), tag: dice.pick(['one', 'two']) }),
  (dice) => call('zfs.resource.snapshot.release', { path: snapshot(dice), tag: dice.pick([null, 'one']) }),
  (dice) => call('zfs.resource.snapshot.destroy', { path: snapshot(dice), recursive: dice.chance(0.2) }),
  (dice) => call('zfs.resource.destroy', { path: dataset(dice), recursive: dice.chance(0.3) }),
];

const QUERIES: readonly [Maker, ...Maker[]] = [
  (dice) => call('pool.dataset.query', [['id', '=', dataset(dice)]], { extra: { retrieve_children: false } }),
  (dice) =>
    call('pool.dataset.query', [], {
      extra: {
        retrieve_children: dice.chance(0.5),
        flat: dice.chance(0.5),
        properties: ['used', 'available', 'volsize', 'refreservation', 'referenced'],
      },
    }),
  () => call('pool.dataset.query', [['type', '=', 'VOLUME']], { extra: { snapshots: true, snapshots_count: true } }),
  (dice) => call('pool.dataset.get_instance', dataset(dice)),
  (dice) => call('pool.dataset.snapshot_count', dataset(dice)),
  () => call('pool.dataset.details'),
  () => call('pool.query'),
  (dice) => call('pool.dataset.attachments', dataset(dice)),
  (dice, release) =>
    call(`${space(release)}.query`, [['dataset', '=', dataset(dice)]], {
      extra: { holds: true, properties: dice.chance(0.5) ? null : ['used', 'volsize', 'referenced', 'clones', 'userrefs'] },
    }),
  (dice, release) => call(`${space(release)}.get_instance`, snapshot(dice)),
  (dice) => call('zfs.resource.query', { paths: [dataset(dice)], get_user_properties: true, get_source: true }),
  (dice) => call('zfs.resource.snapshot.query', { paths: [dataset(dice)], get_holds: true, get_user_properties: true }),
  (dice) => call('zfs.resource.snapshot.count', { paths: [BASE], recursive: dice.chance(0.5) }),
  (dice) => call('zfs.resource.snapshot.holds', { path: snapshot(dice) }),
];

const id = (dice: Dice): number => 1 + dice.int(6);
const disk = (dice: Dice): string => `zvol/${volume(dice)}`;
const EXPORTS: readonly [Maker, ...Maker[]] = [
  (dice) =>
    call('iscsi.extent.create', {
      name: dice.pick(['e0', 'e1', 'e2', 'a"b', '']),
      type: 'DISK',
      disk: disk(dice),
      ...some(dice, 0.2, 'ro', true),
      ...some(dice, 0.1, 'serial', 'S1'),
    }),
  (dice) =>
    call(
      'iscsi.extent.update',
      id(dice),
      dice.pick<Record<string, unknown>>([{ comment: 'c' }, { enabled: false }, { ro: true }, { name: 'e1' }]),
    ),
  (dice) => call('iscsi.extent.delete', id(dice), false, dice.chance(0.5)),
  () => call('iscsi.extent.query'),
  () => call('iscsi.extent.disk_choices'),
  (dice) =>
    call('iscsi.target.create', {
      name: dice.pick(['t0', 't1', 'Bad', 'pve']),
      groups: [
        { portal: id(dice), initiator: dice.pick([null, 1, 7]), authmethod: dice.pick(['NONE', 'CHAP']), auth: dice.pick([null, 1]) },
      ],
    }),
  (dice) => call('iscsi.target.update', id(dice), { alias: dice.pick(['al', 'target', 'x"']) }),
  (dice) => call('iscsi.target.delete', 1 + id(dice), dice.chance(0.5)),
  () => call('iscsi.target.query'),
  (dice) => call('iscsi.targetextent.create', { target: id(dice), extent: id(dice), lunid: dice.pick([null, 0, 3, 99_999]) }),
  (dice) => call('iscsi.targetextent.delete', id(dice), dice.chance(0.5)),
  () => call('iscsi.targetextent.query'),
  (dice) => call('iscsi.initiator.create', { initiators: dice.pick([[], ['iqn.2001-01.a:b']]), comment: 'c' }),
  (dice) => call('iscsi.initiator.delete', 1 + id(dice)),
  (dice) => call('iscsi.auth.create', { tag: dice.pick([1, 2]), user: 'u', secret: dice.pick(['short', 'abcdefghijklmn']) }),
  (dice) => call('iscsi.auth.delete', id(dice)),
  (dice) => call('iscsi.portal.create', { listen: [{ ip: dice.pick(['127.0.0.1', '9.9.9.9']) }], comment: 'p' }),
  (dice) => call('iscsi.portal.delete', 1 + id(dice)),
  (dice) => call('nvmet.subsys.create', { name: dice.pick(['n0', 'n1']), allow_any_host: dice.chance(0.5) }),
  (dice) => call('nvmet.subsys.delete', id(dice), { force: dice.chance(0.5) }),
  (dice) =>
    call('nvmet.namespace.create', { subsys_id: id(dice), device_type: 'ZVOL', device_path: disk(dice), enabled: dice.chance(0.7) }),
  (dice) => call('nvmet.namespace.delete', id(dice)),
  () => call('nvmet.namespace.query'),
  (dice) => call('nvmet.port.create', { addr_trtype: 'TCP', addr_traddr: '127.0.0.1', addr_trsvcid: dice.pick([4420, 4421]) }),
  (dice) => call('nvmet.host.create', { hostnqn: dice.pick(['nqn.2014-08.org.x:a', 'bad']) }),
  (dice) => call('nvmet.host_subsys.create', { host_id: id(dice), subsys_id: id(dice) }),
  (dice) => call('nvmet.port_subsys.create', { port_id: id(dice), subsys_id: id(dice) }),
];

/** The next call: of the release's methods only those that `has` knows. */
export function randomCall(dice: Dice, release: SimRelease, has: (method: string) => boolean): RandomCall {
  for (;;) {
    const kind = dice.next();
    const made = dice.pick(kind < 0.3 ? CHANGES : kind < 0.85 ? QUERIES : EXPORTS)(dice, release);
    if (made.method === HOLD_OPEN || has(made.method)) return made;
  }
}
