/** The value below which `share` (0..1) of the numbers lie, by the nearest rank; NaN of nothing. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** Median, 95th percentile and maximum, in one line. */
export function summarise(times: readonly number[]): string {
  return [0.5, 0.95, 1].map((share) => percentile(times, share).toFixed(1).padStart(9)).join('');
}
