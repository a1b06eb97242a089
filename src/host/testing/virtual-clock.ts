import type { Clock } from '../../core/ports.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  run(): void;
}

/**
 * A clock whose time passes only when everything else has come to rest: as soon as no promise is left to run, it jumps to the next timer.
 * Everything under test must be in memory (no real I/O), else it jumps too early.
 */
export class VirtualClock implements Clock {
  #time = 1000;
  #order = 0;
  #pumping = false;
  readonly #timers = new Set<Timer>();

  now(): number {
    return 1_700_000_000_000 + this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    let onAbort: () => void = () => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const cancel = this.#add(ms, resolve, true);
        onAbort = () => {
          cancel();
          reject(signal?.reason as Error);
        };
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  after(ms: number, run: () => void): () => void {
    return this.#add(ms, run, false);
  }

  #add(ms: number, run: () => void, drives: boolean): () => void {
    const timer: Timer = { at: this.#time + Math.max(0, ms), order: (this.#order += 1), run };
    this.#timers.add(timer);
    if (drives) this.#pump();
    return () => this.#timers.delete(timer);
  }

  /** Only sleeps drive the time: a deadline's timer alone must not run off while somebody merely computes. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    const step = (): void => {
      const next = [...this.#timers].sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (next === undefined) {
        this.#pumping = false;
        return;
      }
      this.#timers.delete(next);
      this.#time = Math.max(this.#time, next.at);
      next.run();
      setImmediate(step);
    };
    setImmediate(step);
  }
}
