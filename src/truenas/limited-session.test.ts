import { afterEach, describe, expect, it } from 'vitest';
import { RefusedError, type StorageError } from '../core/errors.ts';
import { until } from './testing/fake-clock.ts';
import { type Bench, bench, failure } from './testing/harness.ts';
import { Answered, callError, NO_ANSWER, validationErrors } from './testing/scripted-server.ts';

let open: Bench[] = [];
async function start(...args: Parameters<typeof bench>): Promise<Bench> {
  const made = await bench(...args);
  open.push(made);
  return made;
}
afterEach(async () => {
  await Promise.all(open.map((each) => each.close()));
  open = [];
});

const LOGIN_LIMIT = callError(16, 'EBUSY', 'Rate Limit Exceeded');
const CROWDED = new Answered({ code: -32000, message: 'Maximum number of concurrent calls (20) has exceeded' });

describe('a login that TrueNAS refuses for their number (F-001, F-048)', () => {
  it('is not tried again before the window is over; then everybody goes on by himself', async () => {
    const { server, array, deadline, elapse, clock, meter } = await start();
    server.on('auth.login_ex', () => {
      throw LOGIN_LIMIT;
    });
    const calls = [array.ping(deadline(120_000)), array.ping(deadline(120_000)), array.ping(deadline(120_000))];
    await until(() => array.connection().limited !== null);
    const { limited } = array.connection();
    expect(limited).toEqual({ until: clock.now() + 68_500, reason: "waiting for the array's login window" });
    server.on('auth.login_ex', () => ({ response_type: 'SUCCESS', user_info: null }));
    await elapse(67_000);
    expect(server.count('auth.login_ex')).toBe(1);
    await elapse(4_000);
    await Promise.all(calls);
    expect(server.count('auth.login_ex')).toBe(2);
    expect(array.connection()).toMatchObject({ state: 'ready', limited: null, logins: 2 });
    expect(meter.of('rate_limit_waits_total AUTH_RATE_LIMITED')).toBe(3);
    expect([meter.of('logins_total AUTH_RATE_LIMITED'), meter.of('logins_total ok')]).toEqual([1, 1]);
  });

  it('is told at once to a caller whose time ends before the window, with the seconds left', async () => {
    const { server, array, deadline, clock } = await start();
    server.on('auth.login_ex', () => {
      throw LOGIN_LIMIT;
    });
    const error = (await failure(array.ping(deadline(50_000)))) as StorageError;
    expect(error.code).toBe('AUTH_RATE_LIMITED');
    expect(error.message).toMatch(/^not logged in to 127\.0\.0\.1:\d+: waiting for the array's login window, 69 s left$/);
    clock.advance(28_000);
    const later = (await failure(array.ping(deadline(2_000)))) as StorageError;
    expect(later.message).toMatch(/window, 41 s left$/);
    expect(later.causes.join()).toContain('more than 20 logins within 60 s');
  });

  it('stays away longer when it is refused again', async () => {
    const { server, array, deadline, elapse } = await start();
    server.on('auth.login_ex', () => {
      throw LOGIN_LIMIT;
    });
    await failure(array.ping(deadline(1_000)));
    await elapse(500_000);
    // 60 s for the window, 1 s, and the middle of 15, 30, 60, 60, ... s
    expect(server.count('auth.login_ex')).toBe(6);
  });
});

describe('HTTP 429', () => {
  it('of GET /api/versions is obeyed as long as Retry-After says; no login is sent', async () => {
    const { server, array, deadline, elapse, clock } = await start();
    server.versionsStatus = 429;
    server.versionsHeaders = { 'retry-after': '12' };
    const error = (await failure(array.ping(deadline(5_000)))) as StorageError;
    expect(error.code).toBe('RATE_LIMITED');
    expect(error.message).toContain('takes no more requests, 21 s left');
    expect(array.connection().limited?.until).toBe(clock.now() + 12_000 + 1_000 + 7_500);
    expect(array.connection().error?.message).toContain('GET /api/versions with HTTP status 429: too many requests');
    await elapse(19_000);
    expect(server.requests).toBe(1);
    server.versionsStatus = 200;
    await elapse(3_000);
    expect(array.connection().state).toBe('ready');
    expect(server.count('auth.login_ex')).toBe(1);
  });

  it('of the WebSocket is obeyed, too', async () => {
    const { server, array, deadline, elapse } = await start();
    server.upgradeRefusal = { status: 429, headers: { 'Retry-After': '20' } };
    const pending = array.ping(deadline(60_000));
    await until(() => array.connection().limited !== null);
    expect(array.connection().error?.message).toMatch(/the WebSocket \/api\/v25\.10\.5 with HTTP status 429/);
    server.upgradeRefusal = null;
    await elapse(30_000);
    await pending;
    expect(server.count('auth.login_ex')).toBe(1);
  });

  it('of a closed connection is recognised by its reason', async () => {
    const { server, array, deadline } = await start();
    await array.ready(deadline());
    for (const socket of server.sockets) socket.close(1013, 'too many requests');
    await until(() => array.connection().state === 'waiting');
    expect(array.connection().error?.code).toBe('RATE_LIMITED');
    expect(array.connection().limited).not.toBeNull();
  });
});

describe('a call that is refused for their number', () => {
  it('waits with all others, and is made again when the array takes calls', async () => {
    const { server, array, deadline, elapse, clock, meter } = await start();
    await array.ready(deadline());
    let limited = true;
    server.on('pool.dataset.delete', () => {
      if (!limited) return true;
      throw callError(14, 'EFAULT', 'Too many requests');
    });
    server.on('iscsi.portal.query', () => []);
    const change = array.deleteZvol('tank/x', deadline(200_000));
    await until(() => array.connection().limited !== null);
    expect(array.connection().limited?.until).toBe(clock.now() + 68_500);
    const short = (await failure(array.portals(deadline(10_000)))) as StorageError;
    expect([short.code, server.count('iscsi.portal.query')]).toEqual(['RATE_LIMITED', 0]);
    expect(short.message).toMatch(/^list the iSCSI portals: waiting since TrueNAS.* 69 s left$/);
    const patient = array.portals(deadline(100_000));
    limited = false;
    await elapse(70_000);
    expect(await patient).toEqual([]);
    await change;
    expect(server.count('pool.dataset.delete')).toBe(2);
    expect(meter.of('api_retries_total RATE_LIMITED')).toBe(1);
    expect(array.connection()).toMatchObject({ state: 'ready', limited: null, logins: 1 });
  });

  it('for concurrency is made again shortly after, changes too, and fewer are sent at once for a while', async () => {
    const { server, array, deadline, elapse, meter } = await start({ apiRetryMax: 0 });
    await array.ready(deadline());
    let refusals = 3;
    server.on('iscsi.extent.delete', () => {
      if (refusals-- > 0) throw CROWDED;
      return true;
    });
    const change = array.deleteExtent(1, deadline());
    await elapse(6_000);
    await change;
    expect(server.count('iscsi.extent.delete')).toBe(4);
    expect(meter.of('api_retries_total TOO_MANY_CALLS')).toBe(3);
    server.on('iscsi.extent.delete', () => NO_ANSWER);
    const before = server.count('iscsi.extent.delete');
    const calls = [1, 2, 3].map((id) => failure(array.deleteExtent(id, deadline(40_000))));
    await elapse(5_000);
    expect(server.count('iscsi.extent.delete') - before).toBe(1);
    await elapse(25_000);
    expect(server.count('iscsi.extent.delete') - before).toBe(3);
    await elapse(12_000);
    await Promise.all(calls);
  });

  it('for concurrency ends with the deadline, as not sent', async () => {
    const { server, array, deadline, elapse } = await start();
    await array.ready(deadline());
    server.on('iscsi.extent.delete', () => {
      throw CROWDED;
    });
    const failed = failure(array.deleteExtent(1, deadline(5_000)));
    await elapse(6_000, 20);
    const error = (await failed) as StorageError;
    expect([error.code, error.kind]).toEqual(['TOO_MANY_CALLS', 'unavailable']);
    expect(server.count('iscsi.extent.delete')).toBeLessThan(12);
  });

  it('is not what a busy dataset or a wrong argument is (F-003, F-004)', async () => {
    const { server, array, deadline } = await start();
    await array.ready(deadline());
    server.on('pool.dataset.delete', () => {
      throw callError(16, 'EBUSY', "cannot destroy 'tank/too many requests': dataset is busy", 'Traceback: rate limit, HTTP 429');
    });
    const busy = await failure(array.deleteZvol('tank/too many requests', deadline()));
    expect(busy).toBeInstanceOf(RefusedError);
    expect((busy as StorageError).code).toBe('VOLUME_BUSY');
    server.on('iscsi.extent.delete', () => {
      throw validationErrors(['id', 'rate limit', 22]);
    });
    expect(await failure(array.deleteExtent(1, deadline()))).toBeInstanceOf(RefusedError);
    expect(array.connection().limited).toBeNull();
  });
});
