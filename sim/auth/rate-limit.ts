const WINDOW_MS = 60_000;
const MAX_CALLS = 20;
const MAX_ENTRIES = 100;

/** No-auth methods that are counted while nobody is logged in (truenas-api 3.3); core.set_options is exempt. */
export const EXEMPT_METHODS: ReadonlySet<string> = new Set(['core.set_options']);

/** middlewared's limit on calls before login: 20 a minute per method and address, and a cache that only ever grows to 100. */
export class RateLimit {
  readonly #now: () => number;
  readonly #entries = new Map<string, { count: number; lastReset: number }>();

  constructor(monotonic: () => number) {
    this.#now = monotonic;
  }

  /** True when the call is to be refused. Counts in any case. */
  exceeded(method: string, address: string): boolean {
    const name = `${method}_${address}`;
    const now = this.#now();
    let entry = this.#entries.get(name);
    if (this.#entries.size === MAX_ENTRIES) return true;
    if (entry === undefined) {
      entry = { count: 0, lastReset: now };
      this.#entries.set(name, entry);
    } else if (now - entry.lastReset >= WINDOW_MS) {
      entry.count = 0;
      entry.lastReset = now;
    }
    entry.count += 1;
    return entry.count > MAX_CALLS;
  }

  clear(): void {
    this.#entries.clear();
  }
}
