import type { DatasetRecord } from './records.ts';
import { parentName, type ZfsState } from './zfs-state.ts';

export type PropertySource = 'NONE' | 'DEFAULT' | 'LOCAL' | 'INHERITED';

/** Settable native properties: raw default, whether children inherit, which type has them. */
interface Native {
  readonly fallback: string;
  readonly inherits: boolean;
  readonly on: 'both' | 'FILESYSTEM' | 'VOLUME';
}

const both = (fallback: string, inherits = true): Native => ({ fallback, inherits, on: 'both' });
const fs = (fallback: string, inherits = true): Native => ({ fallback, inherits, on: 'FILESYSTEM' });
const vol = (fallback: string, inherits = false): Native => ({ fallback, inherits, on: 'VOLUME' });

export const NATIVE_PROPERTIES: Readonly<Record<string, Native>> = {
  aclinherit: fs('restricted'),
  aclmode: fs('discard'),
  acltype: fs('off'),
  atime: fs('on'),
  canmount: fs('on', false),
  casesensitivity: fs('sensitive', false),
  checksum: both('on'),
  compression: both('on'),
  copies: both('1'),
  dedup: both('off'),
  exec: fs('on'),
  logbias: both('latency'),
  quota: fs('0', false),
  readonly: both('off'),
  recordsize: fs('131072'),
  refquota: fs('0', false),
  refreservation: both('0', false),
  reservation: both('0', false),
  primarycache: both('all'),
  secondarycache: both('all'),
  snapdev: both('hidden'),
  snapdir: fs('hidden'),
  special_small_blocks: both('0'),
  sync: both('standard'),
  volmode: both('default'),
  volblocksize: vol('16384'),
  volsize: vol('0'),
  volthreading: vol('on'),
  xattr: fs('on'),
};

/** chosen when a dataset is made; casesensitivity never has a source (OpenZFS 2.3) */
const FIXED = new Set(['volblocksize', 'casesensitivity']);

export interface PropertyValue {
  readonly raw: string;
  readonly source: PropertySource;
  /** the dataset it comes from, when inherited */
  readonly from: string | null;
}

export function hasProperty(record: DatasetRecord, name: string): boolean {
  const native = NATIVE_PROPERTIES[name];
  return native !== undefined && (native.on === 'both' || native.on === record.type);
}

/** The effective value of a settable property. Unknown names and names of the other type: undefined. */
export function propertyValue(state: ZfsState, record: DatasetRecord, name: string): PropertyValue | undefined {
  const native = NATIVE_PROPERTIES[name];
  if (native === undefined || (native.on !== 'both' && native.on !== record.type)) return undefined;
  const local = record.properties[name];
  // fixed at creation: never LOCAL, and NONE when it is not the default
  if (local !== undefined && FIXED.has(name)) {
    return { raw: local, source: local === native.fallback && name === 'volblocksize' ? 'DEFAULT' : 'NONE', from: null };
  }
  if (local !== undefined) return { raw: local, source: 'LOCAL', from: null };
  if (native.inherits) {
    for (let parent = parentName(record.name); parent !== null; parent = parentName(parent)) {
      const inherited = state.dataset(parent)?.properties[name];
      if (inherited !== undefined) return { raw: inherited, source: 'INHERITED', from: parent };
    }
  }
  return { raw: native.fallback, source: name === 'casesensitivity' ? 'NONE' : 'DEFAULT', from: null };
}

/** User properties with those inherited from the parents; the nearest wins. */
export function userProperties(state: ZfsState, record: DatasetRecord): Map<string, PropertyValue> {
  const all = new Map<string, PropertyValue>();
  for (let name: string | null = record.name; name !== null; name = parentName(name)) {
    const owner = state.dataset(name);
    if (owner === undefined) continue;
    for (const [key, raw] of Object.entries(owner.userProperties)) {
      if (!all.has(key)) all.set(key, owner === record ? { raw, source: 'LOCAL', from: null } : { raw, source: 'INHERITED', from: name });
    }
  }
  return all;
}
