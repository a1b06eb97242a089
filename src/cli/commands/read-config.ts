import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { failure } from '../failure.ts';
import { clean } from '../render/text.ts';

/** pmxcfs keeps no larger file */
const MAX_BYTES = 1024 * 1024;

/** The whole file as text. Errors: CONFIG_INVALID as CliFailure (exit 3) when it is none or cannot be read. */
export async function readConfig(path: string): Promise<string> {
  const unreadable = (why: string) =>
    failure('CONFIG_INVALID', `${clean(path)} cannot be read: ${why}`, {
      causes: [],
      hints: ['pve-truenas config check --file STORAGE.CFG'],
    });
  if (path === '' || path.includes('\0')) throw unreadable('it is not a path');
  // non-blocking: a pipe without a writer is refused instead of waited for
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw unreadable(error instanceof Error && 'code' in error ? String(error.code) : 'unknown error');
  });
  try {
    if (!(await file.stat()).isFile()) throw unreadable('it is not a regular file');
    const buffer = Buffer.alloc(MAX_BYTES + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (bytesRead === 0 || length > MAX_BYTES) break;
    }
    if (length > MAX_BYTES) throw unreadable('it is longer than 1 MiB');
    const text = buffer.toString('utf8', 0, length);
    if (text.includes('\0')) throw unreadable('it is no text');
    return text;
  } finally {
    await file.close();
  }
}
