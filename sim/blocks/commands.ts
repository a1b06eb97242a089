import { execFile } from 'node:child_process';

/** Commands of the simulator end within this, also on a machine that is busy with tests; ms. */
const COMMAND_TIMEOUT = 60_000;
const MAX_OUTPUT = 16 * 1024 * 1024;

/** Runs a program with arguments, without a shell. Resolves with its stdout; rejects with its stderr. */
export function runCommand(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  timeout = COMMAND_TIMEOUT,
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(file, [...args], { env: { ...process.env, ...environment }, timeout, maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      // the arguments are left out: they may hold a CHAP secret
      else reject(new Error(`${file} ${args[0] ?? ''}: ${stderr.trim() === '' ? describe(error) : stderr.trim()}`));
    });
  });
}

function describe(error: Error & { readonly code?: string | number | null; readonly killed?: boolean }): string {
  if (error.code === 'ENOENT') return 'the program is not installed';
  return error.killed === true ? 'took too long' : `exit code ${String(error.code)}`;
}
