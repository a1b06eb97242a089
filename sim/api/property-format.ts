import type { PropertyValue } from '../state/zfs/property-table.ts';
import type { SimRelease } from './contract.ts';

/** A property of pool.dataset.* (truenas-api 7.2). */
export interface PropertyObject {
  readonly parsed: unknown;
  readonly rawvalue: string;
  readonly value: string | null;
  readonly source: string;
  readonly source_info: string | null;
}

const SIZES = new Set([
  'used',
  'usedbychildren',
  'usedbydataset',
  'usedbyrefreservation',
  'usedbysnapshots',
  'available',
  'quota',
  'refquota',
  'reservation',
  'refreservation',
  'volsize',
]);
const NULL_WHEN_ZERO = new Set(['quota', 'reservation', 'refquota', 'refreservation']);
const BOOLEANS = new Set(['checksum', 'atime', 'exec', 'readonly', 'xattr']);
const INTEGERS = new Set([
  'used',
  'available',
  'referenced',
  'recordsize',
  'copies',
  'volsize',
  'volblocksize',
  'written',
  'logicalused',
  'logicalreferenced',
  ...SIZES,
]);
const BLOCK_SIZES = new Set(['recordsize', 'volblocksize']);

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** humanfriendly's format_size(binary): `1 GiB`, `1.5 KiB`, `512 bytes`. */
export function humanSize(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
  for (let i = units.length - 1; i >= 0; i -= 1) {
    const divider = 1024 ** (i + 1);
    if (bytes >= divider) return `${String(Number((bytes / divider).toFixed(2)))} ${units[i] ?? ''}`;
  }
  return bytes === 1 ? '1 byte' : `${bytes} bytes`;
}

/** zfs_nicenum: `1G`, `9.50G`, `56K`, `0B`. */
export function zfsSize(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T', 'P', 'E'] as const;
  let index = 0;
  while (index < units.length - 1 && bytes >= 1024 ** (index + 1)) index += 1;
  const unit = units[index] ?? '';
  const scaled = bytes / 1024 ** index;
  if (Number.isInteger(scaled)) return `${scaled}${unit}`;
  for (const digits of [2, 1, 0]) {
    const text = `${scaled.toFixed(digits)}${unit}`;
    if (text.length <= 5) return text;
  }
  return `${scaled.toFixed(0)}${unit}`;
}

function blockSize(bytes: number): string {
  if (bytes >= 1024 * 1024) return `${Math.trunc(bytes / (1024 * 1024))}M`;
  return bytes >= 1024 ? `${Math.trunc(bytes / 1024)}K` : String(bytes);
}

function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  const day = DAYS[date.getUTCDay()] ?? '';
  const month = MONTHS[date.getUTCMonth()] ?? '';
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${day} ${month} ${two(date.getUTCDate())} ${String(date.getUTCHours()).padStart(2, ' ')}:${two(date.getUTCMinutes())} ${date.getUTCFullYear()}`;
}

/** `name` as in ZFS. Release differences: how sizes are worded (`1G` before 25.10, then `1 GiB`). */
export function propertyObject(release: SimRelease, name: string, value: PropertyValue): PropertyObject {
  const base = { rawvalue: value.raw, source: value.source, source_info: value.from };
  const raw = value.raw;
  if (name === 'creation') return { ...base, parsed: { $date: Number(raw) * 1000 }, value: dateText(Number(raw)) };
  if (name === 'origin')
    return raw === 'none'
      ? { ...base, rawvalue: '', parsed: '', value: '' }
      : { ...base, parsed: raw, value: release === '25.04' ? raw : raw.toUpperCase() };
  if (name === 'compressratio' || name === 'refcompressratio') return { ...base, parsed: raw, value: `${raw}x` };
  if (name === 'keyformat') return { ...base, parsed: raw, value: raw === 'none' ? null : raw.toUpperCase() };
  if (name === 'encryption') return { ...base, parsed: raw, value: raw === 'off' ? null : raw.toUpperCase() };
  if (NULL_WHEN_ZERO.has(name) && (raw === '0' || raw === 'none')) return { ...base, rawvalue: '0', parsed: null, value: null };
  if (BOOLEANS.has(name)) return { ...base, parsed: raw === 'on' ? true : raw === 'off' ? false : null, value: raw.toUpperCase() };
  if (BLOCK_SIZES.has(name)) return { ...base, parsed: Number(raw), value: blockSize(Number(raw)) };
  if (SIZES.has(name)) return { ...base, parsed: Number(raw), value: release === '25.04' ? zfsSize(Number(raw)) : humanSize(Number(raw)) };
  if (INTEGERS.has(name)) return { ...base, parsed: Number(raw), value: raw };
  return { ...base, parsed: raw, value: raw.toUpperCase() };
}

/** A user property; 25.10 and later always say LOCAL (truenas-api 7.2). */
export function userPropertyObject(release: SimRelease, value: PropertyValue): PropertyObject {
  return {
    parsed: value.raw,
    rawvalue: value.raw,
    value: value.raw,
    source: release === '25.04' ? value.source : 'LOCAL',
    source_info: release === '25.04' ? value.from : null,
  };
}

/** What a snapshot's property reads like in zfs.snapshot.* and pool.snapshot.*. */
export function snapshotProperty(name: string, raw: string): { parsed: unknown; rawvalue: string; value: string; source: string } {
  if (name === 'creation') return { parsed: { $date: Number(raw) * 1000 }, rawvalue: raw, value: dateText(Number(raw)), source: 'NONE' };
  const numeric = /^\d+$/.test(raw) && name !== 'guid';
  return { parsed: numeric ? Number(raw) : raw, rawvalue: raw, value: INTEGERS.has(name) ? zfsSize(Number(raw)) : raw, source: 'NONE' };
}

const RESOURCE_NUMBERS = new Set([...INTEGERS, 'createtxg', 'creation', 'guid', 'pbkdf2iters', 'special_small_blocks', 'userrefs']);

/** A property of zfs.resource.*. */
export function resourceProperty(name: string, value: PropertyValue, withSource: boolean): Record<string, unknown> {
  const source = withSource ? { type: value.source, value: value.from } : null;
  if (name === 'origin' && value.raw === 'none') return { raw: 'none', source, value: null };
  return { raw: value.raw, source, value: RESOURCE_NUMBERS.has(name) && /^\d+$/.test(value.raw) ? Number(value.raw) : value.raw };
}
