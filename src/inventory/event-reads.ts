import type { Clock, Deadline } from '../core/ports.ts';

/** ms that an event without entry may wait for the answer of our own change before the object is read. */
const SETTLE_MS = 1_500;

export interface EventRead {
  /** Nobody has told yet what the event is about. */
  readonly isOpen: () => boolean;
  readonly run: (deadline: Deadline) => Promise<unknown>;
}

/**
 * Reads after events that name an object only. Our own changes put their result into the inventory themselves, so each read
 * waits for that first: one for each of our own changes would double the load on the array.
 */
export class EventReads {
  readonly #clock: Clock;
  readonly #background: (run: EventRead['run']) => void;
  readonly #waiting = new Map<string, EventRead & { readonly cancel: () => void }>();

  constructor(clock: Clock, background: (run: EventRead['run']) => void) {
    this.#clock = clock;
    this.#background = background;
  }

  /** Plans the read of the object `key`, in place of one that waits already. */
  plan(key: string, read: EventRead): void {
    this.#waiting.get(key)?.cancel();
    const cancel = this.#clock.after(SETTLE_MS, () => {
      this.#waiting.delete(key);
      if (read.isOpen()) this.#background(read.run);
    });
    this.#waiting.set(key, { ...read, cancel });
  }

  /** Makes the reads now that are still needed, of keys that begin with `prefix`; no call when there are none. */
  async settle(prefix: string, deadline: Deadline): Promise<void> {
    const open = [...this.#waiting].filter(([key, read]) => key.startsWith(prefix) && read.isOpen());
    await Promise.all(open.map(([, read]) => read.run(deadline)));
  }

  stop(): void {
    for (const read of this.#waiting.values()) read.cancel();
    this.#waiting.clear();
  }
}
