import type { Command } from 'commander';
import type * as z from 'zod';
import type { CommandRun } from './commands/context.ts';

/** Runs the work that a parsed command line chose. */
export type Runner = (command: Command, run: CommandRun) => Promise<void>;

/** Headings of `pve-truenas --help`, in its order. */
export const COMMAND_GROUPS = ['Set up:', 'See:', 'Check:', 'Clean up:', 'Understand:'] as const;

/**
 * One command of the tree: help, completion and docs/reference/cli.md are made from these. A new command is a file of
 * commands/ that exports one, and its line in program.ts.
 */
export interface CommandDefinition {
  /** Words after `pve-truenas`: `config check`. */
  readonly path: string;
  readonly group: (typeof COMMAND_GROUPS)[number];
  /** Two or three sentences; the first one stands in the list of commands. */
  readonly description: string;
  /** What exit codes say of this command; 3, unusable input, is the same for all. */
  readonly exits: Partial<Readonly<Record<0 | 1 | 2, string>>>;
  /** Command lines after `pve-truenas`, with what each is for. */
  readonly examples: readonly { readonly line: string; readonly what: string }[];
  /** Shape of what `--json` prints. */
  readonly json: z.ZodType;
  /** Adds arguments and options, and the action that hands the work to `runner`. */
  build(command: Command, runner: Runner, program: Command): void;
}

/** First sentence of a description, for the list of commands. */
export function summaryOf(description: string): string {
  return /^.*?\.(?= |$)/s.exec(description)?.[0] ?? description;
}

/** What `--help` shows below the options: examples and exit codes. */
export function helpTail({ examples, exits }: CommandDefinition): string {
  const width = Math.max(...examples.map(({ line }) => line.length));
  return [
    '',
    'Examples:',
    ...examples.map(({ line, what }) => `  pve-truenas ${line.padEnd(width)}  ${what}`),
    '',
    'Exit codes:',
    ...Object.entries({ ...exits, 3: 'unusable input' }).map(([code, meaning]) => `  ${code}  ${meaning}`),
  ].join('\n');
}
