import type { ArrayPort } from '../core/array-port.ts';
import { withDeadline } from '../core/deadline.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { type Inventory, poolName } from '../inventory/inventory.ts';
import { ANSWER_MS, type Probe } from '../volumes/storage-state.ts';

/** ms between two looks at an array that answers fast */
const EVERY_MS = 60_000;
/** Fast answers in a row after which the array is looked at once a minute again. */
const CALM = 3;
/** ms: an authenticated answer that takes longer counts as none */
const ANSWER_LIMIT_MS = 4_000;
const RECONNECT_MS = 30_000;
const LOAD_MS = 60_000;

export interface ArrayWatchOptions {
  readonly array: ArrayPort;
  readonly inventory: Inventory;
  readonly clock: Clock;
  /** Ends all work. */
  readonly stop: AbortSignal;
  /** Datasets of the storages on this array. */
  readonly datasets: () => readonly string[];
  /** Told when something is known that was not known before. */
  readonly onNews: () => void;
  /** Told what loading a dataset came to; null: it is loaded. */
  readonly onLoaded: (dataset: string, error: unknown) => void;
}

/**
 * The background work for one array: connects again when nobody asks, reads after a login what the storages need, measures
 * once a minute how fast an authenticated call is answered and reads the state of the pools. While answers are slow it
 * measures at each tick, so that the end of it is noticed, too.
 */
export class ArrayWatch {
  readonly #options: ArrayWatchOptions;
  readonly #stopListening: () => void;
  readonly #own = new AbortController();
  readonly #stop: AbortSignal;
  readonly #running = new Set<Promise<void>>();
  #reconnecting = false;
  #looking = false;
  #probe: Probe | null = null;
  #fast = CALM;
  /** monotonic ms */
  #nextLook = 0;

  constructor(options: ArrayWatchOptions) {
    this.#options = options;
    this.#stop = AbortSignal.any([options.stop, this.#own.signal]);
    this.#stopListening = options.array.onChange((change) => {
      if (change.kind === 'reconnected') this.#afterLogin();
      else if (change.kind === 'service') options.onNews();
    });
    if (options.array.connection().state === 'ready') this.#afterLogin();
  }

  get probe(): Probe | null {
    return this.#probe;
  }

  /** Does what is due; called every few seconds. */
  tick(): void {
    const { array, clock } = this.#options;
    const connection = array.connection();
    if (connection.state !== 'ready') {
      // While logins are held back nothing comes of asking: the session tries when it may.
      const heldBack = connection.limited !== null && connection.limited.until > clock.now();
      if (connection.state !== 'closed' && !heldBack && !this.#reconnecting) this.#reconnect();
      return;
    }
    if ((connection.latencyMs ?? 0) >= ANSWER_MS.slow) this.#fast = 0;
    if (!this.#looking && (this.#fast < CALM || clock.monotonic() >= this.#nextLook)) this.#look();
  }

  /** Reads what was never read of a dataset. */
  load(dataset: string): void {
    const { inventory, onLoaded, onNews } = this.#options;
    this.#background(LOAD_MS, 'reading what the storages need', (deadline) => inventory.ready(dataset, deadline)).then(
      (error) => {
        onLoaded(dataset, error);
        onNews();
      },
      () => undefined,
    );
  }

  /** Ends all work; resolves when nothing runs any more. */
  async end(): Promise<void> {
    this.#stopListening();
    this.#own.abort(new Error('the array is no longer watched'));
    await Promise.all([...this.#running]);
  }

  #afterLogin(): void {
    this.#nextLook = 0;
    if (!this.#looking) this.#look();
    for (const dataset of new Set(this.#options.datasets())) this.load(dataset);
    this.#options.onNews();
  }

  /** The session decides when it really tries: it knows its delays and the array's login window. */
  #reconnect(): void {
    this.#reconnecting = true;
    void this.#background(RECONNECT_MS, 'connecting', (deadline) => this.#options.array.ready(deadline)).then(() => {
      this.#reconnecting = false;
    });
  }

  #look(): void {
    const { array, clock, inventory, datasets, onNews } = this.#options;
    this.#looking = true;
    const pools = new Set(datasets().map(poolName));
    const started = clock.monotonic();
    void this.#background(ANSWER_LIMIT_MS, 'a sign of life', (deadline) => array.ping(deadline))
      .then(async (error) => {
        // Without a session it is not slow but gone.
        if (error === null) this.#measured(clock.monotonic() - started);
        else if (array.connection().state === 'ready') this.#measured(Number.POSITIVE_INFINITY);
        if (error !== null || clock.monotonic() < this.#nextLook) return;
        this.#nextLook = clock.monotonic() + EVERY_MS;
        await Promise.all(
          [...pools].map((pool) => this.#background(LOAD_MS, 'reading the pool', (own) => inventory.refreshPool(pool, own))),
        );
      })
      .then(() => {
        this.#looking = false;
        onNews();
      });
  }

  #measured(ms: number): void {
    this.#probe = { count: (this.#probe?.count ?? 0) + 1, ms };
    this.#fast = ms < ANSWER_MS.fast ? this.#fast + 1 : 0;
  }

  /** Runs work until it ends, its time is up or everything stops; resolves to what went wrong, or null. Never rejects. */
  #background(ms: number, what: string, work: (deadline: Deadline) => Promise<unknown>): Promise<unknown> {
    const run = withDeadline(this.#options.clock, ms, what, work, this.#stop).then(
      () => null,
      (error: unknown) => error,
    );
    const tracked = run.then(() => void this.#running.delete(tracked));
    this.#running.add(tracked);
    return run;
  }
}
