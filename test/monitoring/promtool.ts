import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { promtoolPath } from '../../tools/build/promtool.ts';

export interface PromtoolOutput {
  readonly status: number | null;
  readonly output: string;
}

/** Runs promtool with these arguments and this standard input; ends by its status and all it said. */
export async function promtool(args: readonly string[], input = '', cwd?: string): Promise<PromtoolOutput> {
  const program = promtoolPath();
  if (program === null) throw new Error('promtool is not here: make setup');
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], ...(cwd === undefined ? {} : { cwd }) });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stdin.on('error', () => undefined); // it may end before it has read all
  child.stdin.end(input);
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, output };
}
