import { describe, expect, it } from 'vitest';
import { RefusedError } from '../../core/errors.ts';
import { NO_METER } from '../../core/metrics.ts';
import { GIB } from '../../core/sizes.ts';
import { FakeHost } from '../../host/testing/fake-host.ts';
import { allocate } from '../allocate.ts';
import { resize } from '../resize.ts';
import { createSnapshot, rollback } from '../snapshots.ts';
import { World } from '../testing/world.ts';
import { preflight, type PreflightCheck } from './preflight.ts';
import { preflightRequest, type PreflightRequest } from './run.ts';

const DISK = 'vm-100-disk-0';
const CHANGES = [
  'createZvol',
  'createExtent',
  'createMapping',
  'resizeZvol',
  'reserveZvol',
  'rollback',
  'deleteZvol',
  'deleteExtent',
  'deleteMapping',
] as const;
const READS = [
  'zvols',
  'zvol',
  'dataset',
  'datasets',
  'extents',
  'mappings',
  'targets',
  'portals',
  'roles',
  'serviceRunning',
  'snapshots',
  'pool',
] as const;
const ALLOCATE: PreflightRequest = { operation: 'allocate', size: 10 * GIB, vmid: 100 };

const allocating = (w: World, size = 10 * GIB, name?: string): Promise<string> =>
  w.run((context, deadline) => allocate(context, { vmid: 100, size, ...(name === undefined ? {} : { name }) }, deadline));
const looking = (w: World, request: PreflightRequest = ALLOCATE, fresh = false): Promise<readonly PreflightCheck[]> =>
  w.run((context, deadline) => preflight(context, request, deadline, fresh));
const stateOf = (checks: readonly PreflightCheck[], name: string): string | undefined => checks.find((check) => check.name === name)?.state;

/** Counts what the meter of `w` is told of failed checks. */
function failuresOf(w: World): Map<string, number> {
  const counted = new Map<string, number>();
  const count = (name: string, labels: Readonly<Record<string, string>>): void => {
    if (name === 'pve_truenas_preflight_failures_total') counted.set(labels['check'] ?? '', (counted.get(labels['check'] ?? '') ?? 0) + 1);
  };
  Object.assign(w.context, { meter: { ...NO_METER, count } });
  return counted;
}

async function withDisk(): Promise<World> {
  const w = await new World(new FakeHost()).warm();
  await allocating(w);
  await w.run((context, deadline) => createSnapshot(context, DISK, 'before', deadline));
  w.array.calls.length = 0;
  w.log.lines.length = 0;
  return w;
}

describe('when all is well', () => {
  it('asks nothing with a warm inventory, and leaves one line that says what was checked', async () => {
    const w = await new World(new FakeHost()).warm();
    await allocating(w);
    expect(w.array.count(...READS)).toBe(0);
    const audit = w.log.lines.filter((line) => line.message === 'pre-flight checks passed');
    expect(audit).toHaveLength(1);
    const checks = (audit[0]?.fields['checks'] as string[]).map((text) => text.split(':')[0]);
    expect(checks).toEqual(['connection', 'service', 'target', 'dataset', 'roles', 'size', 'space', 'name', 'LUN']);
    expect(audit[0]?.fields).toMatchObject({ operation: 'allocate', guest: 100, size: '10.00 GB' });
  });

  it('a resize asks nothing either, a rollback only for the snapshots', async () => {
    const w = await withDisk();
    await w.run((context, deadline) => resize(context, DISK, 11 * GIB, deadline));
    expect(w.array.calls).toEqual(['resizeZvol']);
    w.array.calls.length = 0;
    await w.run((context, deadline) => rollback(context, DISK, 'before', deadline));
    expect(w.array.calls).toEqual(['snapshots', 'rollback', 'zvol']);
    expect(w.log.lines.filter((line) => line.message === 'pre-flight checks passed').map((line) => line.fields['operation'])).toEqual([
      'resize',
      'rollback',
    ]);
  });

  it('a cold inventory is read at once, and nothing twice', async () => {
    const w = new World(new FakeHost());
    await allocating(w);
    for (const read of ['zvols', 'extents', 'mappings', 'targets', 'portals', 'roles', 'serviceRunning'] as const)
      expect([read, w.array.count(read)]).toEqual([read, 1]);
  });

  it('reads the roles once per session', async () => {
    const w = await new World(new FakeHost()).warm();
    for (let n = 0; n < 3; n += 1) await allocating(w);
    expect(w.array.count('roles')).toBe(0);
    w.array.emit({ kind: 'reconnected' });
    await allocating(w);
    expect(w.array.count('roles')).toBe(1);
  });
});

