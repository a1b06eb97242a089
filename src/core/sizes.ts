import { StorageError } from './errors.ts';

export const KIB = 1024;
export const MIB = KIB * 1024;
export const GIB = MIB * 1024;
export const TIB = GIB * 1024;

/** ZFS limits a volume to 2^63-1; we stop at what a JavaScript integer holds exactly (8 PiB). */
export const MAX_VOLUME_BYTES = Number.MAX_SAFE_INTEGER;
const SECTOR = 512;

/** Checks a volume size in bytes: a whole number of 512-byte sectors, 512..8 PiB. Errors: SIZE_INVALID. */
export function assertVolumeSize(bytes: number): void {
  if (!Number.isSafeInteger(bytes) || bytes < SECTOR || bytes > MAX_VOLUME_BYTES) {
    throw new StorageError('SIZE_INVALID', `invalid volume size ${String(bytes)}: must be 512 bytes to 8 PiB`);
  }
  if (bytes % SECTOR !== 0) {
    throw new StorageError('SIZE_INVALID', `invalid volume size ${bytes}: must be a multiple of 512 bytes`);
  }
}

/**
 * The largest power of two that divides `bytes` and is not above `wanted` (both bytes), at least 512:
 * volumes keep their exact size instead of being rounded up (F-308, F-309).
 */
export function fittingBlockSize(bytes: number, wanted: number): number {
  let size = wanted;
  while (size > SECTOR && bytes % size !== 0) size /= 2;
  return size;
}

/** `10737418240` as `10.00 GiB`; bytes below 1 KiB as `512 B`. */
export function formatBytes(bytes: number): string {
  for (const [unit, name] of [
    [TIB, 'TiB'],
    [GIB, 'GiB'],
    [MIB, 'MiB'],
    [KIB, 'KiB'],
  ] as const) {
    if (Math.abs(bytes) >= unit) return `${(bytes / unit).toFixed(2)} ${name}`;
  }
  return `${bytes} B`;
}

/**
 * `10737418240` as `10.00 GB`: base 1024 under the names that PVE and its users give the units. For texts that are held
 * against sizes in PVE; `formatBytes` is for everything else.
 */
export function formatSize(bytes: number): string {
  for (const [unit, name] of [
    [TIB, 'TB'],
    [GIB, 'GB'],
    [MIB, 'MB'],
    [KIB, 'KB'],
  ] as const) {
    if (Math.abs(bytes) >= unit) return `${(bytes / unit).toFixed(2)} ${name}`;
  }
  return `${bytes} B`;
}

const SIZE = /^([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([KMGT])(?:i?B)?$/i;
const UNITS: Readonly<Record<string, number>> = { K: KIB, M: MIB, G: GIB, T: TIB };

/**
 * `100G`, `1.5T`, `512 MiB` as bytes: base 1024, fractions count, rounded up to whole KiB as PVE's sizes are.
 * A bare number is refused: it is kilobytes to `pvesm alloc` and bytes to `qm resize`. Errors: SIZE_INVALID.
 */
export function parseSize(text: string): number {
  const match = SIZE.exec(text.trim());
  const number = Number(match?.[1]);
  const unit = UNITS[match?.[2]?.toUpperCase() ?? ''];
  if (match === null || unit === undefined || !(number > 0)) {
    throw new StorageError('SIZE_INVALID', `'${text.slice(0, 40).replace(/[^\x20-\x7e]/g, '?')}' is no size`, {
      causes: ['a size is a number above 0 with a unit: K, M, G or T (base 1024), for example 100G or 1.5T'],
    });
  }
  const bytes = Math.ceil((number * unit) / KIB) * KIB;
  assertVolumeSize(bytes);
  return bytes;
}
