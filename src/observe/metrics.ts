import { Counter, Gauge, Histogram, type OpenMetricsContentType, Registry } from 'prom-client';
import {
  type CounterName,
  type GaugeName,
  type HistogramName,
  type Labels,
  type Meter,
  type MetricName,
  METRICS,
} from '../core/metrics.ts';
import { quantile } from './quantile.ts';

/** How the numbers are written: OpenMetrics 1.0, or the older text format of Prometheus (node_exporter's textfile collector). */
export const EXPOSITIONS = {
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
  prometheus: Registry.PROMETHEUS_CONTENT_TYPE,
} as const;
export type Exposition = keyof typeof EXPOSITIONS;

/** One value of a counter or gauge. */
export interface Value {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One distribution. The quantiles are estimates from the buckets; null when nothing was measured. */
export interface Distribution {
  readonly labels: Readonly<Record<string, string>>;
  readonly count: number;
  readonly sum: number;
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
}

export interface MetricSnapshot {
  readonly name: MetricName;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Of counters and gauges. */
  readonly values: readonly Value[];
  /** Of histograms. */
  readonly distributions: readonly Distribution[];
}

const NAMES = Object.keys(METRICS) as MetricName[];
const COUNTERS = NAMES.filter((name) => METRICS[name].type === 'counter');

/** Counts in memory, all metrics of the catalogue and no others, in a registry of its own. */
export class PromMeter implements Meter {
  readonly #registry = new Registry<OpenMetricsContentType>();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();

  constructor() {
    this.#registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    for (const name of NAMES) {
      const described = METRICS[name];
      const common = { name, help: described.help, labelNames: [...described.labels], registers: [this.#registry] };
      if (described.type === 'counter') this.#counters.set(name, new Counter(common));
      else if (described.type === 'gauge') this.#gauges.set(name, new Gauge(common));
      else this.#histograms.set(name, new Histogram({ ...common, buckets: [...(described.buckets ?? [])] }));
    }
  }

  count<N extends CounterName>(name: N, labels: Labels<N>, by = 1): void {
    if (Number.isFinite(by) && by >= 0) this.#counters.get(name)?.inc({ ...labels }, by);
  }

  observe<N extends HistogramName>(name: N, labels: Labels<N>, value: number): void {
    if (Number.isFinite(value)) this.#histograms.get(name)?.observe({ ...labels }, value);
  }

  set<N extends GaugeName>(name: N, labels: Labels<N>, value: number): void {
    if (Number.isFinite(value)) this.#gauges.get(name)?.set({ ...labels }, value);
  }

  clear(name: GaugeName): void {
    this.#gauges.get(name)?.reset();
  }

  /** All metrics as text. */
  async text(exposition: Exposition): Promise<string> {
    const text = await this.#registry.metrics();
    return exposition === 'openmetrics' ? text : asPrometheusText(text);
  }

  /** All metrics as values, in the order of the catalogue. */
  async snapshot(): Promise<readonly MetricSnapshot[]> {
    return Promise.all(
      NAMES.map(async (name) => {
        const { type, help } = METRICS[name];
        const plain = this.#counters.get(name) ?? this.#gauges.get(name);
        const values = plain === undefined ? [] : (await plain.get()).values;
        const histogram = this.#histograms.get(name);
        return {
          name,
          type,
          help,
          values: values.map(({ labels, value }) => ({ labels: asTexts(labels), value })),
          distributions: histogram === undefined ? [] : distributionsOf(name, (await histogram.get()).values),
        };
      }),
    );
  }
}

/**
 * The older format differs in two things only: a counter's family bears the name of its samples, and there is no mark of the end.
 * (The library renames counters for good when it writes OpenMetrics, so one registry cannot write both.)
 */
function asPrometheusText(openmetrics: string): string {
  const families = new Set(COUNTERS.map((name) => name.replace(/_total$/, '')));
  return openmetrics
    .replace(/^# (HELP|TYPE) (\S+)/gm, (line, what: string, name: string) => (families.has(name) ? `# ${what} ${name}_total` : line))
    .replace(/# EOF\n$/, '');
}

function asTexts(labels: Readonly<Partial<Record<string, string | number>>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));
}

/** Samples as prom-client gives them: `_bucket` with the label `le`, `_sum` and `_count` for each set of labels. */
function distributionsOf(
  name: string,
  samples: readonly { metricName?: string; labels: Readonly<Partial<Record<string, string | number>>>; value: number }[],
): readonly Distribution[] {
  const sets = new Map<string, { labels: Record<string, string>; count: number; sum: number; buckets: { le: number; count: number }[] }>();
  for (const { metricName, labels: all, value } of samples) {
    const { le, ...rest } = all;
    const labels = asTexts(rest);
    const key = JSON.stringify(Object.entries(labels).sort());
    const set = sets.get(key) ?? { labels, count: 0, sum: 0, buckets: [] };
    sets.set(key, set);
    if (metricName === `${name}_sum`) set.sum = value;
    else if (metricName === `${name}_count`) set.count = value;
    else if (le !== undefined) set.buckets.push({ le: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), count: value });
  }
  return [...sets.values()].map(({ labels, count, sum, buckets }) => ({
    labels,
    count,
    sum,
    mean: count === 0 ? null : sum / count,
    p50: quantile(0.5, buckets),
    p95: quantile(0.95, buckets),
  }));
}
