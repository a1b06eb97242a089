/** `850 ms`, `4.2 s`, `41 s`, `3 min`: how long something took or may take, for messages. */
export function formatDuration(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1000) return `${whole} ms`;
  const seconds = whole / 1000;
  if (seconds < 10 && whole % 1000 !== 0) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** What holds callers back, and for how long yet: `waiting for the array's login window, 41 s left`. Times are ms since the epoch. */
export function describeLimit(limit: { readonly until: number; readonly reason: string }, now: number): string {
  return `${limit.reason}, ${Math.max(1, Math.ceil((limit.until - now) / 1000))} s left`;
}