describe('all failures at once, and nothing is changed', () => {
  it('lists them with what cures each', async () => {
    const w = await new World(new FakeHost()).warm();
    const counted = failuresOf(w);
    w.array.service.running = false;
    w.array.emit({ kind: 'service', service: 'iscsitarget', running: false });
    w.array.dataset_ = { ...w.array.dataset_, available: 8.5 * GIB, readonly: true };
    await w.run((context, deadline) => context.inventory.refreshDataset('tank/pve', deadline));
    w.array.targets_ = [{ ...w.array.targets_[0]!, groups: [] }];
    await w.run((context, deadline) => context.inventory.targets.reload(deadline));
    w.array.roles_ = ['READONLY_ADMIN', 'DATASET_WRITE', 'DATASET_DELETE'];
    w.array.emit({ kind: 'reconnected' });
    w.array.calls.length = 0;
    const error = await allocating(w).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'PREFLIGHT_FAILED', state: 'nothing was changed' });
    expect((error as Error).message.split('\n')).toEqual([
      "Pre-flight checks failed for allocating a disk of guest 100 of 10.00 GB on storage 'tn':",
      '  - service: the iSCSI service on nas is not running (its state must be RUNNING)',
      "  - target: target 'iqn.2005-10.org.freenas.ctl:pve' has no portal group and admits nobody",
      "  - dataset: dataset 'tank/pve' is read-only",
      "  - roles: the API key's user lacks the roles SHARING_ISCSI_EXTENT_WRITE, SHARING_ISCSI_TARGETEXTENT_WRITE",
      "  - space: Insufficient space on dataset 'tank/pve':",
      '      Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)',
      '      Available: 8.50 GB',
      '      Shortfall: 3.50 GB',
      '      Limit: 6.80 GB (TrueNAS lets one volume take at most 80% of the available space; truenas-force-size 1 lifts this)',
    ]);
    const hints = (error as { hints: string[] }).hints.join('\n');
    expect(hints).toContain('service: TrueNAS: System > Services > iSCSI');
    expect(hints).toContain('dataset: TrueNAS: Datasets > tank/pve > Edit > Read-only: Off');
    expect(hints).toContain('roles: TrueNAS: Credentials > Groups > Privileges: add SHARING_ISCSI_EXTENT_WRITE');
    expect([...counted]).toEqual([
      ['service', 1],
      ['target', 1],
      ['dataset', 1],
      ['roles', 1],
      ['space', 1],
    ]);
    expect(w.array.count(...CHANGES)).toBe(0);
    expect(w.journal.open.size).toBe(0);
  });

  const ALONE: readonly [string, (w: World) => void, string, RegExp][] = [
    ['service stopped', (w) => void (w.array.service.running = false), 'SERVICE_STOPPED', /is not running \(its state must be RUNNING\)/],
    [
      'dataset missing',
      (w) => void (w.array.dataset_ = { ...w.array.dataset_, id: 'tank/other' }),
      'DATASET_MISSING',
      /'tank\/pve' \(setting dataset\)/,
    ],
    ['dataset is a zvol', (w) => void (w.array.dataset_ = { ...w.array.dataset_, type: 'VOLUME' }), 'DATASET_UNUSABLE', /is a zvol/],
    ['dataset read-only', (w) => void (w.array.dataset_ = { ...w.array.dataset_, readonly: true }), 'DATASET_UNUSABLE', /read-only/],
    ['dataset locked', (w) => void (w.array.dataset_ = { ...w.array.dataset_, locked: true }), 'DATASET_UNUSABLE', /locked/],
    ['dataset full', (w) => void (w.array.dataset_ = { ...w.array.dataset_, available: 0 }), 'NO_SPACE', /Available: 0 B/],
    [
      'target missing',
      (w) => void (w.array.targets_ = []),
      'TARGET_MISSING',
      /expected 'iqn\.2005-10\.org\.freenas\.ctl:pve', TrueNAS has no target at all/,
    ],
    [
      'target without groups',
      (w) => void (w.array.targets_ = [{ ...w.array.targets_[0]!, groups: [] }]),
      'TARGET_UNUSABLE',
      /admits nobody/,
    ],
    [
      'role missing',
      (w) => void (w.array.roles_ = ['READONLY_ADMIN']),
      'NOT_AUTHORIZED',
      /lacks the roles DATASET_WRITE, SHARING_ISCSI_EXTENT_WRITE/,
    ],
  ];

  it.each(ALONE)('one alone keeps its own code: %s', async (_what, break_, code, message) => {
    const w = new World(new FakeHost());
    break_(w);
    await expect(allocating(w)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
      state: 'nothing was changed',
      hints: expect.arrayContaining([expect.stringMatching(/TrueNAS: |^free /)]) as string[],
    });
    expect(w.array.count(...CHANGES)).toBe(0);
  });

  it.each(ALONE)('the same stops a resize that grows: %s', async (what, break_, code) => {
    const w = await withDisk();
    break_(w);
    w.array.emit({ kind: 'reconnected' });
    const outcome = w.run((context, deadline) => resize(context, DISK, 20 * GIB, deadline));
    // A missing target or dataset is noticed even before, when the volume is looked up.
    await expect(outcome).rejects.toMatchObject(
      what === 'role missing' ? { message: expect.stringMatching(/lacks the role DATASET_WRITE$/) as string } : { code },
    );
    expect(w.array.count(...CHANGES)).toBe(0);
  });

  it('a key that may not take snapshots may not roll back; on 25.04 only a full administrator may', async () => {
    const rolling = (w: World): Promise<void> => w.run((context, deadline) => rollback(context, DISK, 'before', deadline));
    const w = await withDisk();
    w.array.roles_ = ['READONLY_ADMIN', 'DATASET_WRITE'];
    w.array.emit({ kind: 'reconnected' });
    await expect(rolling(w)).rejects.toMatchObject({
      code: 'NOT_AUTHORIZED',
      message: expect.stringContaining('SNAPSHOT_WRITE') as string,
    });
    const old = await withDisk();
    old.array.roles_ = ['READONLY_ADMIN', 'SNAPSHOT_WRITE'];
    old.array.emit({ kind: 'reconnected' });
    await rolling(old);
    const connection = old.array.connection();
    Object.assign(old.array, { connection: () => ({ ...connection, release: '25.04' }) });
    await expect(rolling(old)).rejects.toMatchObject({ code: 'NOT_AUTHORIZED', message: expect.stringContaining('FULL_ADMIN') as string });
    expect(old.array.count('rollback')).toBe(1);
  });

  it('a rollback that would lose snapshots, and one to a snapshot that is gone, are refused with what is there', async () => {
    const w = await withDisk();
    w.array.putSnapshot(`tank/pve/${DISK}`, 'auto-daily');
    w.array.service.running = false;
    w.array.emit({ kind: 'service', service: 'iscsitarget', running: false });
    await expect(w.run((context, deadline) => rollback(context, DISK, 'before', deadline))).rejects.toMatchObject({
      code: 'PREFLIGHT_FAILED',
      message: [
        `Pre-flight checks failed for rolling back 'tn:${DISK}' to 'before':`,
        '  - service: the iSCSI service on nas is not running (its state must be RUNNING)',
        `  - snapshot: can't roll back 'tn:${DISK}' to 'before': newer snapshots exist: auto-daily`,
      ].join('\n'),
    });
    w.array.service.running = true;
    await expect(w.run((context, deadline) => rollback(context, DISK, 'never', deadline))).rejects.toMatchObject({
      code: 'SNAPSHOT_MISSING',
      message: expect.stringContaining('it has 2, the newest: before, auto-daily') as string,
    });
    expect(w.array.count('rollback')).toBe(0);
  });
});

