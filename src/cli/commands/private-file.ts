import { type FileHandle, open, unlink } from 'node:fs/promises';
import { failure } from '../failure.ts';
import { clean } from '../render/text.ts';

interface NewFile {
  readonly path: string;
  readonly handle: FileHandle;
  /** Closes and removes it: what it was for did not work out. */
  discard(): Promise<void>;
}

/** A new file that only its owner may read. Errors: BAD_REQUEST as CliFailure (exit 3) when it exists or cannot be made. */
export async function createPrivately(path: string): Promise<NewFile> {
  const refuse = (why: string) =>
    failure('BAD_REQUEST', `${clean(path)} cannot be written: ${why}`, {
      causes: [],
      hints: ['name a file that is not there yet, in a directory that is'],
    });
  if (path === '' || path.includes('\0')) throw refuse('it is not a path');
  const handle = await open(path, 'wx', 0o600).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw refuse(code === 'EEXIST' ? 'it exists already' : code);
  });
  const discard = async (): Promise<void> => {
    await handle.close().catch(() => undefined);
    await unlink(path).catch(() => undefined);
  };
  return { path, handle, discard };
}

export async function writeAndClose({ handle }: NewFile, data: Buffer): Promise<void> {
  await handle.writeFile(data);
  await handle.close();
}
