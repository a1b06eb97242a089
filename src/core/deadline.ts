import { formatDuration } from './durations.ts';
import { StorageError } from './errors.ts';
import type { Clock, Deadline } from './ports.ts';

export interface OwnedDeadline extends Deadline {
  /** Releases the timer; call it when the work is over. */
  release(): void;
  /** Ends it before its time, with this reason. */
  cancel(reason: Error): void;
}

/** A piece of work under way, and the pieces that it waits for in turn. */
interface Step {
  readonly what: string;
  /** monotonic ms */
  readonly since: number;
  readonly clock: Clock;
  readonly inner: Set<Step>;
}

/** The work that each deadline's signal stands for: whoever runs out of time can tell at which step. */
const steps = new WeakMap<AbortSignal, Step>();

/**
 * A deadline `ms` from now (range 1..86_400_000, clamped). Its signal aborts with a StorageError `DEADLINE`, which names the
 * steps that were under way, at that time, or as soon as `parent` aborts, with the parent's reason.
 */
export function deadlineAfter(clock: Clock, ms: number, what: string, parent?: AbortSignal): OwnedDeadline {
  const span = Math.min(Math.max(Math.ceil(ms), 1), 86_400_000);
  const begun = clock.monotonic();
  const controller = new AbortController();
  const { signal } = controller;
  const abort = (reason: unknown): void => controller.abort(reason);
  const finished = begin(signal, parent, { what, since: begun, clock, inner: new Set() });
  const cancelTimer = clock.after(span, () => abort(ranOut(what, span, signal)));
  const onParent = (): void => abort(parent?.reason);
  if (parent?.aborted) onParent();
  else parent?.addEventListener('abort', onParent, { once: true });
  const release = (): void => {
    finished();
    cancelTimer();
    parent?.removeEventListener('abort', onParent);
  };
  return {
    signal,
    remaining: () => (signal.aborted ? 0 : Math.max(0, begun + span - clock.monotonic())),
    release,
    cancel: (reason) => {
      abort(reason);
      release();
    },
  };
}

function begin(signal: AbortSignal, parent: AbortSignal | undefined, step: Step): () => void {
  steps.set(signal, step);
  const outer = parent === undefined ? undefined : steps.get(parent);
  outer?.inner.add(step);
  return () => outer?.inner.delete(step);
}

function ranOut(what: string, span: number, signal: AbortSignal): StorageError {
  const at = stepsOf(signal);
  const where = at.length === 0 ? '' : `; under way: ${at.join(', ')}`;
  return new StorageError('DEADLINE', `${what}: not done within ${formatDuration(span)}${where}`, { facts: { ms: span, steps: at } });
}

/** What is being done under a deadline; made by `beginStep`. */
export interface RunningStep {
  /** This step is over, the next one begins. */
  next(what: string): void;
  end(): void;
  /** For the error of whoever ran out of time: `TLS handshake with nas:443 was not done after 4.2 s`. */
  ranOut(): string;
}

/** Says what is done next under a deadline, so that its end can name it. Nested deadlines are steps of their parents by themselves. */
export function beginStep(deadline: Deadline, first: string): RunningStep {
  const outer = steps.get(deadline.signal);
  let what = first;
  let step: Step | null = null;
  const end = (): void => {
    if (step !== null) outer?.inner.delete(step);
  };
  const next = (name: string): void => {
    end();
    what = name;
    if (outer === undefined) return;
    step = { what, since: outer.clock.monotonic(), clock: outer.clock, inner: new Set() };
    outer.inner.add(step);
  };
  next(first);
  return {
    next,
    end,
    ranOut: () => `${what} was not done ${step === null ? 'in time' : `after ${formatDuration(step.clock.monotonic() - step.since)}`}`,
  };
}

/** The innermost steps under way, each with the time that it took so far: `TLS handshake with nas:443 (4.2 s)`; at most three. */
export function stepsOf(signal: AbortSignal): readonly string[] {
  const own = steps.get(signal);
  if (own === undefined) return [];
  const found = innermost(own).filter((step) => step !== own);
  return found.slice(0, 3).map((step) => `${step.what} (${formatDuration(step.clock.monotonic() - step.since)})`);
}

function innermost(step: Step): readonly Step[] {
  return step.inner.size === 0 ? [step] : [...step.inner].flatMap(innermost);
}

/** Runs `work` under a deadline and releases it afterwards. */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: (deadline: Deadline) => Promise<T>,
  parent?: AbortSignal,
): Promise<T> {
  const deadline = deadlineAfter(clock, ms, what, parent);
  try {
    return await work(deadline);
  } finally {
    deadline.release();
  }
}
