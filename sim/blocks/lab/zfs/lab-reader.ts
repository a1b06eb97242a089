import type { ZfsReader } from '../../../state/zfs/engine.ts';
import { type PropertyValue, propertyValue } from '../../../state/zfs/property-table.ts';
import type { DatasetRecord, SnapshotRecord } from '../../../state/zfs/records.ts';
import type { Space } from '../../../state/zfs/space.ts';
import type { ZfsState } from '../../../state/zfs/zfs-state.ts';

/** In the lab nothing is mounted below /mnt: these are what a TrueNAS of that pool would say. */
const OF_TRUENAS: Readonly<Record<string, (record: DatasetRecord) => PropertyValue | undefined>> = {
  mountpoint: ({ type, name }) => (type === 'FILESYSTEM' ? { raw: `/mnt/${name}`, source: 'DEFAULT', from: null } : undefined),
  mounted: ({ type }) => (type === 'FILESYSTEM' ? { raw: 'yes', source: 'NONE', from: null } : undefined),
};
/** What this zfs(8) leaves out of `get all` and TrueNAS's libzfs does not. */
const OMITTED: Readonly<Record<string, string>> = { origin: 'none', keystatus: '-' };

/** Reads what the pool in the VM said of itself last. */
export class LabReader implements ZfsReader {
  private readonly state: ZfsState;
  private readonly properties: ReadonlyMap<string, ReadonlyMap<string, PropertyValue>>;

  constructor(state: ZfsState, properties: ReadonlyMap<string, ReadonlyMap<string, PropertyValue>>) {
    this.state = state;
    this.properties = properties;
  }

  space(record: DatasetRecord): Space {
    const bytes = (name: string): number => Number(this.properties.get(record.guid)?.get(name)?.raw ?? 0);
    return {
      used: bytes('used'),
      available: bytes('available'),
      referenced: bytes('referenced'),
      usedbydataset: bytes('usedbydataset'),
      usedbysnapshots: bytes('usedbysnapshots'),
      usedbyrefreservation: bytes('usedbyrefreservation'),
      usedbychildren: bytes('usedbychildren'),
    };
  }

  origin(record: DatasetRecord): string | null {
    const origin = this.state.snapshotByGuidOrNull(record.origin);
    return origin === null ? null : this.state.fullName(origin);
  }

  read(record: DatasetRecord, name: string): PropertyValue | undefined {
    const ours = OF_TRUENAS[name];
    if (ours !== undefined) return ours(record);
    const said = this.properties.get(record.guid)?.get(name);
    if (said !== undefined) return said;
    const omitted = OMITTED[name];
    // properties that TrueNAS's ZFS has and this one does not keep their default
    return omitted === undefined ? propertyValue(this.state, record, name) : { raw: omitted, source: 'NONE', from: null };
  }

  readSnapshot(snapshot: SnapshotRecord, name: string): string | undefined {
    if (name === 'name') return this.state.fullName(snapshot);
    if (name === 'clones') return this.state.clones(snapshot).join(',');
    return this.properties.get(snapshot.guid)?.get(name)?.raw;
  }

  userProperties(record: DatasetRecord): Map<string, PropertyValue> {
    return new Map([...(this.properties.get(record.guid) ?? [])].filter(([name]) => name.includes(':')));
  }
}
