import { describe, expect, it } from 'vitest';
import { deadlineAfter } from '../core/deadline.ts';
import type { Deadline } from '../core/ports.ts';
import { freshest } from './freshest.ts';
import { FakeClock, until } from './testing/fake-clock.ts';
import { failure } from './testing/harness.ts';

interface Try {
  readonly own: Deadline;
  readonly resolve: (value: string) => void;
  readonly reject: (error: Error) => void;
}

function start(ms = 24_000): { clock: FakeClock; tries: Try[]; late: string[]; result: Promise<string> } {
  const clock = new FakeClock();
  const tries: Try[] = [];
  const late: string[] = [];
  const attempt = (own: Deadline): Promise<string> =>
    new Promise((resolve, reject) => {
      tries.push({ own, resolve, reject });
      own.signal.addEventListener('abort', () => reject(own.signal.reason as Error), { once: true });
    });
  const result = freshest(clock, deadlineAfter(clock, ms, 'connect'), attempt, (value) => late.push(value));
  return { clock, tries, late, result };
}

describe('attempts beside what hangs', () => {
  it('makes one when it is answered at once', async () => {
    const { clock, tries, result } = start();
    tries[0]?.resolve('first');
    expect(await result).toBe('first');
    expect(clock.next).not.toBe(5_000);
    clock.advance(20_000);
    expect(tries).toHaveLength(1);
  });

  it('begins afresh every five seconds, and lets the others go when one gets through', async () => {
    const { clock, tries, result } = start();
    clock.advance(10_000);
    expect(tries).toHaveLength(3);
    tries[2]?.resolve('third');
    expect(await result).toBe('third');
    expect(tries.map(({ own }) => own.signal.aborted)).toEqual([true, true, false]);
  });

  it('keeps the oldest one, since on a slow way only it may succeed, and three at most', () => {
    const { clock, tries } = start(240_000);
    clock.advance(30_000);
    expect(tries).toHaveLength(7);
    expect(tries.map(({ own }) => own.signal.aborted)).toEqual([false, true, true, true, true, false, false]);
  });

  it('fails with the first failure, which is news', async () => {
    const { clock, tries, result } = start();
    clock.advance(5_000);
    tries[1]?.reject(new Error('nothing listens'));
    expect((await failure(result)).message).toBe('nothing listens');
    expect(tries[0]?.own.signal.aborted).toBe(true);
  });

  it('lets the oldest one tell at the deadline where it was', async () => {
    const { clock, result } = start(6_000);
    const failed = failure(result);
    clock.advance(6_000);
    expect((await failed).message).toContain('connect: not done within 6 s');
  });

  it('gives back what comes too late', async () => {
    const clock = new FakeClock();
    const resolves: ((value: string) => void)[] = [];
    const late: string[] = [];
    const result = freshest(
      clock,
      deadlineAfter(clock, 20_000, 'connect'),
      () => new Promise<string>((resolve) => resolves.push(resolve)),
      (value) => late.push(value),
    );
    clock.advance(5_000);
    resolves[1]?.('second');
    expect(await result).toBe('second');
    resolves[0]?.('first');
    await until(() => late.length === 1);
    expect(late).toEqual(['first']);
  });
});
