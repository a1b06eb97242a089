import { spawn } from 'node:child_process';

export interface CommandOutput {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly signal: AbortSignal;
  readonly env?: Readonly<Record<string, string>>;
  /** Exit statuses that are no failure; default 0. */
  readonly expect?: readonly number[];
}

/** ms; no single command of the demo takes longer */
const LIMIT = 300_000;

/** Runs a command to its end. Throws with what it said when its exit status is not an expected one, or when `signal` aborts. */
export async function run(argv: readonly [string, ...string[]], options: CommandOptions): Promise<CommandOutput> {
  const output = await finish(argv, options);
  options.signal.throwIfAborted();
  if (!(options.expect ?? [0]).includes(output.status)) {
    const said = [output.stderr.trim(), output.stdout.trim()].filter((text) => text !== '').join('\n');
    throw new Error(`${argv.join(' ')}\nexit status ${output.status}${said === '' ? '' : `:\n${said}`}`);
  }
  return output;
}

function finish(argv: readonly [string, ...string[]], options: CommandOptions): Promise<CommandOutput> {
  const [program, ...args] = argv;
  const { signal } = options;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const env = { ...process.env, LC_ALL: 'C.UTF-8', ...options.env };
    // A process group of its own: Ctrl-C must not tear it out of our hands before we know.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
    const kill = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGTERM');
      } catch {
        // it has just ended
      }
    };
    const timer = setTimeout(kill, LIMIT);
    signal.addEventListener('abort', kill, { once: true });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    const clean = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
    };
    child.once('error', (error) => {
      clean();
      reject(new Error(`cannot run ${program}: ${error.message}`));
    });
    child.once('close', (status) => {
      clean();
      resolve({ status: status ?? 255, stdout: Buffer.concat(stdout).toString('utf8'), stderr: Buffer.concat(stderr).toString('utf8') });
    });
  });
}
