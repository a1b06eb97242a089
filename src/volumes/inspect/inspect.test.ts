import { describe, expect, it } from 'vitest';
import { NotSentError, RefusedError } from '../../core/errors.ts';
import { FakeHost } from '../../host/testing/fake-host.ts';
import type { StorageConfig } from '../../config/storage-config.ts';
import { World } from '../testing/world.ts';
import type { Check } from './check.ts';
import { inspect } from './inspect.ts';

const GIB = 2 ** 30;
const MARK = { 'pve-truenas:owner': '00000000-0000-4000-8000-000000000000' };

/** A storage with one exported volume. */
function storage(config: Partial<StorageConfig> = {}): World {
  const w = new World(new FakeHost(), undefined, config);
  w.array.putZvol('tank/pve/vm-100-disk-0', { volsize: GIB, userProperties: MARK });
  w.array.putMapping(1, w.array.putExtent('pve-0', 'tank/pve/vm-100-disk-0').id, 0);
  return w;
}

async function look(w: World): Promise<readonly Check[]> {
  return w.run((context, deadline) => inspect(context, deadline));
}

/** What is not fine. */
async function faults(w: World): Promise<readonly Check[]> {
  return (await look(w)).filter(({ state }) => state !== 'ok');
}

describe('inspect', () => {
  it('finds nothing wrong with a good storage, names all that it looked at, and costs few calls', async () => {
    const w = await storage().warm();
    const checks = await look(w);
    expect(checks.filter(({ state }) => state !== 'ok')).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual([
      ...['connection', 'roles', 'pool', 'dataset', 'space', 'over-commitment', 'target', 'CHAP', 'service'],
      ...['portal 127.0.0.1:3260', 'LUNs'],
    ]);
    // `targets` is two calls: the targets, and the base name of their IQNs
    expect([...w.array.calls].sort()).toEqual(['dataset', 'ping', 'pool', 'portals', 'roles', 'serviceRunning', 'targets']);
  });

  it('asks nobody else when there is no session, and says why', async () => {
    const w = storage();
    w.array.plan('ping', 'down');
    expect(await look(w)).toMatchObject([{ name: 'connection', state: 'critical', message: 'ping was not sent' }]);
    expect(w.array.calls).toEqual(['ping']);
  });

  it('says how long the login window still takes', async () => {
    const w = storage();
    const until = w.clock.now() + 41_000;
    const limited = { ...w.array.connection(), limited: { until, reason: "waiting for the array's login window" } };
    w.array.connection = () => limited;
    const [check] = await look(w);
    expect(check).toMatchObject({ state: 'warning' });
    expect(check?.message).toContain("waiting for the array's login window, 41 s left");
    w.array.ready = () => Promise.reject(new NotSentError('AUTH_RATE_LIMITED', 'TrueNAS limits logins'));
    expect((await look(w))[0]?.message).toBe("TrueNAS limits logins; waiting for the array's login window, 41 s left");
  });

  it('takes what it could not ask for a fault (law 3)', async () => {
    const w = await storage().warm();
    for (const method of ['roles', 'pool', 'dataset', 'targets', 'serviceRunning']) w.array.plan(method, 'down');
    expect((await faults(w)).map(({ name, state }) => `${name} ${state}`)).toEqual(
      ['roles', 'pool', 'dataset', 'target', 'service'].map((name) => `${name} critical`),
    );
  });
});

