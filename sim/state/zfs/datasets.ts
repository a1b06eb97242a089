import type { DatasetOperations, NewDataset } from './engine.ts';
import { propertyValue } from './property-table.ts';
import type { DatasetRecord } from './records.ts';
import { bytesOf, EMPTY_FILESYSTEM_BYTES, EMPTY_VOLUME_BYTES, type SpaceAccounting } from './space.ts';
import { noParent, ZfsError } from './zfs-error.ts';
import { parentName, type ZfsState } from './zfs-state.ts';

const COMPONENT = /^[A-Za-z0-9_.:% -]+$/;
const MAX_NAME = 255;

/** `zfs_name_valid`: components of the allowed characters, none of them `.` or `..`, at most 255 characters. */
export function validDatasetName(name: string): boolean {
  return name.length <= MAX_NAME && name.split('/').every((part) => COMPONENT.test(part) && part !== '.' && part !== '..');
}

export function validSnapshotName(fullName: string): boolean {
  const at = fullName.indexOf('@');
  const short = fullName.slice(at + 1);
  return at > 0 && fullName.length <= MAX_NAME && validDatasetName(fullName.slice(0, at)) && COMPONENT.test(short);
}

/** Creates, changes, renames and destroys datasets as ZFS does, without TrueNAS's own rules. Call inside `state.transaction`. */
export class Datasets implements DatasetOperations {
  private readonly state: ZfsState;
  private readonly space: SpaceAccounting;

  constructor(state: ZfsState, space: SpaceAccounting) {
    this.state = state;
    this.space = space;
  }

  /** Errors: exists, not-found (parent), invalid-name, invalid-property, no-space. */
  async create(wanted: NewDataset): Promise<DatasetRecord> {
    this.checkNewName(wanted.name);
    const parent = parentName(wanted.name);
    if (parent === null) throw new ZfsError('invalid-name', `cannot create '${wanted.name}': missing dataset name`);
    if (this.state.dataset(parent) === undefined) {
      if (!wanted.createAncestors) throw noParent(wanted.name, parent, this.state.pool);
      await this.create({ name: parent, type: 'FILESYSTEM', properties: {}, userProperties: {}, createAncestors: true });
    }
    const parentRecord = this.state.mustDataset(parent);
    if (parentRecord.type === 'VOLUME') {
      throw new ZfsError('invalid-name', `cannot create '${wanted.name}': parent is not a filesystem`, [parent]);
    }
    const record: DatasetRecord = {
      guid: this.state.newGuid(),
      name: wanted.name,
      type: wanted.type,
      createtxg: this.state.nextTxg(),
      creation: this.state.seconds(),
      properties: { ...wanted.properties },
      userProperties: { ...wanted.userProperties },
      origin: null,
    };
    this.space.refresh();
    const needed =
      Math.max(bytesOf(record, 'refreservation'), bytesOf(record, 'reservation')) +
      (record.type === 'VOLUME' ? EMPTY_VOLUME_BYTES : EMPTY_FILESYSTEM_BYTES);
    if (needed > this.space.available(parentRecord)) throw new ZfsError('no-space', `cannot create '${wanted.name}': out of space`);
    if (record.type === 'VOLUME') {
      checkVolsize(wanted.name, record.properties);
      await this.state.blocks.create(record.guid, bytesOf(record, 'volsize'));
    }
    this.state.insertDataset(record);
    return record;
  }

  /**
   * Sets native properties (null = inherit) and user properties (null = remove). A reservation of exactly the volume's size
   * stays as it is when the volume grows: for ZFS only one with room for metadata makes a volume thick. One that is read-only, as under
   * a read-only extent, keeps its size, whatever is asked for (OpenZFS zvol_set_volsize: EROFS); the other properties are set all the
   * same. Errors: not-found, invalid-property, no-space.
   */
  async setProperties(
    name: string,
    properties: Readonly<Record<string, string | null>>,
    users: Readonly<Record<string, string | null>> = {},
  ): Promise<DatasetRecord> {
    const record = this.state.mustDataset(name);
    if (properties['volsize'] !== undefined && propertyValue(this.state, record, 'readonly')?.raw === 'on') {
      const { volsize: refused, ...others } = properties;
      await this.setProperties(name, others, users);
      throw new ZfsError('invalid-property', `cannot set property for '${name}': dataset is read-only`, [name]);
    }
    const next: Record<string, string> = { ...record.properties };
    for (const [key, value] of Object.entries(properties)) {
      if (value === null) Reflect.deleteProperty(next, key);
      else next[key] = value;
    }
    const oldSize = bytesOf(record, 'volsize');
    const newSize = Number(next['volsize'] ?? 0);
    if (record.type === 'VOLUME') checkVolsize(name, next);
    this.space.refresh();
    for (const key of ['refreservation', 'reservation'] as const) {
      const more = Number(next[key] ?? 0) - bytesOf(record, key);
      if (more > 0 && more > this.space.available(record)) {
        throw new ZfsError('no-space', `cannot set property for '${name}': size is greater than available space`);
      }
    }
    if (record.type === 'VOLUME' && newSize !== oldSize) await this.state.blocks.resize(record.guid, newSize);
    record.properties = next;
    for (const [key, value] of Object.entries(users)) {
      if (value === null) Reflect.deleteProperty(record.userProperties, key);
      else record.userProperties[key] = value;
    }
    this.state.touch(name);
    return record;
  }

