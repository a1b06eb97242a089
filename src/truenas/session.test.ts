import { afterEach, describe, expect, it } from 'vitest';
import type { ArrayChange } from '../core/array-port.ts';
import { NotSentError, RefusedError, type StorageError } from '../core/errors.ts';
import { API_KEY, type Bench, bench, failure } from './testing/harness.ts';
import { until } from './testing/fake-clock.ts';
import { callError, NO_ANSWER } from './testing/scripted-server.ts';

const DAY = 86_400_000;
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

describe('one session per array', () => {
  it('opens nothing before the first call and logs in once for many calls (F-001, F-055)', async () => {
    const { server, array, deadline } = await start();
    expect(array.connection().state).toBe('idle');
    expect(server.requests).toBe(0);
    await Promise.all([array.ready(deadline()), array.ping(deadline()), array.ping(deadline()), array.ping(deadline())]);
    expect(server.count('auth.login_ex')).toBe(1);
    expect(array.connection()).toMatchObject({ state: 'ready', release: '25.10', version: 'TrueNAS-25.10.6', logins: 1, error: null });
  });

  it('costs one login, one version and its subscriptions', async () => {
    const { server, array, deadline } = await start();
    await array.ready(deadline());
    const methods = server.calls.map((call) => call.method);
    expect(methods.filter((method) => method !== 'core.subscribe')).toEqual(['auth.login_ex', 'system.version']);
    expect(methods.length).toBe(9);
  });

  it('refuses ws before anything is opened: TrueNAS revokes a key used over it (F-015)', async () => {
    const { server, array, deadline } = await start({ apiScheme: 'ws', apiHost: '192.0.2.1' });
    const error = (await failure(array.ready(deadline()))) as StorageError;
    expect(error.code).toBe('INSECURE_TRANSPORT');
    expect(error.message).toContain('api_scheme');
    expect(server.requests + server.sockets.size).toBe(0);
    expect(array.connection().state).toBe('refused');
  });

  it.each(['127.0.0.1', 'localhost'])('speaks ws with this node itself: %s', async (apiHost) => {
    const { server, array, deadline } = await start({ apiScheme: 'ws', apiHost, preferIpv4: true });
    await array.ready(deadline());
    await array.ping(deadline());
    expect(server.count('auth.login_ex')).toBe(1);
  });

  it('says that nothing listens on the plain port', async () => {
    const { server, array, deadline } = await start({ apiScheme: 'ws' });
    await server.close();
    expect(((await failure(array.ready(deadline()))) as StorageError).message).toMatch(/nothing listens on 127\.0\.0\.1:/);
  });

  it('stops on a wrong key and goes on as soon as there is another one (F-048)', async () => {
    const made = await start();
    const { server, array, deadline, clock } = made;
    server.on('auth.login_ex', (call) => {
      const good = (call.params[0] as { api_key: string }).api_key === `8-${'n'.repeat(64)}`;
      return good ? { response_type: 'SUCCESS', user_info: null, authenticator: 'LEVEL_1' } : { response_type: 'AUTH_ERR' };
    });
    for (let round = 0; round < 5; round++) {
      const error = (await failure(array.ping(deadline()))) as StorageError;
      expect(error).toBeInstanceOf(NotSentError);
      expect(error.code).toBe('AUTH_FAILED');
      clock.advance(120_000);
    }
    expect(server.count('auth.login_ex')).toBe(1);
    expect(array.connection().state).toBe('refused');
    made.key = `8-${'n'.repeat(64)}`;
    await array.ping(deadline());
    expect(server.count('auth.login_ex')).toBe(2);
  });

  it('tries the same key again after credentialChanged', async () => {
    const { server, array, deadline } = await start();
    server.on('auth.login_ex', () => ({ response_type: 'EXPIRED' }));
    expect(((await failure(array.ping(deadline()))) as StorageError).code).toBe('AUTH_FAILED');
    server.on('auth.login_ex', () => ({ response_type: 'SUCCESS', user_info: null }));
    array.credentialChanged();
    await array.ping(deadline());
  });

  it('waits a minute after a rate limit, all callers together, and does not call it a bad key (F-001, F-048)', async () => {
    const { server, array, deadline, clock } = await start();
    server.on('auth.login_ex', () => {
      throw callError(16, 'EBUSY', 'Rate Limit Exceeded');
    });
    const errors = await Promise.all([1, 2, 3].map(() => failure(array.ping(deadline()))));
    expect(errors.map((error) => (error as StorageError).code)).toEqual(Array(3).fill('AUTH_RATE_LIMITED'));
    clock.advance(55_000);
    const early = (await failure(array.ping(deadline(5_000)))) as StorageError;
    expect(early.code).toBe('AUTH_RATE_LIMITED');
    expect(early.message).toMatch(/waiting for the array's login window, \d+ s left/);
    expect(server.count('auth.login_ex')).toBe(1);
    server.on('auth.login_ex', () => ({ response_type: 'SUCCESS', user_info: null }));
    clock.advance(25_000);
    await array.ping(deadline());
    expect(server.count('auth.login_ex')).toBe(2);
  });

  it('calls a login that is not answered unreachable, not refused (F-048, F-041)', async () => {
    const { server, array, deadline, clock } = await start();
    server.on('auth.login_ex', () => NO_ANSWER);
    const pending = failure(array.ping(deadline()));
    await until(() => server.count('auth.login_ex') === 1);
    clock.advance(24_000);
    const error = (await pending) as StorageError;
    expect(error.code).toBe('ARRAY_UNREACHABLE');
    expect(array.connection().state).not.toBe('refused');
  });

  it('logs in anew when TrueNAS ended the session after 30 days, and repeats the call once (F-002)', async () => {
    const { server, array, deadline, clock } = await start();
    await array.ready(deadline());
    clock.jump(27 * DAY);
    let expired = true;
    server.on('system.version', () => {
      if (!expired) return 'TrueNAS-25.10.6';
      expired = false;
      throw callError(207, 'ENOTAUTHENTICATED', 'Not authenticated');
    });
    await array.ping(deadline());
    expect(server.count('auth.login_ex')).toBe(2);
    expect(array.connection().logins).toBe(2);
  });

  it('sends a change again that was refused for want of a login, since it was not looked at (F-002, F-056)', async () => {
    const { server, array, deadline, clock } = await start();
    await array.ready(deadline());
    clock.jump(DAY);
    let expired = true;
    server.on('pool.dataset.delete', () => {
      if (!expired) return true;
      expired = false;
      throw callError(207, 'ENOTAUTHENTICATED', 'Not authenticated');
    });
    await array.deleteZvol('tank/x', deadline());
    expect(server.count('pool.dataset.delete')).toBe(2);
    expect(server.count('auth.login_ex')).toBe(2);
  });

  it('does not loop when every session is ended at once', async () => {
    const { server, array, deadline, clock } = await start();
    server.on('pool.dataset.query', () => {
      throw callError(207, 'ENOTAUTHENTICATED', 'Not authenticated');
    });
    await array.ready(deadline());
    clock.jump(DAY);
    const error = (await failure(array.zvol('tank/x', deadline()))) as StorageError;
    expect(error).toBeInstanceOf(NotSentError);
    expect(server.count('pool.dataset.query')).toBe(2);
    expect(server.count('auth.login_ex')).toBe(2);
  });

  it('replaces the session before the 30 days are over; the new one stands before the old one goes (F-002)', async () => {
    const { server, array, deadline, clock } = await start();
    await array.ready(deadline());
    clock.jump(28 * DAY + 3_700_000);
    await until(() => server.count('auth.login_ex') === 2 && server.sockets.size === 1);
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 2 });
    await array.ping(deadline());
    expect(server.count('auth.login_ex')).toBe(2);
  });

  it('takes an error answer to the probe for what it is, not for a sign of life (F-053)', async () => {
    const { server, array, deadline } = await start();
    await array.ready(deadline());
    server.on('system.version', () => {
      throw callError(14, 'EFAULT', 'no');
    });
    await expect(array.ping(deadline())).rejects.toBeInstanceOf(RefusedError);
  });

  it('comes back by itself after a loss, subscribes again and says so', async () => {
    const { server, array, deadline, clock } = await start();
    const changes: ArrayChange[] = [];
    array.onChange((change) => changes.push(change));
    await array.ready(deadline());
    expect(changes).toEqual([{ kind: 'reconnected' }]);
    for (const socket of server.sockets) socket.terminate();
    await until(() => array.connection().state === 'waiting');
    clock.advance(5000);
    await until(() => array.connection().state === 'ready');
    expect(server.count('core.subscribe')).toBe(14);
    expect(changes).toEqual([{ kind: 'reconnected' }, { kind: 'reconnected' }]);
    server.notify('collection_update', { msg: 'removed', collection: 'iscsi.extent.query', id: 4 });
    await until(() => changes.length === 3);
    expect(changes[2]).toEqual({ kind: 'extent', id: 4, change: 'removed' });
  });

  it('fails at once while the array is of no use and the next attempt is far (F-013)', async () => {
    const { server, array, deadline, clock } = await start();
    server.versionsStatus = 404;
    for (let round = 0; round < 10; round++) {
      expect(((await failure(array.ping(deadline()))) as StorageError).code).toBe('RELEASE_UNSUPPORTED');
    }
    expect(server.requests).toBe(1);
    clock.advance(90_000);
    server.versionsStatus = 200;
    await array.ping(deadline());
  });

  it('keeps the key out of logs, errors and the connection state', async () => {
    const { server, array, deadline, log } = await start();
    server.on('auth.login_ex', () => {
      throw callError(22, 'EINVAL', 'no');
    });
    const error = (await failure(array.ping(deadline()))) as StorageError;
    const all = JSON.stringify([log, array.connection(), error, error.message, error.facts]);
    expect(all).not.toContain(API_KEY.slice(3));
  });

  it('ends calls and attempts when it is closed', async () => {
    const { server, array, deadline } = await start();
    server.on('auth.login_ex', () => NO_ANSWER);
    const pending = failure(array.ping(deadline()));
    await until(() => server.count('auth.login_ex') === 1);
    await array.close();
    expect(((await pending) as StorageError).code).toBe('SHUTTING_DOWN');
    expect(array.connection().state).toBe('closed');
    await until(() => server.sockets.size === 0);
  });
});
