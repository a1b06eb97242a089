import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { StorageError } from '../core/errors.ts';
import { CONNECTION, FABRIC } from './active-settings.ts';

export type SecretName = 'api_key' | 'chap_password';

export interface Secret {
  readonly value: string;
  /** Whether it stood in storage.cfg, where it does not belong: warn about it, without showing it. */
  readonly inline: boolean;
  /** Blanks beside it were cut off: whoever typed it may have meant them. */
  readonly padded: boolean;
}

const MAX_BYTES = 1024;
const STORAGE_ID = /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i;
const NAMES = {
  api_key: [CONNECTION.apiKey.name, ...CONNECTION.apiKey.aliases],
  chap_password: [FABRIC.chapPassword.name, ...FABRIC.chapPassword.aliases],
} as const;

/**
 * Reads a secret of a storage: from `<directory>/<id>.<name>`, else from the section itself, as the Perl plugins kept it
 * (F-402). The file is a regular one of at most 1 KiB that no other user may read; blanks around the value are cut off.
 * Null when it is in neither place. Neither the value nor any part of it gets into an error. Errors: SECRET_MISSING (the
 * file is empty), CONFIG_INVALID (it cannot be used).
 */
export async function readSecret(
  directory: string,
  id: string,
  name: SecretName,
  section: Readonly<Record<string, unknown>> = {},
): Promise<Secret | null> {
  if (!STORAGE_ID.test(id)) throw new StorageError('CONFIG_INVALID', `the storage id of a secret is not usable`);
  const path = join(directory, `${id}.${name}`);
  const stored = await readFileOf(path);
  if (stored !== null) return { value: checked(stored, name, path), inline: false, padded: isPadded(stored) };
  for (const key of NAMES[name]) {
    const value = section[key];
    if (typeof value === 'string' && value.trim() !== '') {
      return { value: checked(value, name, `${key} of storage '${id}'`), inline: true, padded: isPadded(value) };
    }
  }
  return null;
}

function isPadded(text: string): boolean {
  const line = text.replace(/\r?\n$/, '');
  return line !== line.trim();
}

/** The file's text; null when there is none. */
async function readFileOf(path: string): Promise<string | null> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null;
    throw unreadable(path, error);
  });
  if (file === null) return null;
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw unusable(path, 'is not a regular file');
    // pmxcfs shows every file below priv as 0600 root:www-data; anything wider lies elsewhere and was widened by someone
    if ((facts.mode & 0o077) !== 0) throw unusable(path, 'can be read by other users', [`chmod 0600 ${path}`]);
    const buffer = Buffer.alloc(MAX_BYTES + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > MAX_BYTES) throw unusable(path, 'is longer than 1 KiB');
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw error instanceof StorageError ? error : unreadable(path, error);
  } finally {
    await file.close();
  }
}

function checked(text: string, name: SecretName, where: string): string {
  const value = text.trim();
  if (value === '') throw new StorageError('SECRET_MISSING', `${where} is empty`);
  if (Buffer.byteLength(value) > MAX_BYTES) throw unusable(where, 'is longer than 1 KiB');
  // an API key is one word; a CHAP secret may hold blanks inside (truenas-api 7)
  const forbidden = name === 'api_key' ? /[\p{Cc}\s\uFFFD]/u : /[\p{Cc}\uFFFD]/u;
  if (forbidden.test(value)) throw unusable(where, 'holds characters that cannot be part of it (a line break, or bytes that are no text)');
  return value;
}

function unusable(what: string, why: string, hints?: readonly string[]): StorageError {
  return new StorageError('CONFIG_INVALID', `${what} ${why}`, hints === undefined ? {} : { hints });
}

function unreadable(path: string, error: unknown): StorageError {
  const code = errnoOf(error);
  if (code === 'ELOOP') return unusable(path, 'is a symbolic link, a regular file is wanted');
  return new StorageError('CONFIG_INVALID', `${path} cannot be read (${code ?? 'unknown error'})`, {
    hints: ['the cluster file system may be away: systemctl status pve-cluster'],
  });
}

function errnoOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
