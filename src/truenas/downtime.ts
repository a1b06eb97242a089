import type { Clock } from '../core/ports.ts';

/** ms for which a lost session is waited for by whoever has the time; then the array counts as down. */
const RIDE_OUT_MS = 15_000;
/** ms after the last question in which an array that was never reached is tried by itself. */
const INTEREST_MS = 600_000;
/** ms that a session must have stood for its loss to be no part of a series. */
const LONG_MS = 60_000;

/** What is known of the time without a session: since when, why, and whether it is worth waiting for. */
export class Downtime {
  readonly #clock: Clock;
  #stoodBefore = false;
  #readyAt = 0;
  #lostAt = 0;
  #because = 'none';
  #failures = 0;
  #wantedAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Attempts that failed since there was a session. */
  get failures(): number {
    return this.#failures;
  }

  /** Attempts failed, and it is no short loss. */
  get isDown(): boolean {
    return this.#failures > 0 && (!this.#stoodBefore || this.#clock.monotonic() - this.#lostAt > RIDE_OUT_MS);
  }

  /** Whether anybody would be glad of a session: one was there, or was asked for in the last minutes. */
  get isMissed(): boolean {
    return this.#stoodBefore || this.#clock.monotonic() - this.#wantedAt < INTEREST_MS;
  }

  /** Whether the last session stood for more than a minute. */
  get stoodLong(): boolean {
    return this.#clock.monotonic() - this.#readyAt > LONG_MS;
  }

  /** Somebody asks for a session. */
  wanted(): void {
    this.#wantedAt = this.#clock.monotonic();
  }

  failed(): void {
    this.#failures += 1;
  }

  /** The session is gone. `because`: reason for the metrics. */
  lost(because: string): void {
    this.#lostAt = this.#clock.monotonic();
    this.#because = because;
  }

  /** A session stands. Returns why the last one was lost, or null when there was none before. */
  over(): string | null {
    const because = this.#stoodBefore ? this.#because : null;
    this.#stoodBefore = true;
    this.#readyAt = this.#clock.monotonic();
    this.#failures = 0;
    return because;
  }
}
