import type { Clock } from '../../src/core/ports.ts';
import type { SimRelease } from '../api/contract.ts';

/** nginx cuts a connection on which the server sends nothing for so long, in ms (truenas-api 1). */
export const IDLE_MS: Readonly<Record<SimRelease, number>> = { '25.04': 60_000, '25.10': 60_000, '26.0': 3_600_000 };

/** Calls `cut` when the server has sent nothing for the release's time. */
export class IdleCut {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #cut: () => void;
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor(clock: Clock, release: SimRelease, cut: () => void) {
    this.#clock = clock;
    this.#ms = IDLE_MS[release];
    this.#cut = cut;
    this.sent();
  }

  /** Something went to the client: the time starts anew. */
  sent(): void {
    this.#cancel?.();
    if (!this.#stopped) this.#cancel = this.#clock.after(this.#ms, this.#cut);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }
}
