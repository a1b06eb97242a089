import type { ArrayPort } from '../core/array-port.ts';
import { asStorageError, StorageError } from '../core/errors.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import type { StorageContext } from '../volumes/context.ts';
import { portalText } from '../volumes/inspect/portals.ts';
import { reasonText, StateJudge, type StorageState } from '../volumes/storage-state.ts';
import { ArrayWatch } from './array-watch.ts';
import { PortalWatch } from './portal-watch.ts';

/** ms between two rounds */
const TICK_MS = 5_000;
/** ms: a storage that nobody asked for this long is no longer watched (PVE asks for the enabled ones every ten seconds) */
const KEEP_MS = 600_000;
/** ms between two looks for a dataset that was not there or not allowed */
const READ_AGAIN_MS = 10_000;
/** ms that connecting may take before it is told that TrueNAS does not answer; until then whoever asks waits with it */
const PATIENCE_MS = 2_000;

export interface StorageStatus {
  /** bytes; 0 while inactive */
  readonly total: number;
  readonly available: number;
  readonly used: number;
  readonly active: boolean;
  /** ms since the numbers were read */
  readonly age_ms: number;
  readonly reason?: string;
}

export interface StateWatchOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Told when nobody asked for a storage for ten minutes: it may be gone from storage.cfg, by another node's hand. */
  readonly onUnused: (id: string) => void;
}

type KnownSpace = NonNullable<ReturnType<StorageContext['inventory']['dataset']>>;

interface Watched {
  context: StorageContext;
  readonly judge: StateJudge;
  /** monotonic ms of the last time that somebody asked */
  askedAt: number;
  /** What the array said against the dataset when it was read last. */
  datasetError: StorageError | null;
  /** monotonic ms: when the dataset is read again after that */
  nextRead: number;
  /** Space as last read: the inventory forgets it at each login. */
  space: KnownSpace | null;
  /** As logged last: state and codes of the reasons. */
  logged: { readonly state: StorageState['state']; readonly codes: string; readonly since: number } | null;
}

/**
 * Knows the state of every storage that is in use, from the live sessions and from what it looks at in the background. Asking
 * for a state costs no call; a status asks the array only where nothing is known yet, and then no longer than its deadline.
 */
export class StateWatch {
  readonly #options: StateWatchOptions;
  readonly #stop = new AbortController();
  readonly #storages = new Map<string, Watched>();
  readonly #arrays = new Map<ArrayPort, ArrayWatch>();
  readonly #portals: PortalWatch;
  readonly #ending = new Set<Promise<void>>();
  #cancelTick: () => void = () => undefined;

  constructor(options: StateWatchOptions) {
    this.#options = options;
    this.#portals = new PortalWatch(options.clock, this.#stop.signal);
    this.#schedule();
  }

  /** Watches a storage from now on, as the caller describes it now. */
  see(context: StorageContext): StorageContext {
    this.#entry(context);
    return context;
  }

  forget(id: string): void {
    const watched = this.#storages.get(id);
    if (watched === undefined) return;
    this.#storages.delete(id);
    this.#leave(watched.context.array);
  }

  /** The state as far as it is known, without a call. */
  state(context: StorageContext): StorageState {
    return this.#judge(this.#entry(context));
  }

  /** The state of every watched storage, without a call. */
  states(): readonly { readonly id: string; readonly state: StorageState }[] {
    return [...this.#storages].map(([id, watched]) => ({ id, state: this.#judge(watched) }));
  }

  /** Space from the inventory; inactive with the reason while the storage is down. Never throws. */
  async status(context: StorageContext, deadline: Deadline): Promise<StorageStatus> {
    const watched = this.#entry(context);
    if (this.#mustWait(watched)) await this.#ask(watched, deadline);
    const verdict = this.#judge(watched);
    if (verdict.state === 'down') return inactive(reasonText(verdict));
    const { space } = watched;
    if (space === null) return inactive(`the dataset '${context.config.dataset}' could not be read in time`);
    const { available, used } = space.info;
    return { active: true, total: used + available, available, used, age_ms: Math.max(0, context.clock.now() - space.readAt) };
  }

  async stop(): Promise<void> {
    this.#cancelTick();
    this.#stop.abort(new StorageError('SHUTTING_DOWN', 'the daemon stops'));
    await Promise.all([...this.#ending, this.#portals.end(), ...[...this.#arrays.values()].map((array) => array.end())]);
  }

  /** Nothing is known yet that could be answered at once. */
  #mustWait({ context }: Watched): boolean {
    const { state, error, since } = context.array.connection();
    if (state === 'ready') return context.inventory.dataset(context.config.dataset) === null;
    return error === null && (state === 'idle' || (state === 'connecting' && context.clock.now() - since < PATIENCE_MS));
  }

  /** Waits for the session and for the dataset. What goes wrong is in the verdict. */
  async #ask(watched: Watched, deadline: Deadline): Promise<void> {
    const { array, inventory, config } = watched.context;
    try {
      if (array.connection().state !== 'ready') await array.ready(deadline);
      if (inventory.dataset(config.dataset) === null) await inventory.refreshDataset(config.dataset, deadline);
      watched.datasetError = null;
    } catch (error) {
      this.#noteDataset(watched, error);
    }
  }

  /** Only what the array positively said counts: a call without an answer says nothing about the dataset. */
  #noteDataset(watched: Watched, thrown: unknown): void {
    const error = thrown === null ? null : asStorageError(thrown);
    if (error === null) watched.datasetError = null;
    else if (error.code === 'DATASET_MISSING' || error.code === 'NOT_AUTHORIZED') {
      watched.datasetError = error;
      watched.nextRead = this.#options.clock.monotonic() + READ_AGAIN_MS;
    }
  }

  #judge(watched: Watched): StorageState {
    const { array, inventory, config, clock } = watched.context;
    const known = inventory.dataset(config.dataset);
    if (known !== null) watched.space = known;
    if (known !== null && watched.datasetError?.code === 'DATASET_MISSING') watched.datasetError = null;
    const verdict = watched.judge.judge({
      now: clock.now(),
      connection: array.connection(),
      api: portalText({ host: config.apiHost, port: config.apiPort }),
      datasetError: watched.datasetError,
      space: watched.space?.info ?? null,
      pool: inventory.poolOf(config.dataset),
      serviceRunning: inventory.serviceRunning,
      portals: config.portals.length,
      deadPortals: this.#portals.dead(config.portals),
      probe: this.#arrays.get(array)?.probe ?? null,
    });
    this.#tell(watched, verdict);
    return verdict;
  }

