import type { ZfsReader } from './engine.ts';
import { NATIVE_PROPERTIES, type PropertyValue, propertyValue, userProperties } from './property-table.ts';
import type { DatasetRecord, SnapshotRecord } from './records.ts';
import type { Space, SpaceAccounting } from './space.ts';
import type { ZfsState } from './zfs-state.ts';

const SPACE_NAMES = [
  'used',
  'available',
  'referenced',
  'usedbychildren',
  'usedbydataset',
  'usedbyrefreservation',
  'usedbysnapshots',
] as const;

type Computed = (reader: PropertyReader, record: DatasetRecord) => string | undefined;

const COMPUTED: Readonly<Record<string, Computed>> = {
  ...Object.fromEntries(SPACE_NAMES.map((name): [string, Computed] => [name, (reader, record) => String(reader.space(record)[name])])),
  logicalreferenced: (reader, record) => String(reader.space(record).referenced),
  logicalused: (reader, record) => String(reader.space(record).usedbydataset),
  written: (reader, record) => String(reader.space(record).usedbydataset),
  compressratio: () => '1.00',
  refcompressratio: () => '1.00',
  creation: (_, record) => String(record.creation),
  createtxg: (_, record) => String(record.createtxg),
  guid: (_, record) => record.guid,
  type: (_, record) => record.type.toLowerCase(),
  encryption: () => 'off',
  keyformat: () => 'none',
  keylocation: () => 'none',
  keystatus: () => '-',
  pbkdf2iters: () => '0',
  mountpoint: (_, record) => (record.type === 'FILESYSTEM' ? `/mnt/${record.name}` : undefined),
  mounted: (_, record) => (record.type === 'FILESYSTEM' ? 'yes' : undefined),
  origin: (reader, record) => reader.origin(record) ?? 'none',
};

/** Computed here because nobody sets them, but settable in ZFS: their source is the default. */
const SETTABLE = new Set(['mountpoint', 'encryption', 'keyformat', 'keylocation', 'pbkdf2iters']);

/** Reads any property of a dataset or snapshot as `zfs get -p` would. Make one for each request: it keeps the space of a dataset. */
export class PropertyReader implements ZfsReader {
  private readonly state: ZfsState;
  private readonly accounting: SpaceAccounting;
  private readonly spaces = new Map<string, Space>();

  constructor(state: ZfsState, accounting: SpaceAccounting) {
    this.state = state;
    this.accounting = accounting;
    accounting.refresh();
  }

  space(record: DatasetRecord): Space {
    let space = this.spaces.get(record.guid);
    if (space === undefined) {
      space = this.accounting.of(record);
      this.spaces.set(record.guid, space);
    }
    return space;
  }

  /** Full name of the snapshot that the dataset is a clone of. */
  origin(record: DatasetRecord): string | null {
    const origin = this.state.snapshotByGuidOrNull(record.origin);
    return origin === null ? null : this.state.fullName(origin);
  }

  /** Undefined: the dataset's type does not have it, or the simulator does not know it. */
  read(record: DatasetRecord, name: string): PropertyValue | undefined {
    if (NATIVE_PROPERTIES[name] !== undefined) return propertyValue(this.state, record, name);
    const raw = COMPUTED[name]?.(this, record);
    return raw === undefined ? undefined : { raw, source: SETTABLE.has(name) ? 'DEFAULT' : 'NONE', from: null };
  }

  userProperties(record: DatasetRecord): Map<string, PropertyValue> {
    return userProperties(this.state, record);
  }

  readSnapshot(snapshot: SnapshotRecord, name: string): string | undefined {
    const fullName = this.state.fullName(snapshot);
    switch (name) {
      case 'name':
        return fullName;
      case 'createtxg':
        return String(snapshot.createtxg);
      case 'creation':
        return String(snapshot.creation);
      case 'guid':
        return snapshot.guid;
      case 'type':
        return 'snapshot';
      case 'used':
        return String(this.accounting.snapshotUsed(snapshot));
      case 'referenced':
      case 'logicalreferenced':
        return String(snapshot.referenced);
      case 'written':
        return String(snapshot.referenced);
      case 'volsize':
        return snapshot.volsize === null ? undefined : String(snapshot.volsize);
      case 'userrefs':
        return String(Object.keys(snapshot.holds).length);
      case 'defer_destroy':
        return snapshot.deferred ? 'on' : 'off';
      case 'clones':
        return this.state.clones(snapshot).join(',');
      case 'compressratio':
      case 'refcompressratio':
        return '1.00';
      case 'encryption':
        return 'off';
      default:
        return undefined;
    }
  }
}

/** What a snapshot has, in the order of `zfs get all`. */
export const SNAPSHOT_PROPERTIES = [
  'type',
  'creation',
  'used',
  'referenced',
  'compressratio',
  'createtxg',
  'guid',
  'volsize',
  'written',
  'logicalreferenced',
  'refcompressratio',
  'userrefs',
  'defer_destroy',
  'clones',
  'encryption',
] as const;
