import { asStorageError, type StorageError } from '../core/errors.ts';
import type { Clock, Log } from '../core/ports.ts';
import type { ArrayGate } from './array-gate.ts';
import { type Attempts, readKey } from './attempt.ts';
import { type Established, isFinal } from './establish.ts';
import { prove } from './proof.ts';

/** ms for the proof that no event was missed while a session was replaced */
const PROOF_MS = 5_000;

export interface RenewalOptions {
  readonly apiKey: () => Promise<string>;
  readonly attempts: Attempts;
  readonly gate: ArrayGate;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly current: () => Established | null;
  /** Takes the new session over. `seamless`: the one before heard all events until now. */
  readonly enter: (fresh: Established, seamless: boolean) => void;
}

/** Replaces a session that stands: the new one is logged in before the old one is let go; when that fails, the old one goes on. */
export class Renewal {
  readonly #options: RenewalOptions;
  #underWay = false;
  #error: StorageError | null = null;
  #refusedKey: string | null = null;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  get underWay(): boolean {
    return this.#underWay;
  }

  /** Why the last one failed; null when it did not. */
  get error(): StorageError | null {
    return this.#error;
  }

  /** A session was logged in, with whatever key: what was known of the key is out of date. */
  forget(): void {
    this.#error = null;
    this.#refusedKey = null;
  }

  /** One login. Resolves to true when the new session stands, else to false or the ms after which it may be tried. Never rejects. */
  async run(): Promise<boolean | number> {
    const { gate, clock } = this.#options;
    const limit = gate.onLogins('renew');
    if (limit !== null) return limit.until - clock.now();
    this.#underWay = true;
    try {
      return await this.#tryOnce();
    } finally {
      this.#underWay = false;
    }
  }

  async #tryOnce(): Promise<boolean> {
    const { gate, log, attempts, signal, enter } = this.#options;
    const ticket = gate.takeLogin('renew');
    if (ticket === null) return false;
    let keyHash: string | null = null;
    try {
      const { apiKey, hash } = await readKey(this.#options.apiKey);
      // TrueNAS ends no session for its key; a key that it refused once is not shown to it again (law 9).
      if (hash === this.#refusedKey) return false;
      keyHash = hash;
      const fresh = await attempts.open(apiKey, ticket);
      const seamless = await this.#heardAll();
      if (fresh.connection.closedBecause !== null) throw fresh.connection.closedBecause;
      enter(fresh, seamless);
      return true;
    } catch (thrown) {
      const error = asStorageError(thrown);
      if (signal.aborted) return false;
      if (isFinal(error)) this.#refusedKey = keyHash;
      this.#error = error;
      log.warn('the session with TrueNAS could not be renewed yet', { code: error.code, reason: error.message });
      return false;
    } finally {
      ticket.end(null);
    }
  }

  /** Whether the session that is replaced hears all events until now: they come in order, before the answer to a later call. */
  async #heardAll(): Promise<boolean> {
    const { clock, signal, current } = this.#options;
    const old = current();
    return old !== null && (await prove(old, clock, PROOF_MS, signal)) === 'proven' && current() === old;
  }
}
