import type { Clock } from '../../src/core/ports.ts';

interface Pending {
  /** virtual monotonic time, ms */
  readonly due: number;
  readonly run: () => void;
  cancel: () => void;
}

/**
 * A clock that can be moved forward by hand (control command `clock-advance`), so that session expiry, rate limits and
 * idle cuts are seen without waiting. Timers that become due by an advance run at once.
 */
export class SimClock implements Clock {
  /** The clock behind: what it times is not moved by `advance`. */
  readonly base: Clock;
  readonly #pending = new Set<Pending>();
  #offset = 0;

  constructor(base: Clock) {
    this.base = base;
  }

  now(): number {
    return this.base.now() + this.#offset;
  }

  monotonic(): number {
    return this.base.monotonic() + this.#offset;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason as Error);
      };
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  after(ms: number, run: () => void): () => void {
    const entry: Pending = { due: this.monotonic() + Math.max(0, ms), run, cancel: () => undefined };
    this.#pending.add(entry);
    this.#arm(entry);
    return () => {
      this.#pending.delete(entry);
      entry.cancel();
    };
  }

  /** Moves the clock forward by `ms` (>= 0) and runs what became due, oldest first. */
  advance(ms: number): void {
    this.#offset += Math.max(0, ms);
    const now = this.monotonic();
    const due = [...this.#pending].filter((entry) => entry.due <= now).sort((a, b) => a.due - b.due);
    for (const entry of this.#pending) entry.cancel();
    for (const entry of due) if (this.#pending.delete(entry)) entry.run();
    for (const entry of this.#pending) {
      entry.cancel();
      this.#arm(entry);
    }
  }

  #arm(entry: Pending): void {
    // A timer of Node holds at most 2^31-1 ms; a longer wait is taken in turns.
    const left = Math.min(Math.max(0, entry.due - this.monotonic()), 2_000_000_000);
    entry.cancel = this.base.after(left, () => {
      if (!this.#pending.has(entry)) return;
      if (entry.due - this.monotonic() > 0.5) {
        this.#arm(entry);
        return;
      }
      this.#pending.delete(entry);
      entry.run();
    });
  }
}
