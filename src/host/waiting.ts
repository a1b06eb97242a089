import { StorageError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import type { SysFiles } from './sys-files.ts';

export interface WaitOptions {
  readonly clock: Clock;
  readonly files: SysFiles;
  readonly deadline: Deadline;
  /** Give up after this many ms even when the deadline is later. */
  readonly atMostMs?: number;
  /** Directories whose changes wake the wait at once. */
  readonly watch?: readonly string[];
  /**
   * Which of their entries matter; default: all. Where many wait for names of their own at once, each would look at every name of the
   * others and keep the processor from those who make them.
   */
  readonly entries?: (name: string) => boolean;
}

/** First and longest pause between two looks, ms: udev needs 1-3 s (RP-10), sysfs tells nobody. */
const FIRST_POLL_MS = 50;
const LAST_POLL_MS = 500;
const AFTER_EVENT_MS = 20;

/**
 * Looks until `look` answers something else than undefined. Wakes by event where there is one (F-106) and by a bounded poll anyway.
 * Answers undefined when the time is over; the caller says what that means. A deadline that was cancelled for another reason than its
 * time is reported as that reason by the next call that uses it.
 */
export async function waitFor<T>(options: WaitOptions, look: () => Promise<T | undefined>): Promise<T | undefined> {
  const { clock, files, deadline } = options;
  const end = clock.monotonic() + Math.min(options.atMostMs ?? Number.POSITIVE_INFINITY, deadline.remaining());
  let wake: () => void = () => undefined;
  const events = new Set<string>();
  const stops = (options.watch ?? []).map((path) =>
    files.watch(path, (name) => {
      if (name !== null && options.entries?.(name) === false) return;
      events.add(path);
      wake();
    }),
  );
  try {
    for (let pause = FIRST_POLL_MS; ; pause = Math.min(pause * 2, LAST_POLL_MS)) {
      events.clear();
      const found = await look();
      if (found !== undefined) return found;
      const left = end - clock.monotonic();
      if (left <= 0 || deadline.signal.aborted) return undefined;
      const woken = new AbortController();
      wake = () => woken.abort(new Error('woken'));
      // Something moved while we looked: look again soon, but never spin on a directory that changes all the time.
      await pauseFor(clock, Math.min(events.size > 0 ? AFTER_EVENT_MS : pause, left), deadline.signal, woken);
    }
  } finally {
    for (const stop of stops) stop();
  }
}

/** Ends after `ms`, or when either signal aborts; never fails. */
async function pauseFor(clock: Clock, ms: number, signal: AbortSignal, woken: AbortController): Promise<void> {
  const onAbort = (): void => woken.abort(signal.reason);
  if (signal.aborted) return;
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await clock.sleep(ms, woken.signal);
  } catch (error) {
    if (!woken.signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * After a wait that brought nothing: throws the reason when the work was cancelled (the daemon stops). When only its time ran out, the
 * caller knows better than "deadline" what did not come.
 */
export function throwIfCancelled(deadline: Deadline): void {
  const reason: unknown = deadline.signal.reason;
  if (deadline.signal.aborted && !(reason instanceof StorageError && reason.code === 'DEADLINE')) throw reason;
}

/**
 * Waits for work that cannot be interrupted (a write to sysfs sleeps in the kernel) only as long as the deadline allows; the work goes on
 * behind us and its failure is then of no interest to anybody.
 */
export async function within<T>(work: Promise<T>, deadline: Deadline): Promise<T> {
  const { signal } = deadline;
  work.catch(() => undefined);
  signal.throwIfAborted();
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
