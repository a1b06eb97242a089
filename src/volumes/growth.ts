import type { Zvol } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import { formatBytes } from '../core/sizes.ts';
import type { StorageContext } from './context.ts';

/** The size in bytes that a volume gets when it is resized to `size`: rounded up to its block size. Errors: SHRINK_REFUSED. */
export function sizeAfterGrowth(context: StorageContext, name: string, zvol: Zvol, size: number): number {
  const blocks = Math.ceil(size / zvol.volblocksize) * zvol.volblocksize;
  if (blocks >= zvol.volsize) return blocks;
  throw new StorageError(
    'SHRINK_REFUSED',
    `volume '${context.config.id}:${name}' has ${formatBytes(zvol.volsize)} and cannot be made smaller (${formatBytes(size)})`,
    { state: 'nothing was changed' },
  );
}
