import type { Clock } from '../core/ports.ts';

/** What the command line touches of its surroundings; tests hand in their own. */
export interface CliIo {
  out(text: string): void;
  err(text: string): void;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

/** Exit codes of every command. `unusable`: wrong flags, names or files; nothing was asked then. */
export const EXIT = { healthy: 0, warning: 1, critical: 2, unusable: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