describe('each check', () => {
  const change: readonly [string, (w: World) => void, Partial<Check>][] = [
    ['a zvol as dataset', (w) => (w.array.dataset_ = { ...w.array.dataset_, type: 'VOLUME' }), { name: 'dataset', setting: 'dataset' }],
    ['a read-only dataset', (w) => (w.array.dataset_ = { ...w.array.dataset_, readonly: true }), { name: 'dataset', setting: 'dataset' }],
    ['a locked dataset', (w) => (w.array.dataset_ = { ...w.array.dataset_, locked: true }), { name: 'dataset', setting: 'dataset' }],
    ['a missing dataset', (w) => (w.array.dataset_ = { ...w.array.dataset_, id: 'tank/x' }), { name: 'dataset', setting: 'dataset' }],
    ['a missing target', (w) => (w.array.targets_ = []), { name: 'target', setting: 'target_iqn' }],
    ['a target that admits nobody', (w) => setGroups(w, []), { name: 'target', setting: 'target_iqn' }],
    ['CHAP without a user', (w) => setGroups(w, [{ portal: 1, authmethod: 'CHAP' }]), { name: 'CHAP', setting: 'chap_user' }],
    ['a stopped service', (w) => (w.array.service.running = false), { name: 'service', setting: 'transport_mode' }],
    ['a pool that is not imported', (w) => (w.array.pool_ = { ...w.array.pool_, name: 'other' }), { name: 'pool', setting: 'dataset' }],
    ['a faulted pool', (w) => setPool(w, 'FAULTED'), { name: 'pool', message: "pool 'tank' is FAULTED: One device is gone." }],
    ['a full dataset', (w) => setSpace(w, 995, 5), { name: 'space' }],
    ['a key without roles', (w) => (w.array.roles_ = ['READONLY_ADMIN', 'SHARING_ISCSI_WRITE']), { name: 'roles', setting: 'api_key' }],
  ];
  it.each(change)('%s is critical, with setting and cure', async (_what, make, expected) => {
    const w = storage();
    make(w);
    const found = (await faults(w)).find(({ name }) => name === expected.name);
    expect(found).toMatchObject({ state: 'critical', ...expected });
    expect(found?.cure).toMatch(/\w/);
  });

  it('a degraded pool is a warning, with the words of zpool (F-370)', async () => {
    const w = storage();
    setPool(w, 'DEGRADED');
    expect(await faults(w)).toMatchObject([{ name: 'pool', state: 'warning', message: "pool 'tank' is DEGRADED: One device is gone." }]);
  });

  it('a key that may not read pools is a warning', async () => {
    const w = storage();
    w.array.pool = () => Promise.reject(new RefusedError('NOT_AUTHORIZED', 'no', { errno: 13 }));
    expect(await faults(w)).toMatchObject([{ name: 'pool', state: 'warning' }]);
  });

  it('CHAP: a user that nobody asks for, mutual CHAP, a secret that is missing', async () => {
    const unused = storage({ chapUser: 'pve' });
    expect(await faults(unused)).toMatchObject([{ name: 'CHAP', state: 'warning', setting: 'chap_user' }]);
    setGroups(unused, [{ portal: 1, authmethod: 'CHAP' }]);
    expect(await faults(unused)).toEqual([]);
    setGroups(unused, [{ portal: 1, authmethod: 'CHAP_MUTUAL' }]);
    expect(await faults(unused)).toMatchObject([{ name: 'CHAP', state: 'critical' }]);
    Object.assign(unused.context, { chap: () => Promise.reject(new NotSentError('SECRET_MISSING', 'no chap_password')) });
    expect(await faults(unused)).toMatchObject([{ name: 'CHAP', state: 'critical', setting: 'chap_password' }]);
  });

  it('a portal of ours that is in none of the groups (F-018)', async () => {
    const w = storage({ portals: [{ host: '10.0.0.2', port: 3260 }] });
    w.array.portals = () =>
      Promise.resolve([
        { id: 1, listen: [{ ip: '10.0.0.1', port: 3260 }] },
        { id: 2, listen: [{ ip: '10.0.0.2', port: 3260 }] },
      ]);
    expect(await faults(w)).toMatchObject([{ name: 'target groups', state: 'critical', setting: 'target_iqn' }]);
    setGroups(
      w,
      [1, 2].map((portal) => ({ portal, authmethod: 'NONE' as const })),
    );
    expect(await faults(w)).toEqual([]);
  });

  it('one dead portal of two is a warning, both are critical; TrueNAS tells where it listens', async () => {
    const w = storage({ portals: ['10.0.0.1', 'fd00::1'].map((host) => ({ host, port: 3260 })) });
    const dead = new Set(['fd00::1']);
    Object.assign(w.context, {
      probePortal: ({ host }: { host: string }) => (dead.has(host) ? Promise.reject(new Error('ECONNREFUSED')) : Promise.resolve()),
    });
    const message = 'nobody answers at [fd00::1]:3260 (ECONNREFUSED); TrueNAS listens on 127.0.0.1:3260';
    expect(await faults(w)).toMatchObject([{ name: 'portal [fd00::1]:3260', state: 'warning', setting: 'portals', message }]);
    dead.add('10.0.0.1');
    expect(await faults(w)).toMatchObject([{ state: 'critical', setting: 'discovery_portal' }, { state: 'critical' }]);
  });

  it('a portal that drops packets takes three seconds, not the whole time', async () => {
    const w = storage();
    Object.assign(w.context, { probePortal: (_portal: unknown, deadline: { signal: AbortSignal }) => aborted(deadline.signal) });
    const began = w.clock.now();
    expect((await faults(w))[0]?.message).toContain('not done within 3 s');
    expect(w.clock.now() - began).toBeLessThan(4_000);
  });
});

