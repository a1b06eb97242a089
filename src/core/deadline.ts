import { StorageError } from './errors.ts';
import type { Clock, Deadline } from './ports.ts';

export interface OwnedDeadline extends Deadline {
  /** Releases the timer; call it when the work is over. */
  release(): void;
}

/**
 * A deadline `ms` from now (range 1..86_400_000, clamped). Its signal aborts with a StorageError `DEADLINE`
 * at that time, or as soon as `parent` aborts, with the parent's reason.
 */
export function deadlineAfter(clock: Clock, ms: number, what: string, parent?: AbortSignal): OwnedDeadline {
  const span = Math.min(Math.max(Math.ceil(ms), 1), 86_400_000);
  const end = clock.monotonic() + span;
  const controller = new AbortController();
  const abort = (reason: unknown): void => controller.abort(reason);
  const cancel = clock.after(span, () => abort(new StorageError('DEADLINE', `${what}: not done within ${span} ms`)));
  const onParent = (): void => abort(parent?.reason);
  if (parent?.aborted) onParent();
  else parent?.addEventListener('abort', onParent, { once: true });
  return {
    signal: controller.signal,
    remaining: () => (controller.signal.aborted ? 0 : Math.max(0, end - clock.monotonic())),
    release: () => {
      cancel();
      parent?.removeEventListener('abort', onParent);
    },
  };
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
