import { deadlineAfter } from '../../core/deadline.ts';
import type { Meter } from '../../core/metrics.ts';
import type { Deadline, Log } from '../../core/ports.ts';
import { createArray, type TrueNasArray } from '../array.ts';
import { ArrayGate } from '../array-gate.ts';
import type { ArrayConfig } from '../array-key.ts';
import { FakeClock } from './fake-clock.ts';
import { ScriptedServer } from './scripted-server.ts';

export const API_KEY = `7-${'k'.repeat(64)}`;

/** A log that keeps its lines, so that a test can look for secrets in them. */
export function memoryLog(lines: string[] = []): Log {
  const line = (message: string, fields: unknown): void => {
    lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  };
  const log: Log = { debug: line, info: line, warn: line, error: line, child: () => log };
  return log;
}

export function config(port: number, over: Partial<ArrayConfig> = {}): ArrayConfig {
  return {
    apiHost: '127.0.0.1',
    apiPort: port,
    apiScheme: 'wss',
    apiInsecure: true,
    fingerprint: null,
    caFile: null,
    apiUsername: 'pve',
    preferIpv4: false,
    apiTimeoutMs: 30_000,
    apiRetryMax: 3,
    apiRetryDelayMs: 1000,
    connectionMaxAgeMs: 3_600_000,
    ...over,
  };
}

/** Turns of the event loop in which what is on its way over loopback arrives, and its answer too. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Counts what it is told, by name and by the values of all labels but the first, which is the array. */
export class CountingMeter implements Meter {
  readonly #counts = new Map<string, number>();

  count(name: string, labels: Readonly<Record<string, string>>, by = 1): void {
    const key = [name.replace('pve_truenas_', ''), ...Object.values(labels).slice(1)].join(' ');
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + by);
  }

  observe(name: string, labels: Readonly<Record<string, string>>): void {
    this.count(name, labels);
  }

  set(): void {
    // gauges are set by the collector
  }

  clear(): void {
    // as set
  }

  /** All values of a metric together. */
  sum(name: string): number {
    return [...this.#counts].filter(([key]) => key.startsWith(`${name} `)).reduce((sum, [, value]) => sum + value, 0);
  }

  /** `logins_total ok` */
  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }
}

export interface Bench {
  readonly server: ScriptedServer;
  readonly clock: FakeClock;
  readonly array: TrueNasArray;
  readonly log: string[];
  readonly meter: CountingMeter;
  key: string;
  port: number;
  readonly deadline: (ms?: number) => Deadline;
  /** Moves the clock on in steps (ms), with time for pings and answers between them. */
  readonly elapse: (ms: number, step?: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** A client and a scripted server for it. */
export async function bench(over: Partial<ArrayConfig> = {}): Promise<Bench> {
  const server = new ScriptedServer(over.apiScheme);
  const port = await server.listen();
  const clock = new FakeClock();
  const lines: string[] = [];
  const meter = new CountingMeter();
  const built: { bench: Bench | null } = { bench: null };
  const array = createArray({
    config: config(port, over),
    apiKey: () => Promise.resolve(built.bench?.key ?? API_KEY),
    clock,
    log: memoryLog(lines),
    meter,
    // The middle of every jitter.
    gate: new ArrayGate(clock, () => 0.5),
  });
  const made: Bench = {
    server,
    clock,
    array,
    log: lines,
    meter,
    key: API_KEY,
    port,
    deadline: (ms = 60_000) => deadlineAfter(clock, ms, 'test'),
    elapse: async (ms, step = 1000) => {
      for (let left = ms; left > 0; left -= step) {
        clock.advance(Math.min(left, step));
        await turns();
      }
    },
    close: async () => {
      await array.close();
      await server.close();
    },
  };
  built.bench = made;
  return made;
}

/** The error that a promise ends with; a promise that does not fail is a failure. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
