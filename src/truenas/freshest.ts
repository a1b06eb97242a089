import { deadlineAfter, type OwnedDeadline } from '../core/deadline.ts';
import type { Clock, Deadline } from '../core/ports.ts';

/** ms: an array that was down answers a new connection at once, while one that was begun before may hang until its end. */
const AGAIN_MS = 5_000;
const AT_ONCE = 3;

/**
 * Tries until the deadline and tries afresh, beside what hangs, every 5 s: so a slow way has all of its time, and an array that
 * comes back is noticed within seconds. The first success counts, or the first failure, which is news, too. Late successes
 * are given to `discard`.
 */
export function freshest<T>(
  clock: Clock,
  deadline: Deadline,
  attempt: (own: Deadline) => Promise<T>,
  discard: (late: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const running: OwnedDeadline[] = [];
    let settled = false;
    let stopTimer: () => void = () => undefined;
    const settle = (give: () => void): void => {
      if (settled) return;
      settled = true;
      stopTimer();
      give();
      for (const own of running.splice(0)) own.cancel(new Error('another attempt was faster'));
    };
    const start = (): void => {
      // The oldest one goes on: on a slow way only it may ever succeed.
      if (running.length >= AT_ONCE) running.splice(1, 1)[0]?.cancel(new Error('a newer attempt takes over'));
      const own = deadlineAfter(clock, deadline.remaining(), 'connecting', deadline.signal);
      running.push(own);
      const over = (): void => {
        own.release();
        const at = running.indexOf(own);
        if (at >= 0) running.splice(at, 1);
      };
      attempt(own).then(
        (value) => {
          over();
          if (settled) discard(value);
          else settle(() => resolve(value));
        },
        (error: unknown) => {
          // One that was cancelled for a newer one says nothing. At the deadline the oldest one has the longest story to tell.
          const tells = deadline.signal.aborted ? running[0] === own : running.includes(own);
          over();
          if (tells) settle(() => reject(error instanceof Error ? error : new Error(String(error))));
        },
      );
      stopTimer = clock.after(AGAIN_MS, start);
    };
    start();
  });
}
