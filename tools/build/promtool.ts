import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { DOWNLOADS } from './download-cache.ts';

/** Where setup.sh unpacks it when the system has none. */
const FETCHED = join(DOWNLOADS, 'promtool');

/** Path of Prometheus' `promtool`, or null when there is none. */
export function promtoolPath(): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), FETCHED].filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, 'promtool')).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
