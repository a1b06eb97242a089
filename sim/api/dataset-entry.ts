import type { ZfsReader } from '../state/zfs/engine.ts';
import type { DatasetRecord } from '../state/zfs/records.ts';
import type { ZfsState } from '../state/zfs/zfs-state.ts';
import type { SimRelease } from './contract.ts';
import { propertyObject, userPropertyObject } from './property-format.ts';
import { snapshotEntry } from './snapshot-entry.ts';

/** The array's own user properties under their API names (truenas-api 7.2). */
export const MANAGED_USER_PROPERTIES: Readonly<Record<string, string>> = {
  'org.freenas:description': 'comments',
  'org.freenas:quota_warning': 'quota_warning',
  'org.freenas:quota_critical': 'quota_critical',
  'org.freenas:refquota_warning': 'refquota_warning',
  'org.freenas:refquota_critical': 'refquota_critical',
  'org.truenas:managedby': 'managedby',
};

const API_NAMES: Readonly<Record<string, string>> = {
  dedup: 'deduplication',
  encryption: 'encryption_algorithm',
  keyformat: 'key_format',
  special_small_blocks: 'special_small_block_size',
};

const COMMON = [
  'available',
  'checksum',
  'compression',
  'compressratio',
  'copies',
  'creation',
  'dedup',
  'encryption',
  'keyformat',
  'origin',
  'pbkdf2iters',
  'readonly',
  'refreservation',
  'reservation',
  'snapdev',
  'sync',
  'used',
  'usedbychildren',
  'usedbydataset',
  'usedbyrefreservation',
  'usedbysnapshots',
] as const;
const FILESYSTEM = [
  'aclmode',
  'acltype',
  'atime',
  'casesensitivity',
  'exec',
  'quota',
  'recordsize',
  'refquota',
  'snapdir',
  'special_small_blocks',
  'xattr',
] as const;
const VOLUME = ['volblocksize', 'volsize'] as const;
/** 25.04's own mapping; what is named in `extra.properties` and not in it is dropped. */
const OF_INTEREST_2504 = new Set<string>([...COMMON, ...FILESYSTEM, ...VOLUME]);
const CRYPTO = new Set(['encryption', 'encryptionroot', 'keyformat', 'keylocation', 'keystatus']);

/** `query-options.extra` of pool.dataset.query, read loosely as TrueNAS does (unknown keys are ignored). */
export interface DatasetExtra {
  readonly flat: boolean;
  readonly retrieveChildren: boolean;
  /** null: the default set */
  readonly properties: readonly string[] | null;
  readonly userProperties: boolean;
  readonly snapshots: boolean;
  readonly snapshotsCount: boolean;
  /** null: all */
  readonly snapshotsProperties: readonly string[] | null;
}

export const DEFAULT_EXTRA: DatasetExtra = {
  flat: true,
  retrieveChildren: true,
  properties: null,
  userProperties: true,
  snapshots: false,
  snapshotsCount: false,
  snapshotsProperties: [],
};

/** Boot pools and the array's own datasets are hidden (truenas-api 7.2). */
export function isInternalDataset(name: string): boolean {
  const pool = name.split('/')[0] ?? '';
  return (
    pool === 'boot-pool' ||
    pool === 'freenas-boot' ||
    ['/.system', '/ix-applications', '/ix-apps', '/.ix-virt'].some((part) => name.includes(part))
  );
}

export type DatasetEntry = Record<string, unknown>;

/** Makes entries of pool.dataset.*; one for each request. */
export class DatasetEntries {
  private readonly release: SimRelease;
  private readonly state: ZfsState;
  private readonly reader: ZfsReader;
  /** A dataset is in the list and again in `children` of all its parents: made once. */
  private readonly made = new Map<string, DatasetEntry>();

  constructor(release: SimRelease, state: ZfsState, reader: ZfsReader) {
    this.release = release;
    this.state = state;
    this.reader = reader;
  }

  /** `extra` must be the same for all calls of one instance. */
  entry(record: DatasetRecord, extra: DatasetExtra): DatasetEntry {
    const known = this.made.get(record.guid);
    if (known !== undefined) return known;
    const entry: DatasetEntry = { id: record.name, type: record.type, name: record.name, pool: record.name.split('/')[0] };
    for (const name of this.names(record, extra)) {
      const value = this.reader.read(record, name);
      if (value !== undefined) entry[API_NAMES[name] ?? name] = propertyObject(this.release, name, value);
    }
    if (this.release === '25.04' || extra.properties === null || extra.properties.some((name) => CRYPTO.has(name))) {
      const locked = this.state.isLocked(record.name);
      Object.assign(entry, { encrypted: locked, encryption_root: locked ? record.name : null, key_loaded: false, locked });
    }
    entry['mountpoint'] = record.type === 'FILESYSTEM' ? `/mnt/${record.name}` : null;
    this.addUserProperties(entry, record, extra);
    this.addSnapshots(entry, record, extra);
    this.made.set(record.guid, entry);
    entry['children'] = extra.retrieveChildren ? this.visibleChildren(record).map((child) => this.entry(child, extra)) : [];
    return entry;
  }

  visibleChildren(record: DatasetRecord): DatasetRecord[] {
    return this.state
      .children(record.name)
      .filter((name) => !isInternalDataset(name))
      .map((name) => this.state.mustDataset(name));
  }

  private names(record: DatasetRecord, extra: DatasetExtra): readonly string[] {
    if (extra.properties !== null) {
      return this.release === '25.04'
        ? extra.properties.filter((name) => OF_INTEREST_2504.has(name))
        : extra.properties.filter((name) => name !== 'type' && name !== 'mountpoint' && name !== 'name');
    }
    if (record.type === 'FILESYSTEM') return [...COMMON, ...FILESYSTEM];
    return this.release === '26.0' ? [...COMMON, ...VOLUME, 'special_small_blocks'] : [...COMMON, ...VOLUME];
  }

  private addUserProperties(entry: DatasetEntry, record: DatasetRecord, extra: DatasetExtra): void {
    if (!extra.userProperties) return;
    const users: Record<string, unknown> = {};
    for (const [key, value] of this.reader.userProperties(record)) {
      const managed = MANAGED_USER_PROPERTIES[key];
      const object = userPropertyObject(this.release, value);
      if (managed === undefined) users[key] = object;
      else if (this.release === '25.04') entry[managed] = object;
      else users[managed] = object;
    }
    entry['user_properties'] = users;
  }

  private addSnapshots(entry: DatasetEntry, record: DatasetRecord, extra: DatasetExtra): void {
    const snapshots = this.state.snapshots(record);
    if (extra.snapshotsCount) entry['snapshot_count'] = snapshots.length;
    if (!extra.snapshots) return;
    entry['snapshots'] = snapshots.map((snapshot) => {
      const wanted = extra.snapshotsProperties;
      const full = snapshotEntry(this.release, this.state, this.reader, snapshot, { holds: false, properties: wanted });
      if (wanted !== null && wanted.length === 0) Reflect.deleteProperty(full, 'properties');
      return full;
    });
  }
}
