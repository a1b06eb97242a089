import { execFile } from 'node:child_process';
import { deadlineAfter } from '../core/deadline.ts';
import type { Clock, Log } from '../core/ports.ts';

/** Lines of sd_notify(3), such as `READY=1`. Resolves when the service manager has them; rejects with the reason. */
export type Notifier = (lines: readonly string[]) => Promise<void>;

/** ms for one message; systemd-notify waits until the service manager has taken it. */
const MESSAGE_MS = 10_000;

/**
 * Node.js has no Unix datagram sockets, and a native add-on cannot be part of a bundle: systemd's own program sends the message. It waits for
 * the manager (barrier), so that the manager still finds the sender's process in our cgroup (NotifyAccess=all). Null: nobody wants to know.
 */
export function notifierFor(env: Readonly<Record<string, string | undefined>>, program = 'systemd-notify'): Notifier | null {
  const socket = env['NOTIFY_SOCKET'];
  if (socket === undefined || socket === '') return null;
  const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', NOTIFY_SOCKET: socket };
  return (lines) =>
    new Promise((resolve, reject) => {
      execFile(program, [...lines], { env: environment, timeout: MESSAGE_MS, killSignal: 'SIGKILL' }, (error) => {
        if (error === null) resolve();
        else reject(new Error(`${program}: ${error.message}`, { cause: error }));
      });
    });
}

/** How often the manager wants a sign of life, ms; null: it does not watch this process (sd_watchdog_enabled(3)). */
export function watchdogInterval(env: Readonly<Record<string, string | undefined>>, pid: number): number | null {
  const limit = Number(env['WATCHDOG_USEC'] ?? '0') / 1000;
  const watched = env['WATCHDOG_PID'] === undefined || env['WATCHDOG_PID'] === String(pid);
  return watched && Number.isFinite(limit) && limit >= 1 ? limit : null;
}

export interface ServiceManagerOptions {
  readonly notify: Notifier | null;
  /** Limit of the watchdog, ms. */
  readonly watchdogMs: number | null;
  /** One call through everything that serves calls; a rejection or no answer is no sign of life (F-041). */
  readonly prove: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the service manager is told: ready, reloading, alive, stopping. Nothing of it ever fails the daemon. */
export class ServiceManager {
  readonly #options: ServiceManagerOptions;
  readonly #end = new AbortController();
  #told = Promise.resolve();

  constructor(options: ServiceManagerOptions) {
    this.#options = options;
  }

  /** Calls are served; from now on the watchdog is fed. */
  async ready(status: string): Promise<void> {
    await this.#tell('READY=1', `STATUS=${status}`);
    if (this.#options.watchdogMs !== null) void this.#feed(this.#options.watchdogMs);
  }

  reloading(): Promise<void> {
    return this.#tell('RELOADING=1');
  }

  reloaded(status: string): Promise<void> {
    return this.#tell('READY=1', `STATUS=${status}`);
  }

  /** The watchdog is fed on: calls under way may take their time. */
  stopping(status: string): Promise<void> {
    return this.#tell('STOPPING=1', `STATUS=${status}`);
  }

  /** No more signs of life. Resolves when the manager has all that was said: a process that ends before has its last words lost. */
  async end(): Promise<void> {
    this.#end.abort();
    await this.#told;
  }

  /** In the order in which it was said. */
  #tell(...lines: readonly string[]): Promise<void> {
    const { notify, log } = this.#options;
    if (notify === null) return Promise.resolve();
    this.#told = this.#told
      .then(() => notify(lines))
      .catch((error: unknown) =>
        log.warn('systemd was not told', { lines, error: error instanceof Error ? error.message : String(error) }),
      );
    return this.#told;
  }

  /** Three signs within each limit, so that one may be late. */
  async #feed(limit: number): Promise<void> {
    const { clock, log, prove } = this.#options;
    const { signal } = this.#end;
    const over = (): boolean => signal.aborted;
    while (!over()) {
      const deadline = deadlineAfter(clock, limit / 3, 'sign of life', signal);
      try {
        await prove(deadline.signal);
        await this.#tell('WATCHDOG=1');
      } catch (error) {
        if (!over()) log.warn('no sign of life for systemd', { error: error instanceof Error ? error.message : String(error) });
      } finally {
        deadline.release();
      }
      await clock.sleep(limit / 3, signal).catch(() => undefined);
    }
  }
}
