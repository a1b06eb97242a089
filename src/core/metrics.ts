/** Label names of a metric in the order in which they are written. */
interface Described<L extends string> {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly L[];
  /** Upper bounds of a histogram, in the unit of its name. */
  readonly buckets?: readonly number[];
}

function counter<const L extends string>(help: string, ...labels: L[]): Described<L> & { readonly type: 'counter' } {
  return { type: 'counter', help, labels };
}

function gauge<const L extends string>(help: string, ...labels: L[]): Described<L> & { readonly type: 'gauge' } {
  return { type: 'gauge', help, labels };
}

function histogram<const L extends string>(
  help: string,
  buckets: readonly number[],
  ...labels: L[]
): Described<L> & { readonly type: 'histogram' } {
  return { type: 'histogram', help, labels, buckets };
}

/** seconds: calls of the API take 5 ms to minutes */
const CALL_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const OPERATION_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120];

/**
 * Every metric of the daemon, once: docs/reference/metrics.md, the exporter (observe/) and the check of monitoring/ are made
 * from this table. Names follow Prometheus' rules: base units, `_total` for counters. Labels never hold secrets.
 * `array` is `host:port` of the API, `storage` the PVE storage id, `operation` and `method` are names of ours and of TrueNAS.
 */
export const METRICS = {
  // the API session
  pve_truenas_array_up: gauge('1 while a logged-in session with the array stands, else 0', 'array'),
  pve_truenas_session_age_seconds: gauge('Age of the session with the array; 0 without one', 'array'),
  pve_truenas_api_call_duration_seconds: histogram(
    'Time from sending a call to its answer, by outcome: ok, refused, unknown (no answer), unsent',
    CALL_BUCKETS,
    'array',
    'method',
    'outcome',
  ),
  pve_truenas_api_calls_in_flight: gauge('Calls sent and not answered yet', 'array'),
  pve_truenas_api_retries_total: counter('Reads that were repeated, by the code of what failed', 'array', 'reason'),
  pve_truenas_api_sent_bytes_total: counter('Bytes of the requests sent', 'array'),
  pve_truenas_api_received_bytes_total: counter('Bytes of the messages received', 'array'),
  pve_truenas_logins_total: counter('Logins sent, by outcome: ok or the error code', 'array', 'outcome'),
  pve_truenas_reconnects_total: counter('Sessions replaced, by reason: max-age, expired, or the error code of the loss', 'array', 'reason'),
  pve_truenas_rate_limit_waits_total: counter('How often callers were held back since the array limits them, by reason', 'array', 'reason'),
  pve_truenas_rate_limit_seconds_left: gauge('Time until callers are let through again; 0 when nothing is held back', 'array'),
  // operations
  pve_truenas_operations_total: counter('Operations by outcome: ok or the error code', 'storage', 'operation', 'outcome'),
  pve_truenas_operation_duration_seconds: histogram('Time of an operation on the daemon socket', OPERATION_BUCKETS, 'storage', 'operation'),
  pve_truenas_preflight_failures_total: counter('Failed pre-flight checks, by check', 'storage', 'check'),
  pve_truenas_lun_conflicts_total: counter('LUN numbers that another node took at the same time', 'storage'),
  pve_truenas_device_wait_seconds: histogram('Time until a device of a volume was verified on this node', OPERATION_BUCKETS, 'storage'),
  pve_truenas_journal_entries: gauge('Operations in the journal: under way, or left open and being settled'),
  pve_truenas_journal_oldest_seconds: gauge('Age of the oldest operation in the journal; 0 when it is empty'),
  // what the array holds
  pve_truenas_storage_state: gauge('1 for the state that the storage is in: healthy, degraded or down', 'storage', 'state'),
  pve_truenas_dataset_available_bytes: gauge('Space available to the dataset of the storage', 'storage', 'dataset'),
  pve_truenas_dataset_used_bytes: gauge('Space used by the dataset of the storage', 'storage', 'dataset'),
  pve_truenas_volumes: gauge('Volumes of the storage', 'storage'),
  pve_truenas_volume_size_bytes: gauge('Sum of the sizes of the volumes of the storage', 'storage'),
  pve_truenas_overcommit_ratio: gauge(
    'Sum of the volume sizes divided by what the dataset could hold (used plus available); above 1 it is over-committed',
    'storage',
  ),
  pve_truenas_inventory_age_seconds: gauge('Age of what the daemon knows of the array, by collection', 'array', 'collection'),
  pve_truenas_orphans: gauge('Orphans found at the last look, by kind', 'storage', 'kind'),
  pve_truenas_orphans_checked_timestamp_seconds: gauge('Unix time of the last complete look for orphans', 'storage'),
  // this program
  pve_truenas_event_loop_busy_ratio: gauge(
    'Share of the time since the last look in which the daemon was at work; near 1 it is overloaded',
  ),
  process_cpu_seconds_total: counter('Processor time that the daemon used'),
  process_resident_memory_bytes: gauge('Memory of the daemon'),
  process_start_time_seconds: gauge('Unix time at which the daemon was started'),
  pve_truenas_build_info: gauge('Always 1; the version and the node are the labels', 'version', 'node'),
} as const;

export type MetricName = keyof typeof METRICS;
type NamesOf<T extends Described<string>['type']> = { [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never }[MetricName];
export type CounterName = NamesOf<'counter'>;
export type GaugeName = NamesOf<'gauge'>;
export type HistogramName = NamesOf<'histogram'>;
export type Labels<N extends MetricName> = Readonly<Record<(typeof METRICS)[N]['labels'][number], string>>;

/** Where numbers go. Calls never fail and never wait. */
export interface Meter {
  /** Adds to a counter; `by` defaults to 1. */
  count<N extends CounterName>(name: N, labels: Labels<N>, by?: number): void;
  /** One measurement, in the unit of the name. */
  observe<N extends HistogramName>(name: N, labels: Labels<N>, value: number): void;
  set<N extends GaugeName>(name: N, labels: Labels<N>, value: number): void;
  /** Forgets all values of a gauge, before a collector sets those that still exist. */
  clear(name: GaugeName): void;
}

/** For tests and tools that measure nothing. */
export const NO_METER: Meter = { count: () => undefined, observe: () => undefined, set: () => undefined, clear: () => undefined };
