import { validDatasetName } from '../../../state/zfs/datasets.ts';
import type { DatasetOperations, NewDataset } from '../../../state/zfs/engine.ts';
import type { DatasetRecord } from '../../../state/zfs/records.ts';
import { ZfsError } from '../../../state/zfs/zfs-error.ts';
import type { ZfsState } from '../../../state/zfs/zfs-state.ts';
import type { Change, Step } from './pool-shell.ts';

/** Words of `-o name=value` for each property. */
export function options(...all: readonly Readonly<Record<string, string>>[]): string[] {
  return all.flatMap((one) => Object.entries(one).flatMap(([name, value]) => ['-o', `${name}=${value}`]));
}

/** Wait for the device nodes of a volume and of the volumes below a dataset (RP-03). */
export function devices(records: readonly DatasetRecord[], rename: (name: string) => string = (name) => name): Step[] {
  return records.filter((one) => one.type === 'VOLUME').map((one) => ['device', rename(one.name)]);
}

/** zfs(8) on datasets. Names that it could take for something else than names in this pool never reach it. */
export class LabDatasets implements DatasetOperations {
  private readonly state: ZfsState;
  private readonly change: Change;

  constructor(state: ZfsState, change: Change) {
    this.state = state;
    this.change = change;
  }

  async create(wanted: NewDataset): Promise<DatasetRecord> {
    const { name } = wanted;
    checkName(this.state, name);
    const { volsize, ...properties } = wanted.properties;
    const ancestors = wanted.createAncestors ? ['-p'] : [];
    const words = options(properties, wanted.userProperties);
    const read = wanted.createAncestors ? null : [name];
    if (wanted.type === 'VOLUME') {
      // -s: what is reserved stands in the properties
      await this.change(
        [
          ['zfs', 'create', ...ancestors, '-s', '-V', volsize ?? '0', ...words, '--', name],
          ['device', name],
        ],
        read,
      );
    } else await this.change([['zfs', 'create', ...ancestors, ...words, '--', name]], read);
    return this.state.mustDataset(name);
  }

  async setProperties(
    name: string,
    properties: Readonly<Record<string, string | null>>,
    users: Readonly<Record<string, string | null>> = {},
  ): Promise<DatasetRecord> {
    this.state.mustDataset(name);
    const entries = [...Object.entries(properties), ...Object.entries(users)];
    const set = entries.flatMap(([key, value]) => (value === null ? [] : [`${key}=${value}`]));
    const inherit = entries.flatMap(([key, value]): Step[] => (value === null ? [['zfs', 'inherit', '--', key, name]] : []));
    if (entries.length > 0) {
      await this.change([...(set.length > 0 ? [['zfs', 'set', '--', ...set, name] as const] : []), ...inherit], this.inheriting(name));
    }
    return this.state.mustDataset(name);
  }

  async destroy(name: string): Promise<void> {
    const origin = this.state.snapshotByGuidOrNull(this.state.mustDataset(name).origin);
    // its origin may have waited for it
    await this.change([['zfs', 'destroy', '--', name]], origin === null ? [name] : [name, this.state.fullName(origin)]);
  }

  async rename(name: string, newName: string): Promise<void> {
    const record = this.state.mustDataset(name);
    checkName(this.state, newName);
    const moved = [record, ...this.state.descendants(name)];
    try {
      await this.change([['zfs', 'rename', '--', name, newName], ...devices(moved, (one) => newName + one.slice(name.length))], null);
    } catch (error) {
      // libzfs names what was to be renamed, not what is in the way
      throw error instanceof ZfsError && error.code === 'exists' ? new ZfsError('exists', error.message, [newName]) : error;
    }
  }

  /** It, the datasets below it and the snapshots of all of them. */
  private inheriting(name: string): string[] {
    const all = [this.state.mustDataset(name), ...this.state.descendants(name)];
    return all.flatMap((one) => [one.name, ...this.state.snapshots(one).map((snapshot) => this.state.fullName(snapshot))]);
  }
}

/** Errors: ZfsError invalid-name, not-found (another pool). */
export function checkName(state: ZfsState, name: string): void {
  if (!validDatasetName(name)) throw new ZfsError('invalid-name', `cannot create '${name}': invalid character in name`);
  if (!name.includes('/')) throw new ZfsError('invalid-name', `cannot create '${name}': missing dataset name`);
  if (!name.startsWith(`${state.pool}/`))
    throw new ZfsError('not-found', `cannot create '${name}': no such pool '${name.split('/')[0] ?? ''}'`, [name]);
}