describe('nothing is refused on what was true a while ago', () => {
  it.each<[string, (w: World) => void, (w: World) => void]>([
    ['service started again', (w) => w.array.emit({ kind: 'service', service: 'iscsitarget', running: false }), () => undefined],
    ['target made meanwhile', (w) => w.context.inventory.targets.remove(1), () => undefined],
    ['dataset writable again', (w) => w.context.inventory.putDataset({ ...w.array.dataset_, readonly: true }), () => undefined],
    ['role given meanwhile', (w) => void (w.array.roles_ = ['READONLY_ADMIN']), (w) => void (w.array.roles_ = ['FULL_ADMIN'])],
    ['space freed meanwhile', (w) => w.context.inventory.putDataset({ ...w.array.dataset_, available: 0 }), () => undefined],
  ])('%s', async (_what, before, after) => {
    const w = new World(new FakeHost());
    await w.warm();
    before(w);
    if (w.array.roles_[0] !== 'FULL_ADMIN') await w.run((context, deadline) => context.inventory.refreshRoles(deadline));
    after(w);
    await allocating(w);
    expect(w.array.contents()).toMatchObject({ zvols: 1, mappings: 1 });
  });

  it('a name that the inventory still knows, of a volume that is gone', async () => {
    const w = await new World(new FakeHost()).warm();
    w.context.inventory.zvolCollection('tank/pve').put(w.array.putZvol(`tank/pve/${DISK}`));
    w.array.zvolsById.clear();
    expect(await allocating(w, GIB, DISK)).toBe(DISK);
  });

  it('1024 disks that are gone', async () => {
    const w = new World(new FakeHost());
    for (let n = 0; n < 1024; n += 1) w.array.putZvol(`tank/pve/vm-100-disk-${n}`);
    await w.warm();
    w.array.zvolsById.delete('tank/pve/vm-100-disk-77');
    expect(await allocating(w, GIB)).toBe('vm-100-disk-77');
    await expect(allocating(w, GIB)).rejects.toMatchObject({
      code: 'NO_FREE_NAME',
      message:
        "no free disk name for guest 100 on 'tn' after 1024 attempts: vm-100-disk-0 to vm-100-disk-1023 are all taken on dataset 'tank/pve'",
      state: 'nothing was changed',
    });
  });
});

