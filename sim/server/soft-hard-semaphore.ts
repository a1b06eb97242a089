/** Raised for the call above the hard limit. */
export class TooManyCalls extends Error {
  readonly limit: number;
  constructor(limit: number) {
    super(`Maximum number of concurrent calls (${limit}) has exceeded`);
    this.limit = limit;
  }
}

/** `soft` calls run, up to `hard` (running and queued) are admitted, the next is refused (truenas-api 2: 10 and 20). */
export class SoftHardSemaphore {
  readonly #soft: number;
  readonly #hard: number;
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #admitted = 0;

  constructor(soft: number, hard: number) {
    this.#soft = soft;
    this.#hard = hard;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#admitted >= this.#hard) throw new TooManyCalls(this.#hard);
    this.#admitted += 1;
    try {
      if (this.#running >= this.#soft) await new Promise<void>((resolve) => this.#queue.push(resolve));
      else this.#running += 1;
      try {
        return await work();
      } finally {
        const next = this.#queue.shift();
        if (next === undefined) this.#running -= 1;
        else next();
      }
    } finally {
      this.#admitted -= 1;
    }
  }
}
