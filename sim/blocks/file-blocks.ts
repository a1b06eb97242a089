import { existsSync, statSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import type { BlockStore } from './block-store.ts';
import { runCommand } from './commands.ts';

const SUFFIX = '.img';
const UNFINISHED = '.new';
const SECTOR = 512;
/** copying a big volume on a busy machine, ms */
const COPY_TIMEOUT = 600_000;

/** Volumes and snapshots as sparse files in one directory. Copies share blocks where the filesystem can (reflink). */
export class FileBlocks implements BlockStore {
  readonly live = true;
  private readonly directory: string;
  private readonly generations = new Map<string, number>();

  constructor(directory: string) {
    this.directory = directory;
  }

  path(key: string): string {
    return path.join(this.directory, `${key}${SUFFIX}`);
  }

  exists(key: string): boolean {
    return existsSync(this.path(key));
  }

  /** Changes when the file behind `key` became another one: who has it open must open it again. */
  generation(key: string): number {
    return this.generations.get(key) ?? 0;
  }

  async prepare(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
  }

  async create(key: string, bytes: number): Promise<void> {
    const file = await open(this.path(key), 'wx', 0o600);
    try {
      await file.truncate(bytes);
    } finally {
      await file.close();
    }
  }

  async resize(key: string, bytes: number): Promise<void> {
    await truncate(this.path(key), bytes);
  }

  copy(from: string, to: string): Promise<void> {
    return this.replace(from, to);
  }

  async restore(snapshot: string, key: string): Promise<void> {
    await this.replace(snapshot, key);
    this.generations.set(key, this.generation(key) + 1);
  }

  async remove(key: string): Promise<void> {
    await rm(this.path(key), { force: true });
    this.generations.delete(key);
  }

  allocated(key: string): number {
    const found = statSync(this.path(key), { throwIfNoEntry: false });
    return found === undefined ? 0 : found.blocks * SECTOR;
  }

  async ensure(key: string, bytes: number): Promise<void> {
    const size = await stat(this.path(key)).then(
      (found) => found.size,
      () => null,
    );
    if (size === null) await this.create(key, bytes);
    else if (size !== bytes) await this.resize(key, bytes);
  }

  async prune(known: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.directory)) {
      const unfinished = name.endsWith(UNFINISHED);
      if (unfinished || (name.endsWith(SUFFIX) && !known.has(name.slice(0, -SUFFIX.length))))
        await rm(path.join(this.directory, name), { force: true });
    }
  }

  /** The copy appears under its name only when it is complete. */
  private async replace(from: string, to: string): Promise<void> {
    const unfinished = `${this.path(to)}${UNFINISHED}`;
    await runCommand('cp', ['--reflink=auto', '--sparse=always', '--', this.path(from), unfinished], {}, COPY_TIMEOUT);
    await rename(unfinished, this.path(to));
  }
}
