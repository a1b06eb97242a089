import { readFile } from 'node:fs/promises';
import { LOG_LEVELS, type LogLevel } from '../observe/log.ts';

/**
 * The log level that a file in the form of /etc/default sets (`LOG_LEVEL=debug`, quotes allowed, the last line counts); null when it sets
 * none or is not there. Errors: what the file says is no level, or it cannot be read.
 */
export async function readLogLevel(file: string): Promise<LogLevel | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const said = [...text.matchAll(/^[ \t]*LOG_LEVEL=(["']?)([^\s"'#]*)\1[ \t]*(?:#.*)?$/gm)].at(-1)?.[2];
  if (said === undefined || said === '') return null;
  const level = LOG_LEVELS.find((known) => known === said);
  if (level === undefined) throw new Error(`${file}: LOG_LEVEL=${said} is none of ${LOG_LEVELS.join(', ')}`);
  return level;
}
