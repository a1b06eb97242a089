export interface Bucket {
  /** Upper bound; the last one is infinite. */
  readonly le: number;
  /** Measurements up to that bound, those of the smaller buckets included. */
  readonly count: number;
}

/**
 * Estimates a quantile (0..1) as Prometheus' histogram_quantile does: straight lines inside a bucket, the first one beginning at 0.
 * What lies above the last finite bound is told as that bound. Null when nothing was measured.
 */
export function quantile(q: number, buckets: readonly Bucket[]): number | null {
  const sorted = [...buckets].sort((a, b) => a.le - b.le);
  const total = sorted.at(-1)?.count ?? 0;
  if (total === 0) return null;
  const rank = q * total;
  const at = sorted.findIndex(({ count }) => count >= rank);
  const bucket = sorted[at];
  if (bucket === undefined || !Number.isFinite(bucket.le)) return sorted.at(-2)?.le ?? null;
  const before = sorted[at - 1];
  const from = before?.le ?? 0;
  const below = before?.count ?? 0;
  const inside = bucket.count - below;
  return inside === 0 ? bucket.le : from + (bucket.le - from) * ((rank - below) / inside);
}
