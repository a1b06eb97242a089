import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { systemClock } from '../../../src/core/system-clock.ts';
import { DaemonProcess } from './daemon-process.ts';

const MANAGER = join(import.meta.dirname, 'service-manager.pl');

/** The real daemon below something that does what systemd does: it holds the socket, restarts the daemon, hears what it notifies. */
export class ManagedDaemon extends DaemonProcess {
  #manager: ChildProcess | null = null;
  #events: string[] = [];
  #said = '';

  /** What the manager noticed: `started PID`, `ended PID STATUS`, `notify READY=1`, ... */
  get events(): readonly string[] {
    return this.#events;
  }

  override get output(): string {
    return this.#said;
  }

  override async start(env: Record<string, string> = {}, flags: readonly string[] = []): Promise<void> {
    const argv = [MANAGER, this.socket, join(this.directory, 'notify.sock'), process.execPath, ...this.argv(flags)];
    const manager = spawn('perl', argv, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#manager = manager;
    let rest = '';
    manager.stdout.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      this.#events.push(...lines);
    });
    manager.stderr.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
    await this.event('notify READY=1', 1);
  }

  /** `restart`, `kill`, `reload` or `quit`; it is done when the events say so. */
  order(what: 'restart' | 'kill' | 'reload' | 'quit'): void {
    this.#manager?.stdin?.write(`${what}\n`);
  }

  /** How many events begin with `text`. */
  count(text: string): number {
    return this.#events.filter((event) => event.startsWith(text)).length;
  }

  /** Resolves when `times` events begin with `text`. */
  async event(text: string, times: number): Promise<void> {
    const limit = AbortSignal.timeout(100_000);
    while (this.count(text) < times) {
      const state = `${this.#events.join('\n')}\n${this.#said}`;
      if (limit.aborted) throw new Error(`not ${times} times '${text}' within 100 s:\n${state}`);
      if (this.#manager?.exitCode !== null) throw new Error(`the manager has ended:\n${state}`);
      await systemClock.sleep(10);
    }
  }

  override async dispose(): Promise<void> {
    const manager = this.#manager;
    if (manager !== null && manager.exitCode === null) {
      const gone = once(manager, 'exit');
      this.order('quit');
      await gone;
    }
    await super.dispose();
  }
}
