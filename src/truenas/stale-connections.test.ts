import { afterEach, describe, expect, it } from 'vitest';
import type { ArrayChange } from '../core/array-port.ts';
import type { StorageError } from '../core/errors.ts';
import { until } from './testing/fake-clock.ts';
import { type Bench, bench, failure } from './testing/harness.ts';
import { callError, NO_ANSWER } from './testing/scripted-server.ts';

let open: Bench[] = [];
async function start(...args: Parameters<typeof bench>): Promise<Bench> {
  const made = await bench(...args);
  open.push(made);
  await made.array.ready(made.deadline());
  return made;
}
afterEach(async () => {
  await Promise.all(open.map((each) => each.close()));
  open = [];
});

const HOUR = 3_600_000;
const EXPIRED = callError(207, 'ENOTAUTHENTICATED', 'Not authenticated');
const noop = (): void => undefined;

describe('a session that becomes too old', () => {
  it('is replaced with one login: the new one stands before the old one goes, no event is missed and no list is read anew', async () => {
    const { server, array, elapse, clock, meter } = await start();
    const changes: ArrayChange[] = [];
    array.onChange((change) => changes.push(change));
    const since = array.connection().sessionSince ?? 0;
    let most = 0;
    server.on('core.subscribe', () => {
      most = Math.max(most, server.sockets.size);
      return 'c0ffee';
    });
    clock.jump(HOUR);
    await until(() => server.sockets.size === 1 && server.count('auth.login_ex') === 2);
    expect(most).toBe(2);
    await elapse(5_000);
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 2, renewalError: null });
    expect(array.connection().sessionSince).toBeGreaterThan(since + HOUR * 0.9 - 1);
    expect(changes).toEqual([]);
    expect([meter.of('reconnects_total max-age'), meter.of('logins_total ok')]).toEqual([1, 2]);
    server.notify('collection_update', { msg: 'removed', collection: 'iscsi.extent.query', id: 4 });
    await until(() => changes.length > 0);
    expect(changes).toEqual([{ kind: 'extent', id: 4, change: 'removed' }]);
  });

  it('lets the calls that run on it finish there, and fails or delays none', async () => {
    const { server, array, deadline, elapse } = await start({ connectionMaxAgeMs: 30_000 });
    let finish = noop;
    server.on('pool.dataset.delete', async () => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return true;
    });
    const slow = array.deleteZvol('tank/x', deadline(200_000));
    await until(() => server.count('pool.dataset.delete') === 1);
    const reads: Promise<unknown>[] = [];
    server.on('auth.login_ex', () => {
      // In the middle of the renewal.
      reads.push(array.ping(deadline(100)), array.ping(deadline(100)));
      return { response_type: 'SUCCESS', user_info: null };
    });
    server.on('pool.dataset.query', () => []);
    await elapse(31_000);
    expect(reads).toHaveLength(2);
    await Promise.all(reads);
    expect([server.sockets.size, array.connection().inFlight]).toEqual([2, 1]);
    finish();
    await slow;
    await until(() => server.sockets.size === 1);
    expect(server.count('pool.dataset.delete')).toBe(1);
  });

  it('goes on when the renewal fails, and is replaced later', async () => {
    const { server, array, deadline, elapse, clock } = await start();
    server.versionsStatus = 503;
    clock.jump(HOUR);
    await until(() => array.connection().renewalError !== null);
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 1, error: null, renewalError: { code: 'ARRAY_PROTOCOL' } });
    await array.ping(deadline());
    server.versionsStatus = 200;
    await elapse(61_000);
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 2, renewalError: null });
  });

  it('has everything read anew when it was dead while it was replaced', async () => {
    const { server, array, clock } = await start();
    const changes: ArrayChange[] = [];
    array.onChange((change) => changes.push(change));
    const [old] = [...server.sockets];
    server.on('auth.login_ex', () => {
      old?.terminate();
      return { response_type: 'SUCCESS', user_info: null };
    });
    clock.jump(HOUR);
    await until(() => changes.length > 0);
    expect(changes).toEqual([{ kind: 'reconnected' }]);
    expect(server.count('auth.login_ex')).toBe(2);
  });

  it('is never renewed more often than the login allowance has room for, however short its age is', async () => {
    const { server, array, deadline, elapse, clock } = await start({ connectionMaxAgeMs: 1_000 });
    const times: number[] = [];
    server.on('auth.login_ex', () => {
      times.push(clock.monotonic());
      return { response_type: 'SUCCESS', user_info: null };
    });
    for (let round = 0; round < 30; round++) {
      await elapse(10_000);
      await array.ping(deadline(1_000));
    }
    expect(times.length).toBeGreaterThan(8);
    for (const from of times) expect(times.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(6);
    // A loss in the middle of it does not have to wait.
    for (const socket of server.sockets) socket.terminate();
    await until(() => array.connection().state !== 'ready');
    await elapse(2_000);
    expect(array.connection().state).toBe('ready');
  });

  it('does not try again with a key that was refused, and lives on until TrueNAS ends it', async () => {
    const made = await start();
    const { server, array, deadline, elapse, clock } = made;
    server.on('auth.login_ex', (call) => {
      const revoked = (call.params[0] as { api_key: string }).api_key === made.key && made.key.startsWith('7-');
      return revoked ? { response_type: 'AUTH_ERR' } : { response_type: 'SUCCESS', user_info: null };
    });
    clock.jump(HOUR);
    await until(() => array.connection().renewalError !== null);
    for (let round = 0; round < 12; round++) {
      clock.jump(HOUR);
      await elapse(3_000);
      await array.ping(deadline());
    }
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 2, renewalError: { code: 'AUTH_FAILED' } });
    made.key = `8-${'n'.repeat(64)}`;
    clock.jump(HOUR);
    await until(() => array.connection().logins === 3);
    await elapse(6_000);
    expect(array.connection()).toMatchObject({ state: 'ready', renewalError: null });
  });

  it('is measured by the age that was set last, without a restart', async () => {
    const { server, array, elapse } = await start({ connectionMaxAgeMs: 2_000_000_000 });
    array.tune({ apiTimeoutMs: 30_000, apiRetryMax: 3, apiRetryDelayMs: 1000, connectionMaxAgeMs: 60_000 });
    await elapse(62_000);
    expect(server.count('auth.login_ex')).toBe(2);
  });
});

