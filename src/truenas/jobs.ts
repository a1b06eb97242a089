import type { Release } from '../core/array-port.ts';
import { NotSentError, OutcomeUnknownError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { callOn, understood } from './call.ts';
import type { Connection } from './connection.ts';
import { refusal } from './error-map.ts';
import type { ApiRequest } from './wire/request.ts';
import { answerJobsWithResults, type JobRow, jobQuery } from './wire/session.ts';

const POLL_MS = 500;
const METHOD_CALL_ERROR = -32001;

/** Connections that were told to answer job calls with the job's result. */
const told = new WeakSet<Connection>();

/** From 25.10 on a connection can be told, once, to answer with results; said when the first job is started, to save a call. */
export async function prepareForJobs(connection: Connection, release: Release, deadline: Deadline): Promise<void> {
  if (release === '25.04' || told.has(connection)) return;
  await callOn(connection, answerJobsWithResults(), deadline);
  told.add(connection);
}

interface JobCall<T> {
  readonly connection: Connection;
  readonly release: Release;
  readonly request: ApiRequest<T>;
  readonly clock: Clock;
  readonly deadline: Deadline;
}

/**
 * Starts a job and waits for its end: by the answer itself, on 25.04 by asking for the job (truenas-api 5). Once it is started, a
 * failure to ask leaves the outcome unknown. Errors: as callOn; those of the job as refusals.
 */
export async function finishJob<T>(call: JobCall<T>): Promise<T> {
  const { connection, release, request, deadline } = call;
  const answer = await connection.call(request, deadline);
  if (release !== '25.04' || typeof answer !== 'number') return understood(request, answer);
  try {
    return await pollJob(call, answer);
  } catch (error) {
    if (error instanceof JobRefused) throw refusal(request, error.wire);
    throw new OutcomeUnknownError('OUTCOME_UNKNOWN', `${request.what}: the end of job ${answer} was not seen`, { cause: error });
  }
}

async function pollJob<T>(call: JobCall<T>, id: number): Promise<T> {
  for (;;) {
    const row = await look(call, id);
    if (row === undefined) throw new Error(`TrueNAS knows no job ${id}`);
    if (row !== 'later') {
      if (row.state === 'SUCCESS') return understood(call.request, row.result);
      if (row.state === 'FAILED' || row.state === 'ABORTED') throw new JobRefused(row);
    }
    await call.clock.sleep(POLL_MS, call.deadline.signal);
  }
}

/** The job, or `later` when TrueNAS has too many calls to do to be asked just now. */
async function look(call: JobCall<unknown>, id: number): Promise<JobRow | undefined | 'later'> {
  try {
    return (await callOn(call.connection, jobQuery(id), call.deadline))[0];
  } catch (error) {
    if (error instanceof NotSentError && error.code === 'TOO_MANY_CALLS') return 'later';
    throw error;
  }
}

/** A job that failed, in the shape of an error answer. */
class JobRefused extends Error {
  readonly wire;

  constructor(row: JobRow) {
    super(row.error ?? `job ${row.id} was ${row.state.toLowerCase()}`);
    this.wire = {
      code: METHOD_CALL_ERROR,
      message: this.message,
      data: { error: row.exc_info?.errno ?? 14, reason: `[JOB] ${this.message}`, extra: row.exc_info?.extra ?? null },
    };
  }
}
