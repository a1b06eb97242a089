import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { deadlineAfter } from '../core/deadline.ts';
import { NotSentError, type StorageError } from '../core/errors.ts';
import { createArray } from './array.ts';
import { callLimitMs, SLOW_METHODS } from './call-limits.ts';
import { FakeClock, until } from './testing/fake-clock.ts';
import { API_KEY, type Bench, bench, config, failure, memoryLog, turns } from './testing/harness.ts';
import { NO_ANSWER } from './testing/scripted-server.ts';

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

/** api_timeout 10 s: an attempt to connect has 8 s, so that a caller with 10 s hears its own words. */
const SHORT = { apiTimeoutMs: 10_000 };

describe('the step at which time ran out is named, and after how long', () => {
  it('TLS', async () => {
    const mute = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const clock = new FakeClock();
    const settings = config((mute.address() as AddressInfo).port, SHORT);
    const array = createArray({ config: settings, apiKey: () => Promise.resolve(API_KEY), clock, log: memoryLog() });
    const accepted = new Promise((resolve) => mute.once('connection', resolve));
    const failed = failure(array.ready(deadlineAfter(clock, 10_000, 'test')));
    await accepted;
    await turns();
    clock.advance(8_000);
    expect((await failed).message).toMatch(/^the TLS handshake with 127\.0\.0\.1:\d+ was not done after 8 s/);
    await array.close();
    mute.close();
  });

  it('a name that is not resolved, and a TCP connection that is not made', async () => {
    const clock = new FakeClock();
    for (const [apiHost, message] of [
      ['nas.invalid', /^(resolving the name nas\.invalid was not done|the name nas\.invalid cannot be resolved)/],
      ['127.0.0.1', /^(the TCP connection to 127\.0\.0\.1:1 was not done|nothing listens on 127\.0\.0\.1:1)/],
    ] as const) {
      const settings = config(1, { ...SHORT, apiHost });
      const array = createArray({ config: settings, apiKey: () => Promise.resolve(API_KEY), clock, log: memoryLog() });
      const failed = failure(array.ready(deadlineAfter(clock, 10_000, 'test')));
      clock.advance(8_000);
      expect((await failed).message).toMatch(message);
      await array.close();
    }
  });

  it('GET /api/versions', async () => {
    const { server, array, deadline, clock } = await start(SHORT);
    server.muteVersions = true;
    const failed = failure(array.ready(deadline(10_000)));
    await until(() => server.requests === 1);
    clock.advance(8_000);
    expect((await failed).message).toMatch(/^the answer of 127\.0\.0\.1:\d+ to GET \/api\/versions was not done after 8 s/);
  });

  it('the login', async () => {
    const { server, array, deadline, elapse } = await start(SHORT);
    server.on('auth.login_ex', () => NO_ANSWER);
    const failed = failure(array.ready(deadline(10_000)));
    await until(() => server.count('auth.login_ex') === 1);
    await elapse(9_000);
    const error = (await failed) as StorageError;
    expect(error.code).toBe('ARRAY_UNREACHABLE');
    expect(error.message).toMatch(/^the login to 127\.0\.0\.1:\d+ was not done after 8 s$/);
    expect(error.causes[0]).toContain('middleware');
  });

  it('the first questions after it', async () => {
    const { server, array, deadline, elapse } = await start(SHORT);
    server.on('system.version', () => NO_ANSWER);
    const failed = failure(array.ready(deadline(10_000)));
    await until(() => server.count('system.version') === 1);
    await elapse(9_000);
    expect((await failed).message).toMatch(/^reading the version of .* and subscribing to its events was not done after 8 s/);
  });

  it('a call by its name, with the caller none the wiser than the call itself (F-049)', async () => {
    const { server, array, deadline, elapse } = await start({ ...SHORT, apiRetryMax: 0 });
    await array.ready(deadline());
    server.on('iscsi.portal.query', () => NO_ANSWER);
    const failed = failure(array.portals(deadline(20_000)));
    await until(() => server.count('iscsi.portal.query') === 1);
    await elapse(10_000);
    const error = (await failed) as StorageError;
    expect(error).toBeInstanceOf(NotSentError);
    expect(error.message).toBe('list the iSCSI portals: TrueNAS did not answer iscsi.portal.query within 10 s');
  });

  it("the caller's own deadline: what was under way for how long", async () => {
    const { server, array, deadline, elapse } = await start();
    await array.ready(deadline());
    server.on('pool.dataset.delete', () => NO_ANSWER);
    const own = deadline(5_000);
    const failed = failure(array.deleteZvol('tank/x', own));
    await until(() => server.count('pool.dataset.delete') === 1);
    await elapse(5_000);
    await failed;
    expect((own.signal.reason as StorageError).message).toBe('test: not done within 5 s; under way: delete zvol tank/x (5 s)');
  });
});

describe('how long a call may take', () => {
  it('is api_timeout, or more where TrueNAS needs it, but never more than its caller has', () => {
    expect(callLimitMs('pool.dataset.query', 1_000)).toBe(1_000);
    expect(callLimitMs('pool.dataset.delete', 1_000)).toBe(300_000);
    expect(callLimitMs('pool.dataset.delete', 400_000)).toBe(400_000);
    expect(callLimitMs('constructor', 1_000)).toBe(1_000);
  });

  it('stands in the documentation, method by method', () => {
    const page = readFileSync('docs/features/timeouts.md', 'utf8');
    for (const [method, { seconds, why }] of Object.entries(SLOW_METHODS)) {
      expect(page).toContain(`| \`${method}\` | ${seconds} s | ${why} |`);
    }
  });
});
