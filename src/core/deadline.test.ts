import { describe, expect, it } from 'vitest';
import { FakeClock } from '../truenas/testing/fake-clock.ts';
import { beginStep, deadlineAfter, stepsOf } from './deadline.ts';
import { describeLimit, formatDuration } from './durations.ts';
import type { StorageError } from './errors.ts';

describe('a deadline that ends', () => {
  it('names the steps that were under way, innermost first of all, and how long they took', () => {
    const clock = new FakeClock();
    const outer = deadlineAfter(clock, 10_000, 'volume.allocate');
    clock.advance(6_000);
    const inner = deadlineAfter(clock, 30_000, 'create zvol tank/x', outer.signal);
    clock.advance(4_000);
    const reason = outer.signal.reason as StorageError;
    expect(reason.code).toBe('DEADLINE');
    expect(reason.message).toBe('volume.allocate: not done within 10 s; under way: create zvol tank/x (4 s)');
    expect(reason.facts).toMatchObject({ ms: 10_000, steps: ['create zvol tank/x (4 s)'] });
    expect(inner.signal.reason).toBe(reason);
  });

  it('does not name what was over, and nothing where nothing was said', () => {
    const clock = new FakeClock();
    const outer = deadlineAfter(clock, 1_000, 'volume.free');
    deadlineAfter(clock, 500, 'first', outer.signal).release();
    const step = beginStep(outer, 'the TCP connection');
    step.next('the TLS handshake');
    expect(stepsOf(outer.signal)).toEqual(['the TLS handshake (0 ms)']);
    step.end();
    clock.advance(1_000);
    expect((outer.signal.reason as StorageError).message).toBe('volume.free: not done within 1 s');
  });

  it('tells a step how long it ran, also when it is another clock that ended it', () => {
    const clock = new FakeClock();
    const outer = deadlineAfter(clock, 30_000, 'connect');
    const step = beginStep(outer, 'the TLS handshake with nas:443');
    clock.advance(4_200);
    expect(step.ranOut()).toBe('the TLS handshake with nas:443 was not done after 4.2 s');
    const nameless = { signal: new AbortController().signal, remaining: () => 0 };
    expect(beginStep(nameless, 'the login').ranOut()).toBe('the login was not done in time');
  });

  it('names three steps at most', () => {
    const clock = new FakeClock();
    const outer = deadlineAfter(clock, 1_000, 'health');
    for (let n = 0; n < 9; n++) deadlineAfter(clock, 5_000, `check ${n}`, outer.signal);
    clock.advance(1_000);
    expect((outer.signal.reason as StorageError).facts['steps']).toHaveLength(3);
  });

  it('can be cancelled before', () => {
    const clock = new FakeClock();
    const own = deadlineAfter(clock, 1_000, 'connect');
    const reason = new Error('another one was faster');
    own.cancel(reason);
    expect(own.signal.reason).toBe(reason);
    expect([own.remaining(), clock.next]).toEqual([0, null]);
  });
});

describe('durations in messages', () => {
  it.each([
    [0, '0 ms'],
    [999.4, '999 ms'],
    [1000, '1 s'],
    [4240, '4.2 s'],
    [10_000, '10 s'],
    [49_750, '50 s'],
    [119_000, '119 s'],
    [300_000, '5 min'],
  ])('%d ms is %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  it('counts the seconds of a limit down', () => {
    const limit = { until: 41_000, reason: "waiting for the array's login window" };
    expect(describeLimit(limit, 100)).toBe("waiting for the array's login window, 41 s left");
    expect(describeLimit(limit, 50_000)).toBe("waiting for the array's login window, 1 s left");
  });
});
