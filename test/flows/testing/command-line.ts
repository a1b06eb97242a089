import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { DaemonProcess } from './daemon-process.ts';

const CLI = join(import.meta.dirname, '../../../dist/pve-truenas.mjs');

export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** The real command line as a process of its own, asking this daemon; its output is a pipe. */
export function runCli(daemon: DaemonProcess, ...argv: readonly string[]): Promise<Outcome> {
  const env = { ...process.env, PVE_TRUENAS_SOCKET: daemon.socket };
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...argv], { env }, (error, out, err) => {
      resolve({ status: error === null ? 0 : Number(error.code), out, err });
    });
  });
}
