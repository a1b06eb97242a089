import type { Clock } from '../core/ports.ts';

/** What the command line touches of its surroundings; tests hand in their own. */
export interface CliIo {
  out(text: string): void;
  err(text: string): void;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Asks a question and gives the line that is typed; absent where nobody sits at a terminal. */
  ask?(question: string): Promise<string>;
  /** The same without showing what is typed. */
  askSecret?(question: string): Promise<string>;
  /** Standard input to its end. */
  input?(): Promise<string>;
  /** Shows what is being done, or (null) takes that away again; absent where standard error is no terminal. */
  progress?(text: string | null): void;
  /** Calls `stop` at the first Ctrl-C instead of ending at once; returns the way to leave it. */
  onInterrupt?(stop: () => void): () => void;
}

/** Exit codes of every command. `unusable`: wrong flags, names or files; nothing was asked then. */
export const EXIT = { healthy: 0, warning: 1, critical: 2, unusable: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
