import type { Clock } from '../core/ports.ts';

/** ms of silence after which a ping is sent: while calls wait for their answers, and while there is nothing to hear. */
const SILENCE = { waiting: 3_000, idle: 12_000 };
/** ms for the answer to a ping. TCP repeats a lost packet several times within it. */
const PONG_MS = 4_000;

export interface HeartbeatOptions {
  readonly clock: Clock;
  /** Sends a ping frame. */
  readonly ping: () => void;
  /** Bytes that came so far. */
  readonly received: () => number;
  /** True while calls wait for an answer. */
  readonly waiting: () => boolean;
  /** Called once: the peer gave no sign of life for so many ms. */
  readonly onDead: (silentMs: number) => void;
}

/**
 * Notices a peer that has gone without a word: within 7 s while calls wait, within 16 s otherwise. Idle connections are kept
 * open by the same pings: nginx of 25.x cuts one on which the server says nothing for 60 s (truenas-api 1).
 * Any byte is a sign of life, so a long answer on a slow way is none of death.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #heardAt: number;
  #bytes = 0;
  /** A ping was sent and nothing has come since. */
  #pinged = false;
  #waitingSince: number | null = null;
  #stopped = false;
  #cancel: () => void = () => undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#heardAt = options.clock.monotonic();
  }

  start(): void {
    this.alive();
    this.#arm(SILENCE.idle);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Something came from the peer. */
  alive(): void {
    this.#heardAt = this.#options.clock.monotonic();
    this.#bytes = this.#options.received();
    this.#pinged = false;
  }

  /** A call was sent: silence means more from now on. */
  expect(): void {
    if (this.#waitingSince !== null || this.#stopped) return;
    this.#waitingSince = this.#options.clock.monotonic();
    if (!this.#pinged) this.#arm(SILENCE.waiting);
  }

  #arm(ms: number): void {
    this.#cancel();
    if (!this.#stopped) this.#cancel = this.#options.clock.after(ms, () => this.#look());
  }

  #look(): void {
    const { clock, received, waiting } = this.#options;
    if (received() !== this.#bytes) this.alive();
    if (!waiting()) this.#waitingSince = null;
    if (this.#pinged) {
      this.stop();
      this.#options.onDead(clock.monotonic() - this.#heardAt);
      return;
    }
    const left = this.#patience() - (clock.monotonic() - Math.max(this.#heardAt, this.#waitingSince ?? 0));
    if (left > 0) {
      this.#arm(left);
      return;
    }
    this.#pinged = true;
    this.#arm(PONG_MS);
    this.#options.ping();
  }

  #patience(): number {
    return this.#waitingSince === null ? SILENCE.idle : SILENCE.waiting;
  }
}
