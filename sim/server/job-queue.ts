import { CallError, ERRNO, ValidationErrors, type EventMessage, type SimRelease } from '../api/contract.ts';
import { credentialsEntry, type Credentials } from '../auth/credentials.ts';
import { describeException } from './python-error.ts';
import { redactParams, redactResult } from './redact.ts';

const KEPT_JOBS = 1000;

export type JobState = 'WAITING' | 'RUNNING' | 'SUCCESS' | 'FAILED' | 'ABORTED';

interface Progress {
  percent: number | null;
  description: string | null;
}

export interface Job {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
  readonly messageIds: readonly unknown[];
  readonly credentials: Credentials | null;
  readonly description: string | null;
  readonly startedAt: number;
  readonly abort: AbortController;
  readonly progress: Progress;
  readonly finished: Promise<void>;
  state: JobState;
  result: unknown;
  error: unknown;
  finishedAt: number | null;
}

export interface JobStart {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly messageId: unknown;
  readonly credentials: Credentials | null;
  readonly description: string | null;
  run(job: Job): unknown;
}

/** middlewared's job queue: ids from 1, the last 1000 jobs are kept (truenas-api 5). */
export class JobQueue {
  readonly #release: SimRelease;
  readonly #now: () => number;
  readonly #emit: (event: EventMessage, job: Job) => void;
  readonly #jobs = new Map<number, Job>();
  #nextId = 1;

  constructor(release: SimRelease, now: () => number, emit: (event: EventMessage, job: Job) => void) {
    this.#release = release;
    this.#now = now;
    this.#emit = emit;
  }

  start(start: JobStart): Job {
    let settle: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (settle = resolve));
    const job: Job = {
      id: this.#nextId++,
      method: start.method,
      args: start.args,
      messageIds: start.messageId === undefined ? [] : [start.messageId],
      credentials: start.credentials,
      description: start.description,
      startedAt: this.#now(),
      abort: new AbortController(),
      progress: { percent: 0, description: '' },
      finished,
      state: 'WAITING',
      result: null,
      error: null,
      finishedAt: null,
    };
    this.#jobs.set(job.id, job);
    this.#emit({ msg: 'added', collection: 'core.get_jobs', id: job.id, fields: this.entry(job, false) }, job);
    void this.#work(job, start, settle);
    this.#prune();
    return job;
  }

  async #work(job: Job, start: JobStart, settle: () => void): Promise<void> {
    // The caller gets the job's id before the job runs.
    await Promise.resolve();
    job.state = 'RUNNING';
    this.#changed(job);
    const aborted = new Promise<never>((_resolve, reject) => {
      job.abort.signal.addEventListener('abort', () => reject(new JobAborted()), { once: true });
    });
    try {
      job.result = await Promise.race([Promise.resolve(start.run(job)), aborted]);
      job.state = 'SUCCESS';
      job.progress.percent = 100;
    } catch (error) {
      job.state = error instanceof JobAborted ? 'ABORTED' : 'FAILED';
      job.error = error;
    }
    job.finishedAt = this.#now();
    settle();
    this.#changed(job);
  }

  progress(job: Job, percent: number, description: string): void {
    job.progress.percent = Math.trunc(percent);
    if (description !== '') job.progress.description = description;
    this.#changed(job);
  }

  job(id: number): Job | undefined {
    return this.#jobs.get(id);
  }

  /** Jobs that this user may see: full administrators all, others their own. */
  visible(credentials: Credentials | null): readonly Job[] {
    const all = [...this.#jobs.values()];
    return credentials === null || credentials.roles.has('FULL_ADMIN') ? all : all.filter((job) => mayRead(job, credentials));
  }

  /** The finished job's result, or its error. */
  async outcome(job: Job): Promise<unknown> {
    await job.finished;
    if (job.state === 'SUCCESS') return job.result;
    throw job.error instanceof JobAborted ? new CallError('Job aborted', 'EFAULT') : job.error;
  }

  /** The item of core.get_jobs. Results are masked unless `raw` (options.extra.raw_result). */
  entry(job: Job, raw: boolean): Record<string, unknown> {
    return jobEntry(job, raw, this.#release);
  }

  #changed(job: Job): void {
    this.#emit({ msg: 'changed', collection: 'core.get_jobs', id: job.id, fields: this.entry(job, false) }, job);
  }

  #prune(): void {
    for (const [id, job] of this.#jobs) {
      if (this.#jobs.size <= KEPT_JOBS) return;
      if (job.finishedAt !== null) this.#jobs.delete(id);
    }
  }
}

class JobAborted extends Error {}

export function mayRead(job: Job, credentials: Credentials): boolean {
  return credentials.roles.has('FULL_ADMIN') || job.credentials?.user.username === credentials.user.username;
}

function date(ms: number | null): { readonly $date: number } | null {
  return ms === null ? null : { $date: Math.floor(ms / 1000) * 1000 };
}

function excInfo(error: unknown): Record<string, unknown> | null {
  if (error === null) return null;
  const described = describeException(error);
  if (error instanceof ValidationErrors) return { repr: described.repr, type: 'VALIDATION', errno: null, extra: error.items };
  const errno = error instanceof CallError ? ERRNO[error.errname] : null;
  return { repr: described.repr, type: described.className, errno, extra: described.extra };
}

function jobEntry(job: Job, raw: boolean, release: SimRelease): Record<string, unknown> {
  const failed = job.state === 'FAILED' ? describeException(job.error) : null;
  const credentials = job.credentials === null ? null : credentialsEntry(job.credentials, release);
  return {
    id: job.id,
    message_ids: job.messageIds,
    method: job.method,
    arguments: redactParams(job.method, job.args),
    transient: false,
    description: job.description,
    abortable: job.method === 'core.job_wait',
    logs_path: null,
    logs_excerpt: null,
    progress: { ...job.progress, extra: null },
    result: raw ? job.result : redactResult(job.method, job.result),
    result_encoding_error: null,
    error: failed === null ? null : failed.reason,
    exception: failed === null ? null : `Traceback (most recent call last):\n${failed.className}: ${failed.reason}\n`,
    exc_info: job.state === 'FAILED' ? excInfo(job.error) : null,
    state: job.state,
    time_started: date(job.startedAt),
    time_finished: date(job.finishedAt),
    credentials: credentials === null ? null : { type: credentials.credentials, data: credentials.credentials_data },
  };
}
