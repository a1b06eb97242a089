import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { Journal, OpenOperation } from '../core/journal-port.ts';
import type { Log } from '../core/ports.ts';

const FILE = /^([0-9a-f-]{36})\.json$/;
/** An entry that is being written: nothing has been done under it yet. */
const UNFINISHED = /^[0-9a-f-]{36}\.json\.new$/;

const operation = z.object({
  id: z.uuid(),
  kind: z.enum(['allocate', 'free']),
  begun: z.number(),
  node: z.string(),
  storage: z.string(),
  section: z.record(z.string(), z.unknown()),
  zvol: z.string(),
  target: z.int().optional(),
  was: z
    .object({
      owner: z.string().nullable(),
      creation: z.number().nullable(),
      extent: z.int().nullable(),
      naa: z.string().nullable(),
      mappings: z.array(z.int()),
    })
    .optional(),
});

/** Open operations as one file each below `directory` (0700), written durably: the file is there before the first step. */
export class FileJournal implements Journal {
  readonly #directory: string;
  readonly #log: Log;
  /** When each entry was begun (ms since the epoch), by id. */
  readonly #begun = new Map<string, number>();
  /** Told of operations that their caller left open. */
  onLeft: (operation: OpenOperation) => void = () => undefined;

  private constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  /** The journal of this daemon, the only one that writes there. What a killed one had begun to write, and acted on nothing of, is removed. */
  static async open(directory: string, log: Log): Promise<FileJournal> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const unfinished = (await readdir(directory)).filter((name) => UNFINISHED.test(name));
    await Promise.all(unfinished.map((name) => unlink(join(directory, name))));
    return new FileJournal(directory, log);
  }

  async begin(entry: OpenOperation): Promise<void> {
    const path = this.#path(entry.id);
    const temporary = `${path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(entry)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    this.#begun.set(entry.id, entry.begun);
    await this.#syncDirectory();
  }

  async end(id: string): Promise<void> {
    try {
      await unlink(this.#path(id));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    this.#begun.delete(id);
    await this.#syncDirectory();
  }

  /** A file that cannot be read is kept, reported and left out: it may be from a newer version. */
  async list(): Promise<readonly OpenOperation[]> {
    const found: OpenOperation[] = [];
    for (const name of (await readdir(this.#directory)).sort()) {
      if (!FILE.test(name)) continue;
      try {
        const parsed = operation.parse(JSON.parse(await readFile(join(this.#directory, name), 'utf8')));
        const { target, was, ...rest } = parsed;
        this.#begun.set(rest.id, rest.begun);
        found.push({ ...rest, ...(target === undefined ? {} : { target }), ...(was === undefined ? {} : { was }) });
      } catch (error) {
        this.#log.error('a journal entry cannot be read and is left as it is', { file: join(this.#directory, name), error: String(error) });
      }
    }
    return found;
  }

  /** Entries that this process knows of, and when the oldest was begun (ms since the epoch; null: there is none). */
  get summary(): { readonly entries: number; readonly oldest: number | null } {
    return { entries: this.#begun.size, oldest: this.#begun.size === 0 ? null : Math.min(...this.#begun.values()) };
  }

  leave(operation: OpenOperation): void {
    this.onLeft(operation);
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.json`);
  }

  async #syncDirectory(): Promise<void> {
    const directory = await open(this.#directory, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}
