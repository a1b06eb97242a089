import { spawn } from 'node:child_process';
import xterm from '@xterm/headless';

/** Columns of all pictures. */
export const COLUMNS = 100;
/** More than any picture has: what scrolls out is lost. */
const ROWS = 200;

/** Neighbouring characters of one look. */
export interface Span {
  readonly text: string;
  /** One of the terminal's 16 colours; null: its default. */
  readonly colour: number | null;
  readonly bold: boolean;
  readonly dim: boolean;
}
export type Line = readonly Span[];

interface Answer {
  /** What the program shows before it waits. */
  readonly prompt: string;
  readonly answer: string;
}

interface Session {
  readonly status: number | null;
  /** All that the program wrote, with its escape sequences. */
  readonly output: string;
}

/**
 * Runs a program at a terminal of its own, where it has colours and may ask. Answers are typed in their order, each as soon as its prompt is there.
 * Errors: when `signal` aborts, with what was shown so far.
 */
export async function runAtTerminal(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  answers: readonly Answer[],
  signal: AbortSignal,
): Promise<Session> {
  const command = `stty cols ${COLUMNS} rows ${ROWS}; exec ${argv.map(quoted).join(' ')}`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env, TERM: 'xterm-256color', NO_COLOR: '', SHELL: '/bin/sh' },
    signal,
  });
  let output = '';
  let seen = 0;
  const open = [...answers];
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
    const [next] = open;
    const at = next === undefined ? -1 : output.indexOf(next.prompt, seen);
    if (next === undefined || at < 0) return;
    open.shift();
    seen = at + next.prompt.length;
    child.stdin.write(`${next.answer}\r`);
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', () => reject(new Error(`'${argv.join(' ')}' did not end; it showed:\n${output}`)));
    child.once('close', resolve);
  });
  if (open.length > 0) throw new Error(`never asked: ${open.map(({ prompt }) => prompt).join(', ')}; shown was:\n${output}`);
  return { status, output };
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** What a terminal of COLUMNS shows when this was written to it, without empty lines at the end. */
export async function screenOf(output: string): Promise<readonly Line[]> {
  const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(output, resolve));
  const lines: Line[] = [];
  for (let y = 0; y < ROWS; y += 1) lines.push(lineOf(terminal, y));
  terminal.dispose();
  while (lines.at(-1)?.length === 0) lines.pop();
  return lines;
}

function lineOf(terminal: xterm.Terminal, y: number): Line {
  const row = terminal.buffer.active.getLine(y);
  const spans: Span[] = [];
  for (let x = 0; x < COLUMNS; x += 1) {
    const cell = row?.getCell(x);
    if (cell === undefined) break;
    const look = { colour: cell.isFgDefault() ? null : cell.getFgColor(), bold: cell.isBold() !== 0, dim: cell.isDim() !== 0 };
    const text = cell.getChars() === '' ? ' ' : cell.getChars();
    const last = spans.at(-1);
    if (last !== undefined && last.colour === look.colour && last.bold === look.bold && last.dim === look.dim)
      spans[spans.length - 1] = { ...last, text: last.text + text };
    else spans.push({ text, ...look });
  }
  const end = spans.at(-1);
  if (end !== undefined) spans[spans.length - 1] = { ...end, text: end.text.trimEnd() };
  while (spans.at(-1)?.text === '') spans.pop();
  return spans;
}