  /** Writes a change to the log, once. */
  #tell(watched: Watched, verdict: StorageState): void {
    const { config, array, clock } = watched.context;
    const { state, error } = array.connection();
    const before = watched.logged;
    // The first connection is still under way: there is nothing to tell yet.
    if (before === null && error === null && (state === 'idle' || state === 'connecting')) return;
    const codes = verdict.reasons.map(({ code }) => code).join(' ');
    if (before?.state === verdict.state && before.codes === codes) return;
    watched.logged = { state: verdict.state, codes, since: verdict.since };
    const log = this.#options.log;
    const name = `storage ${config.id}`;
    if (verdict.state === 'healthy') {
      const after = before === null ? '' : ` after ${Math.max(0, Math.round((clock.now() - before.since) / 1000))} s`;
      log.info(before === null ? `${name} is healthy` : `${name}: ${before.state} -> healthy${after}`);
    } else log.warn(`${before === null ? `${name} is` : `${name}: ${before.state} ->`} ${verdict.state}: ${reasonText(verdict)}`);
  }

  #entry(context: StorageContext): Watched {
    const { id } = context.config;
    const now = this.#options.clock.monotonic();
    const there = this.#storages.get(id);
    if (there !== undefined && there.context.array === context.array && there.context.config.dataset === context.config.dataset) {
      there.context = context;
      there.askedAt = now;
      return there;
    }
    const logged = there?.logged ?? null;
    const made: Watched = { context, judge: new StateJudge(), askedAt: now, datasetError: null, nextRead: 0, space: null, logged };
    this.#storages.set(id, made);
    this.#join(context);
    this.#lookAtPortals();
    if (there !== undefined) this.#leave(there.context.array);
    return made;
  }

  #join({ array, inventory, clock, config }: StorageContext): void {
    const there = this.#arrays.get(array);
    if (there !== undefined) {
      if (array.connection().state === 'ready') there.load(config.dataset);
      return;
    }
    const on = (): readonly Watched[] => [...this.#storages.values()].filter(({ context }) => context.array === array);
    const watch = new ArrayWatch({
      array,
      inventory,
      clock,
      stop: this.#stop.signal,
      datasets: () => on().map(({ context }) => context.config.dataset),
      onNews: () => on().forEach((watched) => this.#judge(watched)),
      onLoaded: (dataset, error) => {
        for (const watched of on()) if (watched.context.config.dataset === dataset) this.#noteDataset(watched, error);
      },
    });
    this.#arrays.set(array, watch);
  }

  /** Ends the watch over an array that no watched storage is on. */
  #leave(array: ArrayPort): void {
    const watch = this.#arrays.get(array);
    if (watch === undefined || [...this.#storages.values()].some(({ context }) => context.array === array)) return;
    this.#arrays.delete(array);
    const ended = watch.end().then(() => void this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #schedule(): void {
    this.#cancelTick = this.#options.clock.after(TICK_MS, () => {
      this.#schedule();
      this.#tick();
    });
  }

  #lookAtPortals(): void {
    const contexts = [...this.#storages.values()].map(({ context }) => context);
    const [first] = contexts;
    if (first === undefined) return;
    const portals = contexts.flatMap(({ config }) => config.portals);
    this.#portals.look(portals, (portal, deadline) => first.probePortal(portal, deadline));
  }

  #tick(): void {
    const now = this.#options.clock.monotonic();
    for (const [id, watched] of [...this.#storages]) {
      if (now - watched.askedAt <= KEEP_MS) continue;
      this.forget(id);
      this.#options.onUnused(id);
    }
    for (const array of this.#arrays.values()) array.tick();
    this.#lookAtPortals();
    for (const watched of this.#storages.values()) {
      const { array, config } = watched.context;
      if (watched.datasetError !== null && now >= watched.nextRead && array.connection().state === 'ready') {
        watched.nextRead = now + READ_AGAIN_MS;
        this.#arrays.get(array)?.load(config.dataset);
      }
      this.#judge(watched);
    }
  }
}

function inactive(reason: string): StorageStatus {
  return { active: false, total: 0, available: 0, used: 0, age_ms: 0, reason };
}