describe('space and over-commitment', () => {
  it.each([
    ['little used, little promised', 10, 90, 50, []],
    ['promised more than there is, with room left', 50, 50, 150, []],
    ['promised more than there is, with little left', 80, 20, 150, ['over-commitment']],
    ['promised more than twice what there is', 10, 90, 250, ['over-commitment']],
    ['low', 92, 8, 10, ['space']],
  ])('%s', async (_what, used, available, promised, expected) => {
    const w = storage();
    w.array.zvolsById.clear();
    w.array.putZvol('tank/pve/vm-1-disk-0', { volsize: promised, userProperties: MARK });
    setSpace(w, used, available);
    const found = await faults(w);
    expect(found.map(({ name, state }) => `${name} ${state}`)).toEqual(expected.map((name) => `${name} warning`));
  });

  it('is shown also when all is well', async () => {
    const w = storage();
    setSpace(w, GIB, 3 * GIB);
    const shown = (await look(w)).find(({ name }) => name === 'over-commitment')?.message;
    expect(shown).toBe('the volumes may grow to 1.00 GiB, 25 % of what the dataset can hold');
  });
});

describe('conflicts that exist already', () => {
  it('F-103: two volumes at one LUN; that of another target is none', async () => {
    const w = storage();
    w.array.putZvol('tank/pve/vm-101-disk-0', { userProperties: MARK });
    const other = w.array.putExtent('pve-1', 'tank/pve/vm-101-disk-0');
    w.array.putMapping(2, other.id, 0);
    expect(await faults(w)).toEqual([]);
    w.array.putMapping(1, other.id, 0);
    w.array.emit({ kind: 'reconnected' });
    const [conflict] = await faults(w);
    expect(conflict).toMatchObject({ name: 'LUNs', state: 'critical' });
    expect(conflict?.message).toMatch(
      /LUN 0 of .*:pve' is mapped 2 times \(mapping \d+: zvol\/tank\/pve\/vm-100-disk-0, .*vm-101-disk-0\)/,
    );
    expect(conflict?.setting).toBeUndefined();
  });

  it('two extents on one zvol, which 25.04 does not refuse; not outside our dataset, not disabled ones', async () => {
    const w = storage();
    for (const name of ['a', 'b']) w.array.putExtent(name, 'tank/others/vm-100-disk-0');
    const disabled = w.array.putExtent('disabled', 'tank/pve/vm-100-disk-0');
    w.array.extentsById.set(disabled.id, { ...disabled, enabled: false });
    expect(await faults(w)).toEqual([]);
    w.array.putExtent('second', 'tank/pve/vm-100-disk-0');
    w.array.emit({ kind: 'reconnected' });
    expect(await faults(w)).toMatchObject([
      {
        name: 'LUNs',
        state: 'critical',
        message: expect.stringContaining("'zvol/tank/pve/vm-100-disk-0' is exported by 2 extents (pve-0, second)") as string,
      },
    ]);
  });
});

function setGroups(w: World, groups: World['array']['targets_'][number]['groups']): void {
  w.array.targets_ = w.array.targets_.map((target) => ({ ...target, groups }));
}

function setPool(w: World, status: string): void {
  w.array.pool_ = { name: 'tank', status, healthy: false, detail: 'One device is gone.' };
}

function setSpace(w: World, used: number, available: number): void {
  w.array.dataset_ = { ...w.array.dataset_, used, available };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
