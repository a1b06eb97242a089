import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';

export interface CommandResult {
  /** Exit status; null when a signal ended it or it could not be started. */
  readonly status: number | null;
  /** stdout and stderr, in the order they came */
  readonly output: string;
  readonly timedOut: boolean;
}

export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** When it aborts, the command and all its children get SIGTERM, and `killAfterMs` (default 5000) later SIGKILL. */
  readonly limit: AbortSignal;
  readonly killAfterMs?: number;
  /** File that gets the output too. */
  readonly logFile: string;
  readonly onOutput?: (text: string) => void;
}

const KILL_AFTER_MS = 5_000;
const running = new Set<ChildProcess>();

/** Runs a command in a process group of its own, without stdin. Never rejects: what cannot be started has status null. */
export function runCommand(command: Command): Promise<CommandResult> {
  const [program, ...args] = command.argv;
  return new Promise((resolve) => {
    const log = createWriteStream(command.logFile);
    log.on('error', () => undefined); // a full disk must not hide the suite's own result
    const chunks: Buffer[] = [];
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      log.write(chunk);
      command.onOutput?.(chunk.toString('utf8'));
    };
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...process.env, ...command.env } });
    running.add(child);
    let timedOut = false;
    let lastResort: NodeJS.Timeout | undefined;
    const stop = (): void => {
      timedOut = true;
      take(Buffer.from('\nstopped: it took too long\n'));
      signalGroup(child, 'SIGTERM');
      lastResort = setTimeout(() => signalGroup(child, 'SIGKILL'), command.killAfterMs ?? KILL_AFTER_MS);
    };
    command.limit.addEventListener('abort', stop, { once: true });
    const end = (status: number | null): void => {
      command.limit.removeEventListener('abort', stop);
      clearTimeout(lastResort);
      running.delete(child);
      log.end(() => resolve({ status: timedOut ? null : status, output: Buffer.concat(chunks).toString('utf8'), timedOut }));
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', (error) => {
      take(Buffer.from(`cannot start ${program}: ${error.message}\n`));
      if (child.pid === undefined) end(null);
    });
    child.once('close', (status) => end(status));
  });
}

/** Passes a signal on to everything that runs. */
export function signalAll(signal: NodeJS.Signals): void {
  for (const child of running) signalGroup(child, signal);
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // the group is gone already
  }
}