describe('what cannot be asked', () => {
  it('is one failure with its own code, not a list of everything that asks', async () => {
    const w = new World(new FakeHost());
    for (const method of ['zvols', 'mappings', 'targets', 'datasets', 'serviceRunning']) w.array.plan(method, 'down');
    await expect(allocating(w)).rejects.toMatchObject({ code: 'CALL_NOT_SENT' });
    expect(w.array.count(...CHANGES)).toBe(0);
  });

  it('without a session nothing else is looked at', async () => {
    const w = new World(new FakeHost());
    const connection = w.array.connection();
    Object.assign(w.array, {
      connection: () => ({ ...connection, state: 'refused' }),
      ready: () => Promise.reject(new RefusedError('AUTH_FAILED', 'TrueNAS does not accept the API key', { errno: 13 })),
    });
    const checks = await looking(w);
    expect(checks).toMatchObject([{ name: 'connection', state: 'critical' }]);
    await expect(allocating(w)).rejects.toMatchObject({ code: 'AUTH_FAILED', state: 'nothing was changed' });
    expect(w.array.calls).toEqual([]);
  });

  it('roles that cannot be read forbid nothing: the array itself refuses', async () => {
    const w = new World(new FakeHost());
    Object.assign(w.array, { roles: () => Promise.reject(new RefusedError('NOT_AUTHORIZED', 'no', { errno: 13 })) });
    expect(stateOf(await looking(w), 'roles')).toBe('warning');
    await allocating(w);
  });
});

