import type { ArrayConnection, Pool } from '../core/array-port.ts';
import type { StorageError } from '../core/errors.ts';
import { Hysteresis } from './hysteresis.ts';
import { limitText } from './inspect/session.ts';
import { isUnusable, poolText } from './inspect/pool.ts';
import { LOW_SPACE } from './inspect/space.ts';

/** Why a storage is not healthy. */
export type ReasonCode =
  | 'refused'
  | 'unreachable'
  | 'reconnecting'
  | 'login-window'
  | 'dataset'
  | 'pool'
  | 'service'
  | 'portal'
  | 'renewal'
  | 'rate-limit'
  | 'slow'
  | 'retrying'
  | 'space';

export interface StateReason {
  readonly code: ReasonCode;
  readonly message: string;
}

/**
 * `healthy`; `degraded`: volumes can be used and made, but something wants attention; `down`: TrueNAS cannot be asked, refuses
 * the login, or says itself that dataset or pool cannot be used. Guests that run go on in all three.
 */
export interface StorageState {
  readonly state: 'healthy' | 'degraded' | 'down';
  /** ms since the epoch: when it came into this state; for a lost session when that was lost */
  readonly since: number;
  /** The gravest first; empty when healthy. */
  readonly reasons: readonly StateReason[];
}

/** What is known of a storage at one moment, gathered without a call. */
export interface StorageFacts {
  /** ms since the epoch */
  readonly now: number;
  readonly connection: ArrayConnection;
  /** `host:port` of the API, for messages */
  readonly api: string;
  /** Why the array says that the dataset cannot be used; null: it can, or was not asked yet. */
  readonly datasetError: StorageError | null;
  /** bytes; null: not known */
  readonly space: { readonly used: number; readonly available: number } | null;
  /** null: not known */
  readonly pool: Pool | null;
  readonly serviceRunning: boolean | null;
  readonly portals: number;
  /** Portals that do not answer, as `address:port`. */
  readonly deadPortals: readonly string[];
  /** The last look of the watch at how fast the array answers; null: none yet. */
  readonly probe: Probe | null;
}

export interface Probe {
  /** Counts the looks, so that one is not taken for two. */
  readonly count: number;
  /** ms an authenticated call took; Infinity: no answer in time */
  readonly ms: number;
}

/** A storage whose session was lost is `degraded` for this long before it is `down`: reconnecting takes a second or two. ms */
export const GRACE_MS = 5_000;
/** ms for an answer: slow from the first on, fast below the second; in between neither. */
export const ANSWER_MS = { slow: 1_000, fast: 500 } as const;
/** How many slow answers in a row make a storage slow, and how many fast ones end it. */
const ANSWERS = { on: 3, off: 3 } as const;
/** Reads repeated within five minutes: from the first on it is retrying, until not more than the second. */
const RETRIES = { on: 3, off: 1 } as const;
/** Share of the dataset below which low space is over again. */
const SPACE_OFF = LOW_SPACE.warning - 0.02;

/**
 * The one place that judges a storage. It remembers only what keeps it from flapping: since when there is no session, and the
 * last answers. Judging costs nothing and may be done at any time; the same facts twice change nothing.
 */
export class StateJudge {
  readonly #slow = new Hysteresis(ANSWERS);
  readonly #retrying = new Hysteresis({ on: 1, off: 1 });
  readonly #lowSpace = new Hysteresis({ on: 1, off: 1 });
  #probes = 0;
  /** A session stood at some time. */
  #stood = false;
  #lostAt: number | null = null;
  #last: StorageState | null = null;

  /** The verdict of the last call; null before the first. */
  get last(): StorageState | null {
    return this.#last;
  }

  judge(facts: StorageFacts): StorageState {
    const ready = facts.connection.state === 'ready';
    if (ready) {
      this.#stood = true;
      this.#lostAt = null;
    } else this.#lostAt ??= Math.min(facts.now, facts.connection.since);
    const { state, reasons } = ready ? this.#withSession(facts) : this.#withoutSession(facts, this.#lostAt ?? facts.now);
    const since = this.#last?.state === state ? this.#last.since : state === 'down' ? (this.#lostAt ?? facts.now) : facts.now;
    this.#last = { state, since, reasons };
    return this.#last;
  }

