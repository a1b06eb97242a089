import type { GaugeName, Meter } from '../core/metrics.ts';
import type { Clock } from '../core/ports.ts';
import { parseSection } from '../config/parse-section.ts';
import type { StorageSection } from '../config/storage-cfg.ts';
import type { Exposition, MetricSnapshot, PromMeter } from '../observe/metrics.ts';
import { authority } from '../truenas/tls.ts';
import type { StorageContext } from '../volumes/context.ts';
import { overCommitment } from '../volumes/inspect/space.ts';
import { knownVolumes } from '../volumes/read-volumes.ts';
import type { StorageState } from '../volumes/storage-state.ts';

export interface CollectorOptions {
  readonly meter: Meter;
  /** Sections of our type in storage.cfg. */
  readonly configured: () => Promise<readonly StorageSection[]>;
  /** Storages that were asked for. */
  readonly known: () => readonly StorageContext[];
  /** The state of one of them, judged without a call. */
  readonly state: (context: StorageContext) => State;
  readonly journal: { readonly summary: { readonly entries: number; readonly oldest: number | null } };
  readonly processMetrics: () => void;
  readonly version: string;
  readonly node: string;
  readonly clock: Clock;
}

type State = StorageState['state'];
const STATES: readonly State[] = ['healthy', 'degraded', 'down'];

/** Gauges about arrays and storages: those of one that is gone must vanish. */
const RENEWED = [
  'pve_truenas_array_up',
  'pve_truenas_session_age_seconds',
  'pve_truenas_api_calls_in_flight',
  'pve_truenas_rate_limit_seconds_left',
  'pve_truenas_inventory_age_seconds',
  'pve_truenas_storage_state',
  'pve_truenas_dataset_available_bytes',
  'pve_truenas_dataset_used_bytes',
  'pve_truenas_volumes',
  'pve_truenas_volume_size_bytes',
  'pve_truenas_overcommit_ratio',
] as const satisfies readonly GaugeName[];

/** The numbers as they are when they are asked for. */
export interface MetricsSource {
  text(exposition: Exposition): Promise<string>;
  snapshot(): Promise<readonly MetricSnapshot[]>;
}

export function metricsSource(options: CollectorOptions & { readonly meter: PromMeter }): MetricsSource {
  return {
    text: async (exposition) => {
      await collectMetrics(options);
      return options.meter.text(exposition);
    },
    snapshot: async () => {
      await collectMetrics(options);
      return options.meter.snapshot();
    },
  };
}

/**
 * Sets the gauges from what the daemon knows, right before they are read. No call to an array: a scrape every few seconds costs
 * it nothing, and an array that hangs does not keep the rest from being told.
 */
export async function collectMetrics(options: CollectorOptions): Promise<void> {
  const { meter, clock, journal, version, node } = options;
  const sections = await options.configured().catch(() => null); // storage.cfg cannot be read now: tell of what is known
  const known = options.known().filter(({ config }) => sections === null || sections.some(({ id }) => id === config.id));
  for (const name of RENEWED) meter.clear(name);
  for (const [array, contexts] of byArray(known)) setArray(meter, array, contexts, clock);
  for (const context of known) setStorage(meter, context, options.state(context));
  // A storage that is to be served here and was never set up has a fault in its settings or no key.
  for (const section of sections ?? []) {
    if (!known.some(({ config }) => config.id === section.id) && isServedHere(section, node)) setState(meter, section.id, 'down');
  }
  const { entries, oldest } = journal.summary;
  meter.set('pve_truenas_journal_entries', {}, entries);
  meter.set('pve_truenas_journal_oldest_seconds', {}, oldest === null ? 0 : seconds(clock.now() - oldest));
  meter.set('pve_truenas_build_info', { version, node }, 1);
  options.processMetrics();
}

/** Storages by the array that they are on. */
function byArray(contexts: readonly StorageContext[]): ReadonlyMap<string, readonly StorageContext[]> {
  const found = new Map<string, StorageContext[]>();
  for (const context of contexts) {
    const name = authority(context.config);
    found.set(name, [...(found.get(name) ?? []), context]);
  }
  return found;
}