describe('a pool that is not well', () => {
  it('F-370: DEGRADED is a warning only', async () => {
    const w = await new World(new FakeHost()).warm();
    w.array.pool_ = { name: 'tank', status: 'DEGRADED', healthy: false, detail: 'One or more devices are faulted.' };
    await w.run((context, deadline) => context.inventory.refreshPool('tank', deadline));
    await allocating(w);
    expect(w.log.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringContaining("pool 'tank' is DEGRADED") as string }),
    );
    expect(stateOf(await looking(w, ALLOCATE, true), 'pool')).toBe('warning');
  });

  it('one that takes no data refuses, when it still does now', async () => {
    const w = await new World(new FakeHost()).warm();
    w.array.pool_ = { name: 'tank', status: 'SUSPENDED', healthy: false, detail: null };
    await w.run((context, deadline) => context.inventory.refreshPool('tank', deadline));
    await expect(allocating(w)).rejects.toMatchObject({ code: 'DATASET_UNUSABLE', message: "pool 'tank' is SUSPENDED" });
    w.array.pool_ = { name: 'tank', status: 'ONLINE', healthy: true, detail: null };
    await allocating(w);
  });
});

describe('the checks alone', () => {
  it('read everything now, in one round, and count no failure', async () => {
    const w = await new World(new FakeHost()).warm();
    const counted = failuresOf(w);
    w.array.service.running = false; // no event came
    const checks = await looking(w, ALLOCATE, true);
    expect(stateOf(checks, 'service')).toBe('critical');
    expect([...w.array.calls].sort()).toEqual(['datasets', 'ping', 'pool', 'portals', 'roles', 'serviceRunning', 'targets']);
    expect(counted.size).toBe(0);
    expect(w.array.count(...CHANGES)).toBe(0);
  });

  it('of a clone look at its source too, and take its size where none is given', async () => {
    const w = await withDisk();
    expect((await looking(w, { operation: 'clone', volume: DISK }, true)).every((check) => check.state === 'ok')).toBe(true);
    w.array.dataset_ = { ...w.array.dataset_, available: 8.5 * GIB };
    const full = await looking(w, { operation: 'clone', volume: DISK }, true);
    expect(full.find((check) => check.name === 'space')?.message).toContain('Shortfall: 3.50 GB');
    expect(stateOf(await looking(w, { operation: 'clone', volume: 'vm-999-disk-0', size: GIB }, true), 'volume')).toBe('critical');
    w.array.mappingsById.clear();
    await w.run((context, deadline) => context.inventory.mappings.reload(deadline));
    expect(stateOf(await looking(w, { operation: 'clone', volume: DISK, size: GIB }, true), 'volume')).toBe('critical');
  });

  it('of a resize refuse what would shrink', async () => {
    const w = await withDisk();
    expect(stateOf(await looking(w, { operation: 'resize', volume: DISK, size: GIB }, true), 'size')).toBe('critical');
  });

  it('say of a missing dataset only that, once', async () => {
    const w = await withDisk();
    w.array.dataset_ = { ...w.array.dataset_, id: 'tank/other' };
    const checks = await looking(w, { operation: 'resize', volume: DISK, size: 20 * GIB }, true);
    expect(checks.filter((check) => check.state === 'critical').map((check) => check.name)).toEqual(['dataset']);
  });
});

describe('preflightRequest', () => {
  it.each([
    [{ operation: 'allocate' }, 'BAD_REQUEST'],
    [{ operation: 'resize', size: 1024 }, 'BAD_REQUEST'],
    [{ operation: 'resize', volume: DISK }, 'BAD_REQUEST'],
    [{ operation: 'rollback', volume: DISK }, 'BAD_REQUEST'],
    [{ operation: 'clone', size: 1024 }, 'BAD_REQUEST'],
    [{ operation: 'clone', volume: '../x' }, 'NAME_INVALID'],
    [{ operation: 'allocate', size: 1024, volume: 'base-100-disk-0' }, 'NAME_INVALID'],
    [{ operation: 'rollback', volume: DISK, snapshot: 'a b' }, 'NAME_INVALID'],
  ] as const)('refuses %j', (given, code) => {
    expect(() => preflightRequest(given)).toThrow(expect.objectContaining({ code }) as Error);
  });
});
