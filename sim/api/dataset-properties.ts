import type { DatasetCreate, DatasetUpdate } from './dataset-models.ts';
import { MANAGED_USER_PROPERTIES } from './dataset-entry.ts';

interface Mapping {
  readonly api: keyof DatasetUpdate & keyof DatasetCreate;
  readonly zfs: string;
  readonly kind: 'lower' | 'text' | 'size';
}

const lower = (api: Mapping['api'], zfs: string = api): Mapping => ({ api, zfs, kind: 'lower' });
const MAPPINGS: readonly Mapping[] = [
  lower('aclmode'),
  lower('acltype'),
  lower('atime'),
  lower('checksum'),
  lower('compression'),
  lower('deduplication', 'dedup'),
  lower('exec'),
  lower('readonly'),
  lower('snapdir'),
  lower('snapdev'),
  lower('sync'),
  { api: 'copies', zfs: 'copies', kind: 'text' },
  { api: 'special_small_block_size', zfs: 'special_small_blocks', kind: 'text' },
  { api: 'quota', zfs: 'quota', kind: 'size' },
  { api: 'refquota', zfs: 'refquota', kind: 'size' },
  { api: 'reservation', zfs: 'reservation', kind: 'size' },
  { api: 'refreservation', zfs: 'refreservation', kind: 'size' },
];
const USER_NAMES: readonly (readonly [zfs: string, api: string])[] = Object.entries(MANAGED_USER_PROPERTIES);
const UNITS: Readonly<Record<string, number>> = { K: 1024, M: 1_048_576 };

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** `128K`, `1M`, `512` in bytes. */
function recordSize(text: string): string {
  const match = /^(\d+)([KM])?B?$/i.exec(text);
  return match === null ? text : String(Number(match[1]) * (UNITS[(match[2] ?? '').toUpperCase()] ?? 1));
}

/** API names and values as ZFS properties; null: inherit. What is not in `data` is not in the result. */
export function zfsProperties(data: DatasetCreate | DatasetUpdate): Record<string, string | null> {
  const properties: Record<string, string | null> = {};
  for (const { api, zfs, kind } of MAPPINGS) {
    const value = data[api];
    if (value === undefined) continue;
    if (value === 'INHERIT') properties[zfs] = null;
    else if (kind === 'size') properties[zfs] = value === null || value === 0 ? '0' : text(value);
    else properties[zfs] = kind === 'lower' ? text(value).toLowerCase() : text(value);
  }
  if (data.recordsize !== undefined) properties['recordsize'] = data.recordsize === 'INHERIT' ? null : recordSize(data.recordsize);
  return properties;
}

/** comments, managedby and the quota marks, which are user properties in ZFS; null: remove. */
export function managedProperties(data: DatasetCreate | DatasetUpdate): Record<string, string | null> {
  const users: Record<string, string | null> = {};
  const values: Readonly<Record<string, unknown>> = { ...data };
  for (const [zfs, api] of USER_NAMES) {
    const value = values[api];
    if (value !== undefined) users[zfs] = value === 'INHERIT' ? null : text(value);
  }
  return users;
}

export function withoutNulls(values: Readonly<Record<string, string | null>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [key, value] of Object.entries(values)) if (value !== null) kept[key] = value;
  return kept;
}
