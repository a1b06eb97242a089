import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
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
  ...(process.stdin.isTTY && process.stdout.isTTY ? { ask, askSecret } : {}),
  ...(process.stderr.isTTY ? { progress } : {}),
  onInterrupt: (stop) => {
    // Only the first: the second Ctrl-C ends the program as usual
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    return () => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    };
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

/** Nothing of what is typed is shown: the terminal's echo goes into the void. */
async function askSecret(question: string): Promise<string> {
  process.stdout.write(question);
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: mute, terminal: true });
  const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  lines.once('SIGINT', () => lines.close());
  try {
    return await Promise.race([lines.question(''), closed]);
  } finally {
    lines.close();
    process.stdout.write('\n');
  }
}

/** One line that is written over; erased before anything else is shown. */
function progress(text: string | null): void {
  process.stderr.write(text === null ? '\r\x1b[K' : `\r\x1b[K${text.replace(/[^\x20-\x7e]/g, '?').slice(0, 79)}`);
}
