import { spawn } from 'node:child_process';
import { StorageError } from '../../core/errors.ts';
import { printable } from '../../core/volume-name.ts';

/** More than any program here prints (bytes); what is beyond is dropped. */
const OUTPUT_LIMIT = 1024 * 1024;

export interface ProgramResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export type RunProgram = (program: string, args: readonly string[], ms: number) => Promise<ProgramResult>;

/**
 * Runs a program of the node, without a shell. It is in a session of its own: Ctrl-C at the terminal is for setup, which takes back what was
 * made, and must not cut the program off halfway. Errors: HOST_COMMAND when it is missing or killed, or takes longer than `ms`.
 */
export function runProgram(program: string, args: readonly string[], ms: number): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: environment(), cwd: '/' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', keep(out));
    child.stderr.on('data', keep(err));
    const limit = setTimeout(() => killGroup(child.pid), ms);
    child.once('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(limit);
      const why = cause.code === 'ENOENT' ? 'is not installed on this node' : `could not be started: ${cause.message}`;
      reject(new StorageError('HOST_COMMAND', `${program} ${why}`, { cause }));
    });
    child.once('close', (exitCode, killedBy) => {
      clearTimeout(limit);
      const [stdout, stderr] = [out, err].map((chunks) => Buffer.concat(chunks).toString('utf8')) as [string, string];
      if (exitCode !== null) resolve({ stdout, stderr, exitCode });
      else reject(new StorageError('HOST_COMMAND', `${program} was ended by ${String(killedBy)} within ${ms / 1000} s`));
    });
  });
}

/** What a failed program wrote, as lines that move no terminal's cursor. */
export function wordsOf({ stdout, stderr, exitCode }: ProgramResult): string {
  const text = [stderr, stdout].map((one) => one.trim()).find((one) => one !== '') ?? `exit status ${exitCode}`;
  return text.split('\n').map(printable).join('\n');
}

/** The administrator's secrets are not for other programs. */
function environment(): NodeJS.ProcessEnv {
  const { PVE_TRUENAS_ADMIN_PASSWORD: _password, PVE_TRUENAS_ADMIN_KEY: _key, ...rest } = process.env;
  return { ...rest, LC_ALL: 'C' };
}

function keep(chunks: Buffer[]): (chunk: Buffer) => void {
  let room = OUTPUT_LIMIT;
  return (chunk) => {
    if (room > 0) chunks.push(chunk.subarray(0, room));
    room -= chunk.length;
  };
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // it has ended meanwhile
  }
}
