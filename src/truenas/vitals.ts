import type { Meter } from '../core/metrics.ts';
import type { Clock } from '../core/ports.ts';
import { isSlow } from './call-limits.ts';
import type { ApiRequest } from './wire/request.ts';

/** ok: a result; refused: an error answer; unknown: no answer; unsent: it never left this node. */
export type CallOutcome = 'ok' | 'refused' | 'unknown' | 'unsent';

const RECENT_MS = 300_000;
/** Weight of the newest round trip: some calls in a row show a slow array, one alone does not. */
const NEWEST = 0.3;
/** bytes; larger answers say more about the list than about the way */
const SMALL_ANSWER = 64 * 1024;

/** How the session with one array fares: what `health` asks for, and the numbers of the meter. */
export class Vitals {
  readonly #clock: Clock;
  readonly #meter: Meter;
  readonly #array: string;
  #latencyMs: number | null = null;
  #heardAt = 0;
  #answeredAt = 0;
  #retries: number[] = [];

  /** `array`: host:port, the label of the metrics. */
  constructor(clock: Clock, meter: Meter, array: string) {
    this.#clock = clock;
    this.#meter = meter;
    this.#array = array;
  }

  get latencyMs(): number | null {
    return this.#latencyMs === null ? null : Math.round(this.#latencyMs * 10) / 10;
  }

  /** Monotonic ms of the last answer that only a logged-in session is given. */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  /** ms since the epoch; 0: never */
  get heardAt(): number {
    return this.#heardAt;
  }

  get recentRetries(): number {
    const oldest = this.#clock.monotonic() - RECENT_MS;
    this.#retries = this.#retries.filter((at) => at > oldest);
    return this.#retries.length;
  }

  sent(bytes: number): void {
    this.#meter.count('pve_truenas_api_sent_bytes_total', { array: this.#array }, bytes);
  }

  received(bytes: number): void {
    this.#meter.count('pve_truenas_api_received_bytes_total', { array: this.#array }, bytes);
  }

  /** Something came on a logged-in session. */
  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  /** A call has ended. `bytes`: size of its answer. */
  settled(request: ApiRequest<unknown>, outcome: CallOutcome, ms: number, bytes: number): void {
    const labels = { array: this.#array, method: request.method, outcome };
    this.#meter.observe('pve_truenas_api_call_duration_seconds', labels, ms / 1000);
    if (outcome !== 'ok' || request.method.startsWith('auth.')) return;
    this.#answeredAt = this.#clock.monotonic();
    if (request.effect === 'change' || isSlow(request.method) || bytes > SMALL_ANSWER) return;
    this.#latencyMs = this.#latencyMs === null ? ms : this.#latencyMs + NEWEST * (ms - this.#latencyMs);
  }

  /** A call is made again. `reason`: code of what failed. */
  retried(reason: string): void {
    this.#retries.push(this.#clock.monotonic());
    this.#meter.count('pve_truenas_api_retries_total', { array: this.#array, reason });
  }

  /** A login was sent and has ended: `ok` or the error code. */
  login(outcome: string): void {
    this.#meter.count('pve_truenas_logins_total', { array: this.#array, outcome });
  }

  /** A session was replaced. `reason`: max-age, expired, or the error code of the loss. */
  reconnected(reason: string): void {
    this.#meter.count('pve_truenas_reconnects_total', { array: this.#array, reason });
  }

  /** A caller has to wait for a limit of the array. `reason`: error code of the limit. */
  heldBack(reason: string): void {
    this.#meter.count('pve_truenas_rate_limit_waits_total', { array: this.#array, reason });
  }
}