describe('a session that TrueNAS has ended', () => {
  it('is noticed while nobody asks anything, and replaced (F-002)', async () => {
    const { server, array, elapse, meter } = await start();
    await elapse(59_000);
    const asked = server.count('system.version');
    let expired = true;
    server.on('system.version', () => {
      if (!expired) return 'TrueNAS-25.10.6';
      expired = false;
      throw EXPIRED;
    });
    await elapse(5_000);
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 2 });
    expect(server.count('system.version')).toBe(asked + 2);
    expect(meter.of('reconnects_total expired')).toBe(1);
  });

  it('costs one question a minute when nothing else is asked, and none otherwise', async () => {
    const { server, array, deadline, elapse } = await start();
    const before = server.count('system.version');
    await elapse(600_000);
    const idle = server.count('system.version') - before;
    expect(idle).toBeGreaterThanOrEqual(9);
    expect(idle).toBeLessThanOrEqual(10);
    server.on('iscsi.portal.query', () => []);
    for (let round = 0; round < 20; round++) {
      await array.portals(deadline());
      await elapse(30_000);
    }
    expect(server.count('system.version') - before - idle).toBeLessThanOrEqual(1);
  });

  it('is given up when it answers pings and nothing else', async () => {
    const { server, array, elapse } = await start();
    server.on('system.version', () => NO_ANSWER);
    await elapse(95_000);
    expect(array.connection().state).not.toBe('ready');
    expect(array.connection().error?.message).toMatch(/unanswered for 30 s|was not done after/);
    server.on('system.version', () => 'TrueNAS-25.10.6');
    await elapse(40_000);
    expect(array.connection().state).toBe('ready');
  });
});

