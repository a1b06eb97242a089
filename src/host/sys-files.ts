import { constants, readdirSync, readlinkSync, watch } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';

export type NodeKind = 'block' | 'file' | 'directory' | 'other';

/**
 * The files of this node (sysfs, procfs, /dev, node records), all paths absolute. Reads of what is absent answer null or `[]`:
 * sysfs entries come and go under our hands. Every other failure is thrown as Node's own error with `code`.
 */
export interface SysFiles {
  /** Text without white space at its end; null when absent (or when what is behind it went: ENODEV, ENXIO, ENOTCONN). */
  read(path: string): Promise<string | null>;
  /** Writes an attribute or file in place. */
  write(path: string, text: string): Promise<void>;
  /** Creates or replaces a regular file in one step (temporary file, fsync, rename) with `mode`. */
  replace(path: string, text: string, mode: number): Promise<void>;
  /** Names in a directory, sorted; empty when absent. */
  list(path: string): Promise<readonly string[]>;
  /** The text of a symlink; null when absent or no link. */
  readLink(path: string): Promise<string | null>;
  /** The texts of all symlinks in a directory; empty when absent. For procfs and sysfs alone, where nothing waits for a disk. */
  linksIn(path: string): Promise<readonly string[]>;
  /** Follows all links; null when it leads nowhere. */
  resolve(path: string): Promise<string | null>;
  /** What `path` leads to; null when nothing. */
  kind(path: string): Promise<NodeKind | null>;
  /** Sets a symlink in one step, replacing what was there; makes missing directories. */
  link(path: string, text: string): Promise<void>;
  /** Removes a file or link; nothing to do when absent. */
  remove(path: string): Promise<void>;
  /** Whether a mount, dm, md, swap or another exclusive opener has claimed the block device (open with O_EXCL says EBUSY). */
  claimed(path: string): Promise<boolean>;
  /** Calls `changed` with the name of an entry of a directory that changed, null where that is not told. A hint only: waits poll as well. Returns the way to stop. */
  watch(path: string, changed: (name: string | null) => void): () => void;
}

// ENOTCONN: the address of an iSCSI connection while it is down (Linux, iscsi_sw_tcp_conn_get_param).
const GONE = new Set(['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO', 'ESRCH', 'EINVAL', 'ENOTCONN']);

/** After so many reads without a thread, a few ms, everything else has its turn. */
const AT_ONCE = 500;

/** The real files below `root`; tests give a directory of their own. */
export class RootedFiles implements SysFiles {
  readonly #root: string;
  #readAtOnce = 0;

  constructor(root = '/') {
    this.#root = root;
  }

  async read(path: string): Promise<string | null> {
    return orNull(async () => (await fs.readFile(this.at(path), 'utf8')).trimEnd());
  }

  async write(path: string, text: string): Promise<void> {
    // No O_CREAT: an attribute that is not there must not become a regular file.
    const handle = await fs.open(this.at(path), constants.O_WRONLY);
    try {
      await handle.write(text);
    } finally {
      await handle.close();
    }
  }

  async replace(path: string, text: string, mode: number): Promise<void> {
    const target = this.at(path);
    const temporary = temporaryName(target);
    const handle = await fs.open(temporary, 'wx', mode);
    try {
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.rename(temporary, target);
    } catch (error) {
      await fs.rm(temporary, { force: true });
      throw error;
    }
  }

  async list(path: string): Promise<readonly string[]> {
    return ((await orNull(() => fs.readdir(this.at(path)))) ?? []).sort();
  }

  async readLink(path: string): Promise<string | null> {
    return orNull(() => fs.readlink(this.at(path)));
  }

  async linksIn(path: string): Promise<readonly string[]> {
    // A busy node has ten thousands of descriptors: a call to a thread for each takes ten times what the kernel takes to answer.
    const texts: string[] = [];
    const names = orNullAtOnce(() => readdirSync(this.at(path))) ?? [];
    this.#readAtOnce += 1 + names.length;
    if (this.#readAtOnce > AT_ONCE) {
      this.#readAtOnce = 0;
      await turn();
    }
    for (const name of names) {
      const text = orNullAtOnce(() => readlinkSync(this.at(`${path}/${name}`)));
      if (text !== null) texts.push(text);
    }
    return texts;
  }

  async resolve(path: string): Promise<string | null> {
    // By hand and not by realpath(3): the texts of links are absolute paths of the node, which `root` is put before.
    let todo = path.split('/').filter((part) => part !== '');
    let done: string[] = [];
    for (let steps = 0; todo.length > 0; steps += 1) {
      if (steps > 200) return null;
      const [part = '', ...rest] = todo;
      todo = rest;
      if (part === '.') continue;
      if (part === '..') {
        done.pop();
        continue;
      }
      const text = await this.readLink(`/${[...done, part].join('/')}`);
      if (text === null) done.push(part);
      else {
        if (text.startsWith('/')) done = [];
        todo = [...text.split('/').filter((piece) => piece !== ''), ...todo];
      }
    }
    const resolved = `/${done.join('/')}`;
    return (await this.kind(resolved)) === null ? null : resolved;
  }

  async kind(path: string): Promise<NodeKind | null> {
    const stat = await orNull(() => fs.stat(this.at(path)));
    if (stat === null) return null;
    if (stat.isBlockDevice()) return 'block';
    if (stat.isFile()) return 'file';
    return stat.isDirectory() ? 'directory' : 'other';
  }

  async link(path: string, text: string): Promise<void> {
    const target = this.at(path);
    await fs.mkdir(dirname(target), { recursive: true, mode: 0o755 });
    const temporary = temporaryName(target);
    await fs.symlink(text, temporary);
    try {
      await fs.rename(temporary, target);
    } catch (error) {
      await fs.rm(temporary, { force: true });
      throw error;
    }
  }

  async remove(path: string): Promise<void> {
    await orNull(() => fs.unlink(this.at(path)));
  }

  async claimed(path: string): Promise<boolean> {
    try {
      const handle = await fs.open(this.at(path), constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK);
      await handle.close();
      return false;
    } catch (error) {
      if (codeOf(error) === 'EBUSY') return true;
      if (GONE.has(codeOf(error))) return false;
      // A dead device (RP-12) answers EIO: nobody can have claimed more of it than the kernel's holders show.
      if (codeOf(error) === 'EIO' || codeOf(error) === 'ENOMEDIUM') return false;
      throw error;
    }
  }

  watch(path: string, changed: (name: string | null) => void): () => void {
    try {
      const watcher = watch(this.at(path), { persistent: false }, (_, name) => changed(name));
      watcher.on('error', () => watcher.close());
      return () => watcher.close();
    } catch {
      // Directory absent, or no inotify instance left: the poll beside it goes on alone.
      return () => undefined;
    }
  }

  /** The path as the operating system sees it. */
  protected at(path: string): string {
    return join(this.#root, path);
  }
}

/** The errno name of a failure of node:fs, or ''. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function temporaryName(path: string): string {
  return `${dirname(path)}/.${randomBytes(8).toString('hex')}.tmp`;
}

/** What `work` reads; null when it says that what it was to read is not there. Errors: every other failure, Node's own with `code`. */
async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    return nullWhenGone(error);
  }
}

function orNullAtOnce<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    return nullWhenGone(error);
  }
}

function nullWhenGone(error: unknown): null {
  if (GONE.has(codeOf(error))) return null;
  throw error;
}
