import type { Clock, Log } from '../ports.ts';

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A clock that only moves when told to; timers run in order of their time. For tests. */
export class ManualClock implements Clock {
  #now: number;
  #timers = new Set<Timer>();

  constructor(start = 1_700_000_000_000) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }
  monotonic(): number {
    return this.#now;
  }
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const cancel = this.after(ms, resolve);
      signal?.addEventListener(
        'abort',
        () => {
          cancel();
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });
  }

  /** Moves on by `ms`, running what is due, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      const due = [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
    }
    this.#now = end;
    await settled();
  }
}

/** Turns of the event loop in which nothing but the clock can still be waited for. */
const IDLE_TURNS = 5;

/** Runs `work` on a manual clock, moving the clock only when everything waits for it. */
export async function runOn<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  const ended = new AbortController();
  const watched = work.finally(() => ended.abort());
  watched.catch(() => undefined);
  const running = (): boolean => !ended.signal.aborted;
  for (let turn = 0; running() && turn < 10_000; turn += 1) {
    for (let idle = 0; idle < IDLE_TURNS && running(); idle += 1) await settled();
    if (running()) await clock.advance(250);
  }
  return watched;
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A log that remembers. */
export class RecordingLog implements Log {
  readonly lines: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = [];
  debug = (message: string, fields = {}): void => void this.lines.push({ level: 'debug', message, fields });
  info = (message: string, fields = {}): void => void this.lines.push({ level: 'info', message, fields });
  warn = (message: string, fields = {}): void => void this.lines.push({ level: 'warn', message, fields });
  error = (message: string, fields = {}): void => void this.lines.push({ level: 'error', message, fields });
  child = (): Log => this;
}