  #withoutSession(facts: StorageFacts, lostAt: number): Omit<StorageState, 'since'> {
    const { connection, now, api } = facts;
    const why = connection.error?.message ?? `TrueNAS at ${api} does not answer`;
    const limit = limitText(connection, now);
    if (connection.state === 'refused' || connection.state === 'closed') return down('refused', why);
    if (this.#stood && now - lostAt <= GRACE_MS) {
      return { state: 'degraded', reasons: [{ code: 'reconnecting', message: `the session was lost, reconnecting: ${limit ?? why}` }] };
    }
    if (limit !== null) return down('login-window', limit);
    if (connection.error !== null) return down('unreachable', why);
    const seconds = Math.max(0, Math.round((now - connection.since) / 1000));
    const step = connection.step === null ? '' : `, still at ${connection.step}`;
    return down(
      'unreachable',
      connection.state === 'connecting' ? `${why}, connecting for ${seconds} s${step}` : `not connected to ${api} yet`,
    );
  }

  #withSession(facts: StorageFacts): Omit<StorageState, 'since'> {
    const { datasetError, pool } = facts;
    if (datasetError !== null) return down('dataset', datasetError.message);
    if (pool !== null && isUnusable(pool)) return down('pool', poolText(pool));
    const reasons = [...brokenParts(facts), ...this.#tiredParts(facts)];
    return { state: reasons.length === 0 ? 'healthy' : 'degraded', reasons };
  }

  /** What is judged over several looks. */
  #tiredParts({ connection, probe, space, now }: StorageFacts): StateReason[] {
    const reasons: StateReason[] = [];
    const limit = limitText(connection, now);
    if (limit !== null) reasons.push({ code: 'rate-limit', message: limit });
    if (probe !== null && probe.count !== this.#probes) {
      this.#probes = probe.count;
      this.#slow.see(probe.ms >= ANSWER_MS.slow ? true : probe.ms < ANSWER_MS.fast ? false : null);
    }
    if (this.#slow.on && probe !== null) reasons.push({ code: 'slow', message: slowText(probe.ms) });
    const retries = connection.recentRetries;
    this.#retrying.see(retries >= RETRIES.on ? true : retries <= RETRIES.off ? false : null);
    if (this.#retrying.on) reasons.push({ code: 'retrying', message: `${retries} reads had to be repeated within five minutes` });
    const share = space === null || space.used + space.available === 0 ? null : space.used / (space.used + space.available);
    if (share !== null) this.#lowSpace.see(share >= LOW_SPACE.warning ? true : share < SPACE_OFF ? false : null);
    if (this.#lowSpace.on && share !== null)
      reasons.push({ code: 'space', message: `${Math.round(share * 100)} % of the dataset is used` });
    return reasons;
  }
}

/** What the array or a portal positively said. */
function brokenParts({ pool, serviceRunning, portals, deadPortals, connection }: StorageFacts): StateReason[] {
  const reasons: StateReason[] = [];
  const { renewalError } = connection;
  // The next attempt may cure what is only unavailable; a key that is no longer accepted stays so, and the session ends some day.
  if (renewalError !== null && renewalError.kind !== 'unavailable') {
    reasons.push({ code: 'renewal', message: `the session could not be renewed: ${renewalError.message}` });
  }
  if (serviceRunning === false) reasons.push({ code: 'service', message: 'the iSCSI service is not running' });
  if (pool !== null && (pool.status !== 'ONLINE' || !pool.healthy)) reasons.push({ code: 'pool', message: poolText(pool) });
  if (deadPortals.length > 0) {
    const which = deadPortals.length === 1 ? `portal ${deadPortals[0] ?? ''} does` : `portals ${deadPortals.join(', ')} do`;
    const rest = deadPortals.length < portals ? `, ${portals - deadPortals.length} of ${portals} portals left` : '';
    reasons.push({ code: 'portal', message: `${which} not answer${rest}` });
  }
  return reasons;
}

function slowText(ms: number): string {
  return Number.isFinite(ms)
    ? `TrueNAS answers slowly, the last answer took ${(ms / 1000).toFixed(1)} s`
    : 'TrueNAS leaves calls unanswered';
}

function down(code: ReasonCode, message: string): Omit<StorageState, 'since'> {
  return { state: 'down', reasons: [{ code, message }] };
}

/** The reasons in one line. */
export function reasonText({ reasons }: StorageState): string {
  return reasons.map(({ message }) => message).join('; ');
}
