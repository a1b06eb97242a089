import Table from 'cli-table3';
import pc from 'picocolors';

export type Colours = ReturnType<typeof pc.createColors>;

/** Colours or, where they are off, functions that change nothing. */
export function coloursFor(on: boolean): Colours {
  return pc.createColors(on);
}

/** Text from outside without anything that moves a terminal's cursor. */
export function clean(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, '?');
}

/** The same for a text of several lines, which stay lines. */
export function cleanLines(text: string): string {
  return text.split('\n').map(clean).join('\n');
}

/** The colour of a state word. */
export function stateWord(colours: Colours, state: string): string {
  switch (state) {
    case 'healthy':
    case 'ok':
      return colours.green(state);
    case 'degraded':
    case 'warning':
      return colours.yellow(state);
    case 'hint':
      return colours.cyan(state);
    case 'unused':
      return colours.dim(state);
    default:
      return colours.red(clean(state));
  }
}

/** Unix seconds as local time with its zone, `2026-11-23 09:20:00 +0100`; `-` where there is none. */
export function formatTime(seconds: number | undefined, offsetMinutes?: number): string {
  if (seconds === undefined) return '-';
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return '-';
  const offset = offsetMinutes ?? -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offset * 60_000).toISOString();
  const zone = Math.abs(offset);
  const digits = `${String(Math.floor(zone / 60)).padStart(2, '0')}${String(zone % 60).padStart(2, '0')}`;
  return `${local.slice(0, 10)} ${local.slice(11, 19)} ${offset < 0 ? '-' : '+'}${digits}`;
}

export interface Column<R> {
  readonly head: string;
  readonly align?: 'left' | 'right';
  readonly value: (row: R) => string;
}

const NO_LINES = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
    'mid-mid',
    'right',
    'right-mid',
    'middle',
  ].map((part) => [part, '']),
);

/** Rows in aligned columns without any lines, each line ended and without blanks at its end. */
export function table<R>(columns: readonly Column<R>[], rows: readonly R[], colours: Colours): string {
  const drawn = new Table({
    head: columns.map((column) => colours.bold(column.head)),
    colAligns: columns.map((column) => column.align ?? 'left'),
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2, compact: true },
  });
  drawn.push(...rows.map((row) => columns.map((column) => column.value(row))));
  return `${drawn
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}
