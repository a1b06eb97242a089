import { createInterface, type Interface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { isatty } from 'node:tty';
import { systemClock } from '../core/system-clock.ts';
import { run } from './program.ts';

// `pve-truenas list | head` closes our output early: that is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const INTERRUPTS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** bytes of standard input that are read */
const MAX_INPUT = 64 * 1024;

process.exitCode = await run(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  // isTTY is undefined in a pipe, for which picocolors takes a guess of its own, by CI for instance
  isTerminal: isatty(1),
  env: process.env,
  clock: systemClock,
  ...(isatty(0) && isatty(1) ? { ask, askSecret } : {}),
  input,
  ...(isatty(2) ? { progress } : {}),
  onInterrupt: (stop) => {
    // Only the first of each: the second Ctrl-C ends the program as usual. A terminal that was closed is an interruption, too.
    for (const signal of INTERRUPTS) process.once(signal, stop);
    return () => {
      for (const signal of INTERRUPTS) process.off(signal, stop);
    };
  },
});

/** Standard input to its end. */
async function input(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_INPUT) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** At a question the terminal sends no signal for Ctrl-C: who waits for one hears of it all the same. */
function endedBy(lines: Interface): Promise<string> {
  const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  lines.once('SIGINT', () => {
    if (process.listenerCount('SIGINT') > 0) process.emit('SIGINT');
    lines.close();
  });
  return closed;
}

/** Ctrl-D and Ctrl-C are the answer "". */
async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const closed = endedBy(lines);
  try {
    return await Promise.race([lines.question(question), closed]);
  } finally {
    lines.close();
  }
}

/** Nothing of what is typed is shown: the terminal's echo goes into the void. */
async function askSecret(question: string): Promise<string> {
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: mute, terminal: true });
  // only now: who types as soon as the question is there must not see it either
  process.stdout.write(question);
  const closed = endedBy(lines);
  try {
    return await Promise.race([lines.question(''), closed]);
  } finally {
    lines.close();
    process.stdout.write('\n');
  }
}

/** One line that is written over; erased before anything else is shown. */
function progress(text: string | null): void {
  process.stderr.write(
    text === null ? '\r\x1b[K' : `\r\x1b[K${text.replace(/[^\x20-\x7e]/g, '?').slice(0, (process.stderr.columns || 80) - 1)}`,
  );
}