  /** The dataset alone. Errors: not-found, has-children, has-snapshots, busy. */
  async destroy(name: string): Promise<void> {
    const record = this.state.mustDataset(name);
    const children = this.state.children(name);
    if (children.length > 0) {
      throw new ZfsError(
        'has-children',
        `cannot destroy '${name}': filesystem has children\nuse '-r' to destroy the following datasets:\n${children.join('\n')}`,
        children,
      );
    }
    const snapshots = this.state.snapshots(record).map((one) => this.state.fullName(one));
    if (snapshots.length > 0) {
      const kind = record.type === 'VOLUME' ? 'volume' : 'filesystem';
      throw new ZfsError(
        'has-snapshots',
        `cannot destroy '${name}': ${kind} has children\nuse '-r' to destroy the following datasets:\n${snapshots.join('\n')}`,
        snapshots,
      );
    }
    if (this.state.open.has(record.guid)) throw new ZfsError('busy', `cannot destroy '${name}': dataset is busy`, [name]);
    if (parentName(name) === null) throw new ZfsError('invalid-name', `cannot destroy '${name}': operation does not apply to pools`);
    const origin = this.state.snapshotByGuidOrNull(record.origin);
    this.state.removeDataset(record);
    await this.state.blocks.remove(record.guid);
    // a snapshot whose destruction was deferred goes with its last clone
    if (origin !== null && origin.deferred && this.state.clones(origin).length === 0 && Object.keys(origin.holds).length === 0) {
      this.state.removeSnapshot(origin);
      await this.state.blocks.remove(origin.guid);
    }
  }

  /** Renames a dataset with all below it; exports keep what they have open (RP-04). Errors: not-found, exists, invalid-name. */
  rename(name: string, newName: string): void {
    const record = this.state.mustDataset(name);
    if (newName === name) return;
    if (!validDatasetName(newName)) throw new ZfsError('invalid-name', `cannot create '${newName}': invalid character in name`);
    const parent = parentName(newName);
    // in the order of libzfs: check_parents, then zfs_rename itself, then the kernel
    if (parent === null) throw new ZfsError('invalid-name', `cannot create '${newName}': missing dataset name`);
    const parentRecord = this.state.dataset(parent);
    if (parentRecord === undefined) throw noParent(newName, parent, this.state.pool);
    if (parentRecord.type === 'VOLUME') throw new ZfsError('invalid-name', `cannot create '${newName}': parent is not a filesystem`);
    const refused = `cannot rename to '${newName}'`;
    if (parentName(name) === null) throw new ZfsError('invalid-name', `${refused}: datasets must be within same pool`);
    if (newName.startsWith(`${name}/`)) {
      throw new ZfsError('invalid-name', `${refused}: New dataset name cannot be a descendant of current dataset name`);
    }
    if (this.state.dataset(newName) !== undefined)
      throw new ZfsError('exists', `cannot rename '${name}': dataset already exists`, [newName]);
    this.state.renameDataset(record, newName);
  }

  private checkNewName(name: string): void {
    if (!validDatasetName(name)) throw new ZfsError('invalid-name', `cannot create '${name}': invalid character in name`);
    if (this.state.dataset(name) !== undefined) throw new ZfsError('exists', `cannot create '${name}': dataset already exists`, [name]);
  }
}

function checkVolsize(name: string, properties: Readonly<Record<string, string>>): void {
  const size = Number(properties['volsize'] ?? 0);
  const block = Number(properties['volblocksize'] ?? 16_384);
  if (!Number.isSafeInteger(size) || size <= 0)
    throw new ZfsError('invalid-property', `cannot create '${name}': volume size cannot be zero`);
  if (size % block !== 0) throw new ZfsError('invalid-property', `'volsize' must be a multiple of volume block size (${block})`);
}
