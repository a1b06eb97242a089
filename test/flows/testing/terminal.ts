import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../../src/core/system-clock.ts';

const run = promisify(execFile);
/** For what appears on the screen; only a program that hangs takes so long. */
const APPEARS_MS = 60_000;

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A real terminal, by a tmux server of its own, in which one command line of a shell runs. */
export class Terminal {
  readonly #server = `pve-truenas-${randomUUID()}`;
  readonly #script: string;

  private constructor() {
    this.#script = join(tmpdir(), `${this.#server}.sh`);
  }

  /** `env`: what the command gets besides this process's own environment; a value of undefined takes one away. */
  static async open(
    command: string,
    { columns, rows }: TerminalSize,
    env: Readonly<Record<string, string | undefined>> = {},
  ): Promise<Terminal> {
    const terminal = new Terminal();
    const lines = Object.entries(env).map(([name, value]) => (value === undefined ? `unset ${name}` : `export ${name}=${quoted(value)}`));
    // What is typed later than the command ends meets cat and not a shell.
    writeFileSync(terminal.#script, ['#!/bin/bash', ...lines, command, 'echo "ended with $?"', 'exec cat', ''].join('\n'));
    chmodSync(terminal.#script, 0o700);
    await terminal.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', String(columns), '-y', String(rows), terminal.#script);
    return terminal;
  }

  /** Types text, then Enter. */
  async answer(text: string): Promise<void> {
    if (text !== '') await this.#tmux('send-keys', '-l', '--', text);
    await this.press('Enter');
  }

  /** Presses one key by tmux's name for it: `C-c`, `C-d`, `Enter`. */
  async press(key: string): Promise<void> {
    await this.#tmux('send-keys', key);
  }

  /** All that was shown, lines that were broken at the edge joined; with `escapes` also the colours. */
  async screen({ escapes = false } = {}): Promise<string> {
    const { stdout } = await this.#tmux('capture-pane', '-p', '-J', '-S', '-', ...(escapes ? ['-e'] : []));
    return stdout.replace(/[ \n]+$/, '\n');
  }

  /** Resolves to the screen as soon as it shows `wanted`. */
  async shows(wanted: string | RegExp): Promise<string> {
    const limit = AbortSignal.timeout(APPEARS_MS);
    for (;;) {
      const screen = await this.screen();
      if (typeof wanted === 'string' ? screen.includes(wanted) : wanted.test(screen)) return screen;
      if (limit.aborted) throw new Error(`the terminal did not show ${String(wanted)}, but:\n${screen}`);
      await systemClock.sleep(50);
    }
  }

  /** Waits for the command's end and gives its exit status. */
  async ended(): Promise<{ readonly status: number; readonly screen: string }> {
    const screen = await this.shows(/ended with \d+/);
    return { status: Number(/ended with (\d+)/.exec(screen)?.[1]), screen };
  }

  async close(): Promise<void> {
    await this.#tmux('kill-server').catch(() => undefined);
    rmSync(this.#script, { force: true });
  }

  #tmux(...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    // tmux asks the terminal that it is started from for nothing: there is none.
    return run('tmux', ['-L', this.#server, ...args], { env: { ...process.env, TERM: 'xterm-256color', TMUX: '' } });
  }
}

export function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
