import type { ZfsReader } from '../state/zfs/engine.ts';
import { SNAPSHOT_PROPERTIES } from '../state/zfs/property-reader.ts';
import type { SnapshotRecord } from '../state/zfs/records.ts';
import type { ZfsState } from '../state/zfs/zfs-state.ts';
import type { SimRelease } from './contract.ts';
import { snapshotProperty } from './property-format.ts';

export interface SnapshotEntryOptions {
  /** whether `holds` is in the entry */
  readonly holds: boolean;
  /** null: all of them */
  readonly properties: readonly string[] | null;
}

/** An entry of zfs.snapshot.* (25.04) and pool.snapshot.* (25.10+), truenas-api 10. */
export function snapshotEntry(
  release: SimRelease,
  state: ZfsState,
  reader: ZfsReader,
  snapshot: SnapshotRecord,
  options: SnapshotEntryOptions,
): Record<string, unknown> {
  const fullName = state.fullName(snapshot);
  const dataset = fullName.slice(0, fullName.indexOf('@'));
  const properties: Record<string, unknown> = {};
  for (const name of options.properties ?? SNAPSHOT_PROPERTIES) {
    const raw = reader.readSnapshot(snapshot, name);
    if (raw !== undefined) properties[name] = snapshotProperty(name, raw);
  }
  if (options.properties === null && release !== '26.0') {
    for (const [key, raw] of Object.entries(snapshot.userProperties)) {
      properties[key] = { parsed: raw, rawvalue: raw, value: raw, source: 'LOCAL' };
    }
  }
  const entry: Record<string, unknown> = {
    id: fullName,
    name: fullName,
    pool: dataset.split('/')[0],
    type: 'SNAPSHOT',
    snapshot_name: snapshot.name,
    dataset,
    createtxg: String(snapshot.createtxg),
    properties,
  };
  if (options.holds) entry['holds'] = snapshot.holds['truenas'] === undefined ? {} : { truenas: 1 };
  return entry;
}
