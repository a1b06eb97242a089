import type { Clock } from '../core/ports.ts';

/** TrueNAS ends sessions 30 days after the login (truenas-api 3.2, F-002); ours are replaced well before. */
const OLDEST_MS = 28 * 86_400_000;
/** ms without an authenticated answer after which one is asked for: 25.x keeps the socket of an expired session open (F-002). */
const PROVE_MS = 60_000;
/** Nodes that were started together do not renew together. */
const JITTER = 0.1;
/** ms: Node's timers hold 24 days at most, and a clock may jump. */
const LOOK_MS = 3_600_000;
const RETRY = { first: 60_000, longest: 900_000 };

export interface UpkeepOptions {
  readonly clock: Clock;
  /** ms, `api_connection_max_age` */
  readonly maxAgeMs: () => number;
  /** monotonic ms of the last authenticated answer */
  readonly answeredAt: () => number;
  /** Asks for an authenticated answer. Never rejects. */
  readonly prove: () => Promise<void>;
  /** Replaces the session. Resolves to false when that has to be tried later, or to the ms after which. */
  readonly renew: () => Promise<boolean | number>;
}

/** Looks after a session that stands: has it replaced before it is too old, and proven when nobody else asks anything. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  #renewAt = 0;
  #failures = 0;
  #generation = 0;
  #cancel: () => void = () => undefined;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  /** A session stands since then (monotonic ms), or its settings are others now. */
  start(since: number): void {
    const { maxAgeMs } = this.#options;
    this.stop();
    this.#failures = 0;
    this.#renewAt = since + Math.min(maxAgeMs(), OLDEST_MS) * (1 - JITTER * Math.random());
    this.#arm();
  }

  stop(): void {
    this.#generation += 1;
    this.#cancel();
  }

  #arm(): void {
    const { clock, answeredAt } = this.#options;
    const now = clock.monotonic();
    const due = Math.min(this.#renewAt, Math.max(answeredAt(), now - PROVE_MS) + PROVE_MS);
    this.#cancel = clock.after(Math.min(Math.max(due - now, 1), LOOK_MS), () => void this.#look());
  }

  async #look(): Promise<void> {
    const { clock, answeredAt, prove, renew } = this.#options;
    const generation = this.#generation;
    const now = clock.monotonic();
    if (now >= this.#renewAt) {
      const outcome = await renew();
      // A new session, or none: whoever made it so has started or stopped us.
      if (generation !== this.#generation) return;
      const pause = typeof outcome === 'number' ? outcome : Math.min(RETRY.first * 2 ** this.#failures, RETRY.longest);
      if (typeof outcome !== 'number') this.#failures += 1;
      this.#renewAt = clock.monotonic() + pause;
    } else if (now - answeredAt() >= PROVE_MS) {
      await prove();
      if (generation !== this.#generation) return;
      // Not proven, and not lost either: the next look is a while away.
      if (clock.monotonic() - answeredAt() >= PROVE_MS) {
        this.#cancel = clock.after(PROVE_MS, () => void this.#look());
        return;
      }
    }
    this.#arm();
  }
}
