import { createInterface } from 'node:readline/promises';
import { systemClock } from '../core/system-clock.ts';
import { run } from './program.ts';

// `pve-truenas list | head` closes our output early: that is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await run(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isTerminal: process.stdout.isTTY,
  env: process.env,
  clock: systemClock,
  ...(process.stdin.isTTY && process.stdout.isTTY ? { ask } : {}),
  ...(process.stderr.isTTY ? { progress } : {}),
  onInterrupt: (stop) => {
    // Only the first: the second Ctrl-C ends the program as usual
    process.once('SIGINT', stop);
    return () => void process.off('SIGINT', stop);
  },
});

/** Ctrl-D and Ctrl-C are the answer "". */
async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  lines.once('SIGINT', () => lines.close());
  try {
    return await Promise.race([lines.question(question), closed]);
  } finally {
    lines.close();
  }
}

/** One line that is written over; erased before anything else is shown. */
function progress(text: string | null): void {
  process.stderr.write(text === null ? '\r\x1b[K' : `\r\x1b[K${text.replace(/[^\x20-\x7e]/g, '?').slice(0, 79)}`);
}
