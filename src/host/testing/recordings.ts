import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandResult } from '../commands.ts';

/** One file for each situation, in a folder named after the program and its version. */
export const RECORDED = join(import.meta.dirname, 'recorded');

/** The kernel that was recorded. */
export const LINUX = 'linux-6.12.117+deb13-amd64';

/** What a program said in a VM with real targets, sessions and multipath (test/lab/record): `iscsiadm-2.1.11/login`. */
export function recorded(name: string): CommandResult {
  const text = readFileSync(join(RECORDED, `${name}.txt`), 'utf8');
  const [, exit, stdout, stderr] = /^\$ .*\nexit (\d+)\n--- stdout\n([^]*)--- stderr\n([^]*)$/.exec(text) ?? [];
  if (exit === undefined || stdout === undefined || stderr === undefined) throw new Error(`${name} is no recording`);
  return { exitCode: Number(exit), stdout, stderr };
}
