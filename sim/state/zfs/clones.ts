import { validDatasetName } from './datasets.ts';
import { hasProperty } from './property-table.ts';
import type { DatasetRecord, SnapshotRecord } from './records.ts';
import { noParent, ZfsError } from './zfs-error.ts';
import { parentName, type ZfsState } from './zfs-state.ts';

/**
 * `zfs clone`: always thin unless `properties` reserves. Call inside `state.transaction`.
 * Errors: not-found, exists, invalid-name, invalid-property.
 */
export async function cloneSnapshot(
  state: ZfsState,
  fullName: string,
  name: string,
  properties: Readonly<Record<string, string>>,
): Promise<DatasetRecord> {
  const snapshot = state.mustSnapshot(fullName);
  const source = state.datasetByGuid(snapshot.dataset);
  const parent = parentName(name);
  if (source === undefined) throw new ZfsError('not-found', `cannot open '${fullName}': dataset does not exist`, [fullName]);
  if (!validDatasetName(name) || parent === null) throw new ZfsError('invalid-name', `cannot create '${name}': invalid character in name`);
  if (state.dataset(name) !== undefined) throw new ZfsError('exists', `cannot create '${name}': dataset already exists`, [name]);
  const parentRecord = state.dataset(parent);
  if (parentRecord === undefined) throw noParent(name, parent, state.pool);
  if (parentRecord.type === 'VOLUME') throw new ZfsError('invalid-name', `cannot create '${name}': parent is not a filesystem`, [parent]);
  const record: DatasetRecord = {
    guid: state.newGuid(),
    name,
    type: source.type,
    createtxg: state.nextTxg(),
    creation: state.seconds(),
    properties: {},
    userProperties: {},
    origin: snapshot.guid,
  };
  if (source.type === 'VOLUME') {
    record.properties['volsize'] = String(snapshot.volsize ?? 0);
    const block = source.properties['volblocksize'];
    if (block !== undefined) record.properties['volblocksize'] = block;
  }
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes(':')) record.userProperties[key] = value;
    else if (hasProperty(record, key) && key !== 'volblocksize') record.properties[key] = value;
    else throw new ZfsError('invalid-property', `cannot create '${name}': invalid property '${key}'`, [key]);
  }
  if (source.type === 'VOLUME') await state.blocks.copy(snapshot.guid, record.guid);
  state.insertDataset(record);
  return record;
}

/**
 * `zfs promote`: the origin snapshot and all older ones move to the clone, and the former parent becomes its clone.
 * Call inside `state.transaction`. Errors: not-found, not-a-clone, conflict (a snapshot name is on both sides).
 */
export function promoteClone(state: ZfsState, name: string): void {
  const clone = state.mustDataset(name);
  const origin = state.snapshotByGuidOrNull(clone.origin);
  if (origin === null) throw new ZfsError('not-a-clone', `cannot promote '${name}': not a cloned filesystem`, [name]);
  const parent = state.datasetByGuid(origin.dataset);
  if (parent === undefined) throw new ZfsError('not-found', `cannot promote '${name}': origin is gone`);
  const moving: SnapshotRecord[] = state.snapshots(parent).filter((one) => one.createtxg <= origin.createtxg);
  const taken = new Set(state.snapshots(clone).map((one) => one.name));
  const clash = moving.find((one) => taken.has(one.name));
  if (clash !== undefined) {
    const fullName = `${name}@${clash.name}`;
    throw new ZfsError(
      'conflict',
      `cannot promote '${name}': snapshot name '${fullName}' from origin conflicts with '${fullName}' from target`,
      [fullName],
    );
  }
  const parentOrigin = parent.origin;
  for (const snapshot of moving) state.moveSnapshot(snapshot, clone);
  state.setOrigin(clone, parentOrigin);
  state.setOrigin(parent, origin.guid);
}
