import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { deadlineAfter } from '../core/deadline.ts';
import { OutcomeUnknownError, RefusedError } from '../core/errors.ts';
import { NO_METER } from '../core/metrics.ts';
import { Connection } from './connection.ts';
import { finishJob, prepareForJobs } from './jobs.ts';
import { FakeClock, until } from './testing/fake-clock.ts';
import { failure } from './testing/harness.ts';
import { Vitals } from './vitals.ts';
import { change } from './wire/request.ts';

const start = change('service.control', ['START', 'iscsitarget', { silent: false }], 'start service', z.boolean(), { job: true });

/** A connection whose peer is the function `answer`. */
function connect(clock: FakeClock, answer: (method: string, params: unknown[]) => unknown): { connection: Connection; methods: string[] } {
  const methods: string[] = [];
  const events = { onNotification: () => undefined, onClosed: () => undefined };
  const connection = new Connection(clock, events, new Vitals(clock, NO_METER, 'nas:443'));
  connection.attach({
    send: (text) => {
      const { id, method, params } = JSON.parse(text) as { id: number; method: string; params: unknown[] };
      methods.push(method);
      queueMicrotask(() => connection.onText(JSON.stringify({ jsonrpc: '2.0', id, result: answer(method, params) }), 1));
      return true;
    },
    received: () => 0,
    ping: () => undefined,
    close: () => undefined,
    terminate: () => undefined,
  });
  return { connection, methods };
}

const job = (state: string, more: object = {}): unknown => [{ id: 5, state, result: null, error: null, exc_info: null, ...more }];

describe('jobs (truenas-api 5)', () => {
  it('asks 25.10 once to answer with results', async () => {
    const clock = new FakeClock();
    const deadline = deadlineAfter(clock, 10_000, 'test');
    const { connection, methods } = connect(clock, (method) => method === 'service.control');
    for (let round = 0; round < 2; round++) {
      await prepareForJobs(connection, '25.10', deadline);
      expect(await finishJob({ connection, release: '25.10', request: start, clock, deadline })).toBe(true);
    }
    expect(methods).toEqual(['core.set_options', 'service.control', 'service.control']);
  });

  it('asks 25.04 for the job until it is done (F-327, F-328)', async () => {
    const clock = new FakeClock();
    const deadline = deadlineAfter(clock, 10_000, 'test');
    const states = ['WAITING', 'RUNNING', 'SUCCESS'];
    const { connection, methods } = connect(clock, (method) =>
      method === 'core.get_jobs' ? job(states.shift() ?? 'SUCCESS', { result: true }) : 5,
    );
    const pending = finishJob({ connection, release: '25.04', request: start, clock, deadline });
    for (const asked of [1, 2]) {
      await until(() => methods.filter((method) => method === 'core.get_jobs').length === asked && clock.next === 500);
      clock.advance(500);
    }
    expect(await pending).toBe(true);
    expect(methods).not.toContain('core.set_options');
  });

  it('hands the error of a job on as a refusal', async () => {
    const clock = new FakeClock();
    const deadline = deadlineAfter(clock, 10_000, 'test');
    const failed = job('FAILED', { error: '[EFAULT] no', exc_info: { type: 'CallError', errno: 14, extra: null } });
    const { connection } = connect(clock, (method) => (method === 'core.get_jobs' ? failed : 5));
    expect(await failure(finishJob({ connection, release: '25.04', request: start, clock, deadline }))).toBeInstanceOf(RefusedError);
  });

  it('does not know the outcome of a job that it cannot see any more', async () => {
    const clock = new FakeClock();
    const deadline = deadlineAfter(clock, 10_000, 'test');
    const { connection } = connect(clock, (method) => (method === 'core.get_jobs' ? [] : 5));
    const request = { connection, release: '25.04', request: start, clock, deadline } as const;
    expect(await failure(finishJob(request))).toBeInstanceOf(OutcomeUnknownError);
  });
});