/** Two keys for one array are two sessions under one name: the worse of them is told. */
function setArray(meter: Meter, array: string, contexts: readonly StorageContext[], clock: Clock): void {
  const now = clock.now();
  const sessions = [...new Set(contexts.map((context) => context.array))].map((port) => port.connection());
  const worst = (of: (session: (typeof sessions)[number]) => number): number => Math.max(0, ...sessions.map(of));
  meter.set('pve_truenas_array_up', { array }, sessions.every(({ state }) => state === 'ready') ? 1 : 0);
  meter.set(
    'pve_truenas_session_age_seconds',
    { array },
    worst(({ sessionSince }) => (sessionSince === null ? 0 : seconds(now - sessionSince))),
  );
  meter.set(
    'pve_truenas_api_calls_in_flight',
    { array },
    sessions.reduce((sum, { inFlight }) => sum + inFlight, 0),
  );
  meter.set(
    'pve_truenas_rate_limit_seconds_left',
    { array },
    worst(({ limited }) => (limited === null ? 0 : seconds(limited.until - now))),
  );
  for (const [collection, readAt] of oldestReads(contexts)) {
    meter.set('pve_truenas_inventory_age_seconds', { array, collection }, seconds(now - readAt));
  }
}

/** When each collection was read last, of several the one that was read first. What was never read has no age. */
function oldestReads(contexts: readonly StorageContext[]): ReadonlyMap<string, number> {
  const reads = contexts.flatMap(({ inventory, config }): [string, number][] => [
    ['extents', inventory.extents.loadedAt],
    ['mappings', inventory.mappings.loadedAt],
    ['targets', inventory.targets.loadedAt],
    ['portals', inventory.portals.loadedAt],
    ['zvols', inventory.zvolCollection(config.dataset).loadedAt],
    ['space', inventory.dataset(config.dataset)?.readAt ?? 0],
  ]);
  const oldest = new Map<string, number>();
  for (const [collection, at] of reads) if (at > 0) oldest.set(collection, Math.min(at, oldest.get(collection) ?? at));
  return oldest;
}

function setStorage(meter: Meter, context: StorageContext, state: State): void {
  const { config, inventory } = context;
  const storage = config.id;
  setState(meter, storage, state);
  // A counter that does not exist yet hides its first increase from Prometheus.
  meter.count('pve_truenas_lun_conflicts_total', { storage }, 0);
  const space = inventory.dataset(config.dataset)?.info;
  if (space !== undefined) {
    meter.set('pve_truenas_dataset_available_bytes', { storage, dataset: config.dataset }, space.available);
    meter.set('pve_truenas_dataset_used_bytes', { storage, dataset: config.dataset }, space.used);
  }
  const sizes = volumeSizes(context);
  if (sizes === null) return;
  const sum = sizes.reduce((total, size) => total + size, 0);
  meter.set('pve_truenas_volumes', { storage }, sizes.length);
  meter.set('pve_truenas_volume_size_bytes', { storage }, sum);
  const over = space === undefined ? null : overCommitment(context, space);
  if (over !== null) meter.set('pve_truenas_overcommit_ratio', { storage }, over.ratio);
}

/** Sizes (bytes) of the volumes as last read; null when they were never read or cannot be told apart from others without the target. */
function volumeSizes(context: StorageContext): readonly number[] | null {
  const { inventory, config } = context;
  if (inventory.zvolCollection(config.dataset).loadedAt === 0 || inventory.extents.loadedAt === 0) return null;
  try {
    return knownVolumes(context, {}).map(({ size }) => size);
  } catch {
    return null;
  }
}

function setState(meter: Meter, storage: string, state: State): void {
  for (const one of STATES) meter.set('pve_truenas_storage_state', { storage, state: one }, one === state ? 1 : 0);
}

function isServedHere({ id, properties }: StorageSection, node: string): boolean {
  const { config } = parseSection(id, properties);
  if (config === null) return !('disable' in properties);
  return !config.disabled && (config.nodes === null || config.nodes.includes(node));
}

function seconds(ms: number): number {
  return Math.max(0, ms / 1000);
}
