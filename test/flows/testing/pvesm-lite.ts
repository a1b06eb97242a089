import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DaemonProcess } from './daemon-process.ts';

const PROGRAM = join(import.meta.dirname, '../../../perl/t/bin/pvesm-lite');

export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** `pvesm` on a node with this daemon: the real Perl module, each operation a process of its own. */
export class PvesmLite {
  readonly #daemon: DaemonProcess;

  constructor(daemon: DaemonProcess) {
    this.#daemon = daemon;
  }

  /** Settings as flags; a secret (`api_key`, `chap_password`) goes by a file. `null` deletes (set only). */
  change(
    operation: 'add' | 'set',
    storage: string,
    settings: Readonly<Record<string, string | number | null>>,
    secrets: Readonly<Record<string, string>> = {},
  ): Promise<Outcome> {
    const given = Object.entries(settings).flatMap(([name, value]) => (value === null ? [] : [`--${name}`, String(value)]));
    const deleted = Object.entries(settings).flatMap(([name, value]) => (value === null ? [name] : []));
    const files = Object.entries(secrets).flatMap(([name, value]) => {
      const file = join(this.#daemon.directory, `given-${name}`);
      writeFileSync(file, `${value}\n`, { mode: 0o600 });
      return [`--${name}-file`, file];
    });
    return this.run([operation, storage, ...given, ...files, ...(deleted.length === 0 ? [] : ['--delete', deleted.join(',')])]);
  }

  run(args: readonly string[]): Promise<Outcome> {
    const at = (name: string): string => join(this.#daemon.directory, name);
    const places = ['--storage-cfg', at('storage.cfg'), '--priv-dir', at('priv'), '--run-dir', at('run'), '--link-dir', at('links')];
    return new Promise((resolve, reject) => {
      execFile(
        'perl',
        ['-T', PROGRAM, ...places, '--socket', this.#daemon.socket, '--node', this.#daemon.node, ...args],
        { timeout: 100_000 },
        (error, out, err) => {
          if (error === null) resolve({ status: 0, out, err });
          else if (typeof error.code === 'number') resolve({ status: error.code, out, err });
          else reject(new Error(`perl did not end by itself: ${error.message}`));
        },
      );
    });
  }

  /** What a refused change must leave as it was: storage.cfg and every secret, by name. */
  kept(): Readonly<Record<string, string>> {
    const { directory } = this.#daemon;
    const files = ['storage.cfg', ...readdirSync(join(directory, 'priv')).map((name) => `priv/${name}`)].sort();
    return Object.fromEntries(files.map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
  }
}
