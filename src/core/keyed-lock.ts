/**
 * Serialises work on the same key, first come first served; different keys run in parallel. In-process only.
 * A caller that gives up while it waits (its signal aborts) leaves the queue at once; work that has begun is never
 * interrupted by the lock: it sees the same signal through its own deadline.
 */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Keys in use or waited for: 0 when everything is at rest. */
  get size(): number {
    return this.#tails.size;
  }

  /**
   * Runs `work` when everything queued before it under `key` has ended, and settles as `work` does. Rejects with the
   * signal's reason when that aborts before `work` began. Not re-entrant: `work` must not ask for its own key.
   */
  async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const before = this.#tails.get(key) ?? Promise.resolve();
    let release: () => void = () => undefined;
    const done = new Promise<void>((resolve) => {
      release = resolve;
    });
    // Whoever comes next waits for all before us as well: a caller that gave up must not let its successor overtake the one at work.
    const tail = before.then(() => done);
    this.#tails.set(key, tail);
    try {
      await raceAbort(before, signal);
      return await work();
    } finally {
      release();
      void tail.then(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key);
      });
    }
  }
}

async function raceAbort(waited: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([waited, aborted]);
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
