/** Wall clock, monotonic clock and timers; injected so that no test waits (units: ms). */
export interface Clock {
  /** ms since the epoch */
  now(): number;
  /** ms, monotonic, arbitrary origin */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `run` once after `ms`; the returned function cancels it. Never keeps the process alive. */
  after(ms: number, run: () => void): () => void;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log; fields never hold secrets. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(fields: LogFields): Log;
}

/** How long a piece of work may take and how it is told to stop. Made by `deadlineAfter` in deadline.ts. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** ms left, never negative */
  remaining(): number;
}
