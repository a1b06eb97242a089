import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, utimes } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/** The repository. */
export const ROOT = resolve(import.meta.dirname, '../../..');

/** ms; a machine with other work needs minutes for a build */
const LIMIT = 280_000;

/** What a program prints; rejects with all it said when it fails. */
export async function output(
  argv: readonly [string, ...string[]],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const [program, ...args] = argv;
  const env = { ...process.env, ...options.env };
  const { stdout } = await exec(program, args, { cwd: options.cwd ?? ROOT, env, timeout: LIMIT, maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

/** How a clone and who builds in it may differ without a difference in what comes out. */
export interface Surroundings {
  readonly umask: string;
  /** Last change of every file. */
  readonly changed: Date;
  readonly env: Readonly<Record<string, string>>;
}

/** A fresh clone of what is in the repository now, in a directory of its own; `dispose` removes it. */
export class FreshClone {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<FreshClone> {
    // Beside the repository's own: the packages of node_modules come as hard links.
    const directory = await mkdtemp(join(ROOT, '.cache/clone-'));
    const names = (await output(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']))
      .split('\0')
      .filter((name) => name !== '');
    for (const name of names) await cp(join(ROOT, name), join(directory, name), { force: true, errorOnExist: false }).catch(gone);
    await output(['cp', '-al', join(ROOT, 'node_modules'), join(directory, 'node_modules')]);
    return new FreshClone(directory);
  }

  /** Runs `make deb`; resolves to the package's path. */
  async makeDeb({ umask, changed, env }: Surroundings): Promise<string> {
    const sources = ['find', '.', '-path', './node_modules', '-prune', '-o', '-type', 'f'] as const;
    // As git writes them under this umask.
    if (umask === '077') await output([...sources, '-exec', 'chmod', 'go=', '{}', '+'], { cwd: this.directory });
    const names = await output([...sources, '-print'], { cwd: this.directory });
    for (const name of names.split('\n').filter((line) => line !== '')) {
      await utimes(join(this.directory, name), changed, changed);
    }
    await output(['sh', '-c', 'umask "$1"; exec make deb', 'sh', umask], { cwd: this.directory, env });
    const [deb] = (await output(['sh', '-c', 'ls dist/*.deb'], { cwd: this.directory })).trim().split('\n');
    return join(this.directory, deb ?? 'dist/no.deb');
  }

  async dispose(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A file that is listed but deleted in the work tree is not part of what is there now. */
function gone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
