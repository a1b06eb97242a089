import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type CommandOptions, run } from './commands.ts';

/** sha256 by path inside the file system, `/etc/motd`. */
export type Checksums = ReadonlyMap<string, string>;

const MIB = 1024 * 1024;

/** Files as a guest might have them: empty, small, large, nested, with a blank in the name. */
function contents(): ReadonlyMap<string, Buffer> {
  return new Map([
    ['/etc/motd', Buffer.from('Welcome. This file system lives on a ZFS volume.\n')],
    ['/etc/empty', Buffer.alloc(0)],
    ['/srv/data with blanks.bin', randomBytes(3 * MIB + 17)],
    ['/srv/deep/er/and/deeper/numbers.txt', Buffer.from(Array.from({ length: 50_000 }, (_, n) => `${n}\n`).join(''))],
    ['/var/lib/database.bin', randomBytes(24 * MIB)],
  ]);
}

/** Makes an ext4 image of `size` bytes with files in it, without mounting anything. Gives the checksums of the files. */
export async function makeImage(folder: string, image: string, size: number, options: CommandOptions): Promise<Checksums> {
  const checksums = new Map<string, string>();
  for (const [path, content] of contents()) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
    checksums.set(path, sha256(content));
  }
  await run(['mkfs.ext4', '-q', '-F', '-L', 'demo', '-d', folder, image, `${size / 1024}k`], options);
  return checksums;
}

/** Files of the image whose content is not the expected one, or that cannot be read any more; empty = all are right. */
export async function wrongFiles(image: string, expected: Checksums, folder: string, options: CommandOptions): Promise<readonly string[]> {
  const wrong: string[] = [];
  await mkdir(folder, { recursive: true });
  for (const [path, checksum] of expected) {
    const out = join(folder, 'extracted');
    await rm(out, { force: true });
    // debugfs says what is wrong on standard error and ends with 0: only the file itself counts.
    await run(['debugfs', '-R', `dump "${path}" ${out}`, image], { ...options, expect: [0, 1] });
    const content = await readFile(out).catch(() => null);
    if (content === null || sha256(content) !== checksum) wrong.push(path);
  }
  return wrong;
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
