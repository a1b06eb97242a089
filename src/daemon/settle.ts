import { withDeadline } from '../core/deadline.ts';
import { asStorageError } from '../core/errors.ts';
import type { Journal, OpenOperation } from '../core/journal-port.ts';
import type { Clock, Log } from '../core/ports.ts';
import { storageParam, type StorageParam } from '../protocol/envelope.ts';
import { type StorageContext, volumeKey } from '../volumes/context.ts';
import { finishFree } from '../volumes/free.ts';
import { takeBack } from '../volumes/take-back.ts';

/** ms for one attempt at one operation */
const ATTEMPT_MS = 120_000;
/** ms between attempts: from the first to the longest */
const WAITS = [0, 2_000, 5_000, 15_000, 60_000] as const;
/** A create whose answer was lost may still end later, so its mark is looked for this many times, 22 s in all. */
const LOOKS_FOR_LATE_CREATE = 4;

export interface SettleOptions {
  readonly journal: Journal;
  readonly resolve: (param: StorageParam) => Promise<StorageContext>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Settles operations that a crash, a lost connection or a lost answer left open (law 5): unfinished allocations are
 * taken back, begun deletions are finished. Tries until each is done; the volume is locked meanwhile, so that a new
 * operation on it waits for the old one.
 */
export class Settler {
  readonly #options: SettleOptions;
  readonly #stop = new AbortController();
  readonly #running = new Map<string, { readonly operation: OpenOperation; readonly run: Promise<void> }>();

  constructor(options: SettleOptions) {
    this.#options = options;
  }

  /** Takes up everything that an earlier process left; call it before any new call is served. */
  async start(): Promise<void> {
    for (const operation of await this.#options.journal.list()) this.take(operation);
  }

  /** Takes up one operation; safe to repeat. */
  take(operation: OpenOperation): void {
    if (this.#running.has(operation.id) || this.#stop.signal.aborted) return;
    this.#options.log.warn('settling an operation that was left open', {
      kind: operation.kind,
      zvol: operation.zvol,
      storage: operation.storage,
    });
    const run = this.#settle(operation).finally(() => this.#running.delete(operation.id));
    this.#running.set(operation.id, { operation, run });
  }

  /** Operations that are still being settled. */
  get open(): readonly OpenOperation[] {
    return [...this.#running.values()].map(({ operation }) => operation);
  }

  /** Resolves when all that `start` took up is settled. */
  async idle(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ run }) => run));
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('the daemon stops'));
    await this.idle();
  }

  async #settle(operation: OpenOperation): Promise<void> {
    const { clock, log, journal } = this.#options;
    const stop = this.#stop.signal;
    const stopped = (): boolean => stop.aborted;
    let done = 0;
    for (let attempt = 0; !stopped(); attempt += 1) {
      try {
        await clock.sleep(WAITS[Math.min(attempt, WAITS.length - 1)] ?? 60_000, stop);
        await this.#attempt(operation);
        done += 1;
        if (operation.kind === 'allocate' && done < LOOKS_FOR_LATE_CREATE) continue;
        await journal.end(operation.id);
        log.info('operation settled', { kind: operation.kind, zvol: operation.zvol });
        return;
      } catch (error) {
        if (stopped()) return;
        log.warn('cannot settle an operation yet', { kind: operation.kind, zvol: operation.zvol, error: asStorageError(error).message });
      }
    }
  }

  async #attempt(operation: OpenOperation): Promise<void> {
    const { clock, resolve } = this.#options;
    const context = await resolve(storageParam.parse({ id: operation.storage, config: operation.section }));
    await withDeadline(
      clock,
      ATTEMPT_MS,
      'settling',
      (deadline) =>
        context.locks.run(volumeKey(context, operation.zvol), deadline.signal, async () => {
          await context.inventory.ready(context.config.dataset, deadline);
          if (operation.kind === 'allocate') await takeBack(context, operation, deadline);
          else await finishFree(context, operation, deadline);
        }),
      this.#stop.signal,
    );
  }
}
