import { METRICS, type MetricName } from '../../src/core/metrics.ts';

/** Metrics that are not ours and may be used: what Prometheus itself makes of a target. */
const OTHERS: Readonly<Record<string, readonly string[]>> = { up: [] };
/** Labels that a scrape adds. */
const SCRAPED = ['job', 'instance'];

const SELECTOR = /\b((?:pve_truenas|process)_[a-z_]+|up)\b(?:\s*\{([^}]*)\})?/g;
const LABEL = /([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)\s*"/g;
const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;

/** What a PromQL expression names that does not exist: metrics, and labels that its metrics do not have. Empty: all is well. */
export function unknownNames(expr: string): readonly string[] {
  const problems: string[] = [];
  const all = new Set(SCRAPED);
  for (const [, name = '', matchers = ''] of expr.matchAll(SELECTOR)) {
    const labels = labelsOf(name);
    if (labels === null) {
      problems.push(name);
      continue;
    }
    for (const label of labels) all.add(label);
    for (const [, label = ''] of matchers.matchAll(LABEL)) if (!labels.includes(label)) problems.push(`${name}{${label}}`);
  }
  for (const [, list = ''] of expr.matchAll(GROUPING)) {
    for (const label of list.split(',').map((word) => word.trim())) if (label !== '' && !all.has(label)) problems.push(`by (${label})`);
  }
  return problems;
}

/** Labels of a metric or of one of a histogram's samples; null when it does not exist. */
export function labelsOf(name: string): readonly string[] | null {
  if (name in OTHERS) return [...SCRAPED, ...(OTHERS[name] ?? [])];
  const plain = METRICS[name as MetricName] as (typeof METRICS)[MetricName] | undefined;
  if (plain !== undefined) return plain.type === 'histogram' ? null : [...SCRAPED, ...plain.labels];
  const match = /^(.*)_(bucket|sum|count)$/.exec(name);
  const histogram = METRICS[match?.[1] as MetricName] as (typeof METRICS)[MetricName] | undefined;
  if (histogram?.type !== 'histogram') return null;
  return [...SCRAPED, ...histogram.labels, ...(match?.[2] === 'bucket' ? ['le'] : [])];
}