describe('a half-open connection (F-041)', () => {
  it('is found within seconds of a call; the read is answered over a new one', async () => {
    const { server, array, deadline, elapse, meter } = await start();
    await elapse(20_000);
    server.answerPings = false;
    server.on('iscsi.portal.query', () => (server.count('iscsi.portal.query') === 1 ? NO_ANSWER : []));
    const read = array.portals(deadline());
    await until(() => server.count('iscsi.portal.query') === 1);
    await elapse(7_000);
    expect(array.connection().state).not.toBe('ready');
    server.answerPings = true;
    await elapse(8_000);
    expect(await read).toEqual([]);
    expect(array.connection().recentRetries).toBe(1);
    expect([meter.of('api_retries_total ARRAY_UNREACHABLE'), meter.of('reconnects_total ARRAY_UNREACHABLE')]).toEqual([1, 1]);
  });

  it('is found within sixteen seconds when nobody asks anything', async () => {
    const { server, array, elapse, log } = await start();
    server.answerPings = false;
    await elapse(16_000);
    expect(array.connection().state).toBe('waiting');
    expect(log.join('\n')).toContain('no sign of life for');
  });

  it('is not found where a ping is lost once: what comes afterwards is a sign of life', async () => {
    const { server, array, elapse } = await start();
    server.answerPings = false;
    await elapse(14_000);
    server.notify('collection_update', { msg: 'removed', collection: 'iscsi.extent.query', id: 4 });
    server.answerPings = true;
    await elapse(60_000);
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 1 });
  });
});

describe('an array that is away', () => {
  it('is noticed within 15 s of its return, however long it was away, although nobody asks', async () => {
    const made = await bench();
    open.push(made);
    const { server, array, deadline, elapse } = made;
    server.versionsStatus = 502;
    await failure(array.ping(deadline()));
    await elapse(300_000);
    expect(array.connection().state).not.toBe('ready');
    server.versionsStatus = 200;
    await elapse(15_000);
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 1 });
  });

  it('is noticed within 15 s when it hung in the middle of a connection', async () => {
    const made = await bench();
    open.push(made);
    const { server, array, deadline, elapse } = made;
    server.muteVersions = true;
    const failed = failure(array.ping(deadline()));
    await elapse(21_000);
    server.muteVersions = false;
    await elapse(15_000);
    expect(array.connection().state).toBe('ready');
    await Promise.race([failed, array.ping(deadline())]);
  });

  it('is left alone when it was never reached and nobody has asked for ten minutes', async () => {
    const made = await bench();
    open.push(made);
    const { server, array, deadline, elapse } = made;
    server.versionsStatus = 502;
    await failure(array.ping(deadline()));
    await elapse(620_000);
    const { requests } = server;
    await elapse(60_000);
    expect(server.requests).toBe(requests);
    server.versionsStatus = 200;
    await array.ping(deadline());
  });

  it('is told to polls at once, and to others after the next attempt (F-013)', async () => {
    const made = await bench();
    open.push(made);
    const { server, array, deadline, elapse, clock } = made;
    server.muteVersions = true;
    const first = failure(array.ping(deadline(2_000)));
    await elapse(2_000);
    const told = (await first) as StorageError;
    expect(told.code).toBe('ARRAY_UNREACHABLE');
    expect(told.message).toMatch(
      /not connected to 127\.0\.0\.1:\d+ within 2 s, still at the answer of 127.* to GET \/api\/versions \(\d+ m?s\)/,
    );
    await elapse(24_000);
    const before = clock.monotonic();
    expect(((await failure(array.ping(deadline(2_000)))) as StorageError).message).toContain('GET /api/versions was not done after');
    expect(clock.monotonic()).toBe(before);
    const patient = failure(array.ping(deadline(50_000)));
    await elapse(11_000);
    expect(((await patient) as StorageError).code).toBe('ARRAY_UNREACHABLE');
  });
});
