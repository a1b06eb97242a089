import { afterEach, describe, expect, it } from 'vitest';
import type { ArrayConnection } from '../core/array-port.ts';
import { deadlineAfter } from '../core/deadline.ts';
import { NotSentError, RefusedError, StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { RecordingLog, runOn } from '../core/testing/manual-clock.ts';
import { FakeHost } from '../host/testing/fake-host.ts';
import type { StorageContext } from '../volumes/context.ts';
import { FakeArray } from '../volumes/testing/fake-array.ts';
import { World } from '../volumes/testing/world.ts';
import { StateWatch, type StorageStatus } from './state-watch.ts';

const READY = { release: '25.10', version: 'TrueNAS-25.10.6' } as const;

/** An array whose session a test ends and brings back. */
class Unsteady extends FakeArray {
  /** Where the session stands; `mute`: connecting, and nothing ever comes of it. */
  session: ArrayConnection;
  /** Reached again by the next attempt. */
  back = false;
  attempts = 0;

  constructor(now: number, state: ArrayConnection['state']) {
    super();
    this.session = { ...super.connection(), state, since: now };
  }
  override connection(): ArrayConnection {
    return this.session;
  }
  override ready(deadline?: Deadline): Promise<typeof READY> {
    this.attempts += 1;
    if (this.back) this.login(this.session.since);
    if (this.session.state === 'ready') return Promise.resolve(READY);
    if (this.session.state === 'idle') this.session = { ...this.session, state: 'connecting' };
    if (this.session.error !== null) return Promise.reject(this.session.error);
    return unanswered(undefined, deadline);
  }
  login(now: number): void {
    this.back = false;
    this.session = { ...this.session, state: 'ready', since: now, error: null };
    this.emit({ kind: 'reconnected' });
  }
  lose(now: number, message = 'connection reset'): void {
    this.session = { ...this.session, state: 'waiting', since: now, error: new NotSentError('ARRAY_UNREACHABLE', message) };
  }
}

/** A call that ends with its deadline only. */
function unanswered(_id: unknown, deadline?: Deadline): Promise<never> {
  return new Promise((_resolve, reject) => {
    deadline?.signal.addEventListener('abort', () => reject(deadline.signal.reason as Error), { once: true });
  });
}

interface Bench {
  readonly world: World;
  readonly array: Unsteady;
  readonly watch: StateWatch;
  readonly log: RecordingLog;
  /** Storages of which it was told that nobody asks for them any more. */
  readonly unused: readonly string[];
  /** As pvestatd asks: within two seconds on the clock; `took` is what passed there. */
  readonly status: () => Promise<StorageStatus & { readonly took: number }>;
}

const watches: StateWatch[] = [];
afterEach(async () => {
  for (const watch of watches.splice(0)) await watch.stop();
});

function bench(state: ArrayConnection['state'] = 'ready', portals = ['10.0.0.1']): Bench {
  const array = new Unsteady(1_700_000_000_000, state);
  const world = new World(new FakeHost(), array, { portals: portals.map((host) => ({ host, port: 3260 })) });
  const log = new RecordingLog();
  const unused: string[] = [];
  const watch = new StateWatch({ clock: world.clock, log, onUnused: (id) => unused.push(id) });
  watches.push(watch);
  const status = async (): Promise<StorageStatus & { took: number }> => {
    const deadline = deadlineAfter(world.clock, 2_000, 'test');
    const began = world.clock.now();
    const answer = await runOn(world.clock, watch.status(world.context, deadline));
    deadline.release();
    return { ...answer, took: world.clock.now() - began };
  };
  return { world, array, watch, log, unused, status };
}

async function warm(...args: Parameters<typeof bench>): Promise<Bench> {
  const made = bench(...args);
  await made.status();
  await made.world.clock.advance(1_000);
  made.array.calls.length = 0;
  return made;
}

const messages = (log: RecordingLog): string[] => log.lines.map(({ level, message }) => `${level}: ${message}`);

describe('a healthy storage', () => {
  it('is let go when nobody asked for it for ten minutes: another node may have removed it', async () => {
    const { world, watch, unused, status } = await warm();
    await world.clock.advance(590_000);
    await status();
    await world.clock.advance(590_000);
    expect([unused, watch.states().map(({ id }) => id)]).toEqual([[], ['tn']]);
    await world.clock.advance(20_000);
    expect([unused, watch.states()]).toEqual([['tn'], []]);
  });

  it('is told without a call, and looked at once a minute with one ping and one read of the pool', async () => {
    const { world, array, status } = await warm();
    expect(await status()).toMatchObject({ active: true, total: 1e12, took: 0 });
    expect(array.calls).toEqual([]);
    await world.clock.advance(290_000);
    const asked = new Map<string, number>();
    for (const call of array.calls) asked.set(call, (asked.get(call) ?? 0) + 1);
    // the inventory reads the dataset once a minute for its space
    expect(Object.fromEntries(asked)).toEqual({ ping: 4, pool: 4, dataset: 4 });
  });

  it('is no longer watched when nobody asked for it for ten minutes', async () => {
    const { world, array } = await warm();
    await world.clock.advance(700_000);
    array.calls.length = 0;
    await world.clock.advance(120_000);
    expect(array.count('ping', 'pool')).toBe(0);
  });

  it('is no longer watched after it was forgotten, nor after the daemon stopped', async () => {
    const forgotten = await warm();
    forgotten.watch.forget('tn');
    const stopped = await warm();
    await stopped.watch.stop();
    for (const { world, array } of [forgotten, stopped]) {
      await world.clock.advance(120_000);
      expect(array.count('ping', 'pool')).toBe(0);
    }
  });
});

describe('an array that is not there', () => {
  it('F-013: one that never answers is inactive within two seconds, and from then on at once', async () => {
    const { array, status } = bench('idle');
    expect(await status()).toMatchObject({
      active: false,
      took: 2_000,
      reason: expect.stringContaining('nas:443 does not answer') as string,
    });
    const attempts = array.attempts;
    for (let n = 0; n < 5; n += 1) expect(await status()).toMatchObject({ active: false, took: 0 });
    expect(array.attempts).toBe(attempts);
  });

  it('one that refuses connections is inactive at once, with the reason', async () => {
    const { world, array, status } = bench('idle');
    array.lose(world.clock.now(), 'nothing listens on nas:443');
    expect(await status()).toMatchObject({ active: false, took: 0, reason: 'nothing listens on nas:443' });
  });

  it('is connected to again by itself within 15 s, also when nobody asks', async () => {
    const { world, array, watch, log } = bench('idle');
    array.lose(world.clock.now(), 'nothing listens on nas:443');
    watch.see(world.context);
    await world.clock.advance(60_000);
    array.back = true;
    await world.clock.advance(15_000);
    expect(watch.state(world.context).state).toBe('healthy');
    expect(messages(log)).toEqual([
      'warn: storage tn is down: nothing listens on nas:443',
      expect.stringMatching(/^info: storage tn: down -> healthy after \d+ s$/),
    ]);
  });

  it('is left alone while it takes no logins, and connected to as soon as it does', async () => {
    const { world, array, watch } = bench('idle');
    array.lose(world.clock.now(), 'TrueNAS takes no more logins');
    array.session = { ...array.session, limited: { until: world.clock.now() + 61_000, reason: "waiting for the array's login window" } };
    watch.see(world.context);
    await world.clock.advance(60_000);
    expect(array.attempts).toBe(0);
    expect(watch.state(world.context).reasons).toMatchObject([
      { code: 'login-window', message: expect.stringContaining('1 s left') as string },
    ]);
    array.back = true;
    await world.clock.advance(10_000);
    expect(watch.state(world.context).state).toBe('healthy');
  });

  it('costs another array nothing', async () => {
    const dead = bench('idle');
    const good = await warm();
    // one watch, two arrays
    const context: StorageContext = {
      ...dead.world.context,
      config: { ...dead.world.context.config, id: 'dead' },
      clock: good.world.clock,
    };
    const deadline = deadlineAfter(good.world.clock, 2_000, 'test');
    const waiting = good.watch.status(context, deadline);
    expect(await good.status()).toMatchObject({ active: true, took: 0 });
    expect(await runOn(good.world.clock, waiting)).toMatchObject({ active: false });
    deadline.release();
  });
});

describe('a session that is lost', () => {
  it('for a moment leaves the storage active with the last numbers, and is told once', async () => {
    const { world, array, log, status } = await warm();
    array.lose(world.clock.now());
    expect(await status()).toMatchObject({ active: true, total: 1e12, took: 0 });
    await world.clock.advance(4_000);
    expect(await status()).toMatchObject({ active: true, took: 0 });
    array.login(world.clock.now());
    await world.clock.advance(30_000);
    expect(await status()).toMatchObject({ active: true });
    expect(messages(log)).toEqual([
      'info: storage tn is healthy',
      'warn: storage tn: healthy -> degraded: the session was lost, reconnecting: connection reset',
      'info: storage tn: degraded -> healthy after 4 s',
    ]);
  });

  it('for longer makes it inactive, at no cost, and is told once, not at each poll', async () => {
    const { world, array, log, status } = await warm();
    array.lose(world.clock.now(), 'nas:443 is gone');
    await world.clock.advance(6_000);
    for (let n = 0; n < 10; n += 1) {
      expect(await status()).toEqual({ active: false, total: 0, available: 0, used: 0, age_ms: 0, reason: 'nas:443 is gone', took: 0 });
      await world.clock.advance(10_000);
    }
    expect(array.calls).toEqual([]);
    array.back = true;
    await world.clock.advance(15_000);
    expect(await status()).toMatchObject({ active: true, took: 0 });
    expect(messages(log).slice(1)).toEqual([
      'warn: storage tn: healthy -> degraded: the session was lost, reconnecting: nas:443 is gone',
      'warn: storage tn: degraded -> down: nas:443 is gone',
      expect.stringMatching(/^info: storage tn: down -> healthy after 1\d\d s$/),
    ]);
  });

  it('and a new one over which the dataset cannot be read in time leaves the last numbers standing', async () => {
    const { world, array, status } = await warm();
    array.dataset = unanswered;
    array.login(world.clock.now());
    expect(await status()).toMatchObject({ active: true, total: 1e12 });
  });
});

describe('what is noticed without a call', () => {
  it('a degraded pool within a minute; a stopped service by its event', async () => {
    const { world, array, watch } = await warm();
    array.pool_ = { name: 'tank', status: 'DEGRADED', healthy: false, detail: 'One device is gone.' };
    await world.clock.advance(65_000);
    expect(watch.state(world.context)).toMatchObject({
      state: 'degraded',
      reasons: [{ code: 'pool', message: "pool 'tank' is DEGRADED: One device is gone." }],
    });
    array.pool_ = { name: 'tank', status: 'ONLINE', healthy: true, detail: null };
    array.emit({ kind: 'service', service: 'iscsitarget', running: false });
    await world.clock.advance(65_000);
    expect(watch.state(world.context).reasons).toMatchObject([{ code: 'service' }]);
  });

  it('a key without POOL_READ leaves the pool unknown and the storage healthy', async () => {
    const { world, array, watch } = bench();
    array.pool = () => Promise.reject(new RefusedError('NOT_AUTHORIZED', 'no', { errno: 13 }));
    watch.see(world.context);
    await world.clock.advance(65_000);
    expect(watch.state(world.context).state).toBe('healthy');
  });

  it('one of two portals that is gone, after two looks; and that it is back', async () => {
    const { world, watch } = await warm('ready', ['10.0.0.1', '10.0.0.2']);
    let dead: string | null = '10.0.0.2';
    let probes = 0;
    Object.assign(world.context, {
      probePortal: ({ host }: { host: string }) => {
        probes += 1;
        return host === dead ? Promise.reject(new Error('ECONNREFUSED')) : Promise.resolve();
      },
    });
    watch.see(world.context);
    await world.clock.advance(120_000);
    const message = 'portal 10.0.0.2:3260 does not answer, 1 of 2 portals left';
    expect(watch.state(world.context)).toMatchObject({ state: 'degraded', reasons: [{ code: 'portal', message }] });
    dead = null;
    await world.clock.advance(15_000);
    expect(watch.state(world.context).state).toBe('healthy');
    probes = 0;
    await world.clock.advance(60_000);
    expect(probes).toBe(2);
  });

  it('slow answers, after three of them, and their end', async () => {
    const { world, array, watch } = await warm();
    let ms = 1_500;
    array.ping = () => world.clock.sleep(ms);
    await world.clock.advance(60_000);
    expect(watch.state(world.context).state).toBe('healthy');
    await world.clock.advance(20_000);
    expect(watch.state(world.context)).toMatchObject({ state: 'degraded', reasons: [{ code: 'slow' }] });
    ms = 10;
    await world.clock.advance(20_000);
    expect(watch.state(world.context).state).toBe('healthy');
  });

  it('calls without any answer while the session stands', async () => {
    const { world, array, watch } = await warm();
    array.ping = (deadline?: Deadline) => unanswered(undefined, deadline);
    await world.clock.advance(90_000);
    expect(watch.state(world.context).reasons).toEqual([{ code: 'slow', message: 'TrueNAS leaves calls unanswered' }]);
  });
});

describe('a dataset that is gone', () => {
  it('makes the storage inactive with the reason, and active again soon after it is back', async () => {
    const { world, array, status } = await warm();
    const there = array.dataset_;
    array.dataset_ = { ...there, id: 'tank/other' };
    array.emit({ kind: 'zvol', id: 'tank/pve', change: 'removed' });
    expect(await status()).toMatchObject({ active: false, reason: "dataset 'tank/pve' does not exist on TrueNAS" });
    array.dataset_ = there;
    await world.clock.advance(15_000);
    expect(await status()).toMatchObject({ active: true, took: 0 });
  });

  it('is not concluded from a call that failed', async () => {
    const { array, status } = bench();
    array.dataset = () => Promise.reject(new NotSentError('CALL_NOT_SENT', 'no answer'));
    expect((await status()).reason).toBe("the dataset 'tank/pve' could not be read in time");
  });
});

it('a refused key is told at once and needs no waiting', async () => {
  const { array, status } = bench('idle');
  const error = new StorageError('AUTH_FAILED', 'TrueNAS does not accept the API key');
  array.session = { ...array.session, state: 'refused', error };
  expect(await status()).toMatchObject({ active: false, took: 0, reason: 'TrueNAS does not accept the API key' });
});
