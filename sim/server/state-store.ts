import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../src/core/ports.ts';
import type { Persistent } from '../api/contract.ts';

const WRITE_DELAY_MS = 200;

/** `--state DIR`: each persistent part is one JSON file, written soon after a change and at stop, atomically. */
export class StateStore {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #parts = new Map<string, Persistent>();
  readonly #dirty = new Set<string>();
  #cancel: (() => void) | null = null;

  constructor(directory: string, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Registers a part and loads what was kept of it; true when there was something. Errors: unreadable files. */
  add(part: Persistent): boolean {
    this.#parts.set(part.name, part);
    const file = this.#file(part.name);
    if (!existsSync(file)) return false;
    try {
      part.load(JSON.parse(readFileSync(file, 'utf8')));
    } catch (error) {
      throw new Error(`cannot read the kept state ${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    return true;
  }

  changed(name: string): void {
    this.#dirty.add(name);
    this.#cancel ??= this.#clock.after(WRITE_DELAY_MS, () => this.flush());
  }

  flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    for (const name of this.#dirty) {
      const part = this.#parts.get(name);
      if (part === undefined) continue;
      const file = this.#file(name);
      writeFileSync(`${file}.new`, JSON.stringify(part.dump()), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    }
    this.#dirty.clear();
  }

  #file(name: string): string {
    return join(this.#directory, `${name}.json`);
  }
}
