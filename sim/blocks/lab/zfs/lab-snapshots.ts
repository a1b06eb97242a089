import { validSnapshotName } from '../../../state/zfs/datasets.ts';
import { dependents } from '../../../state/zfs/dependents.ts';
import type { RollbackOptions, SnapshotOperations } from '../../../state/zfs/engine.ts';
import type { DatasetRecord, SnapshotRecord } from '../../../state/zfs/records.ts';

import { ZfsError } from '../../../state/zfs/zfs-error.ts';
import type { ZfsState } from '../../../state/zfs/zfs-state.ts';
import { options } from './lab-datasets.ts';
import type { Change, Step } from './pool-shell.ts';

/** zfs(8) on snapshots. */
export class LabSnapshots implements SnapshotOperations {
  private readonly state: ZfsState;
  private readonly change: Change;

  constructor(state: ZfsState, change: Change) {
    this.state = state;
    this.change = change;
  }

  async take(datasets: readonly string[], name: string, users: Readonly<Record<string, string>>): Promise<SnapshotRecord[]> {
    const names = datasets.map((one) => `${this.state.mustDataset(one).name}@${name}`);
    for (const one of names) {
      if (!validSnapshotName(one)) throw new ZfsError('invalid-name', `cannot create snapshot '${one}': invalid character in name`);
    }
    if (names.length === 0) return [];
    await this.change([['zfs', 'snapshot', ...options(users), '--', ...names]], [...names, ...datasets]);
    return names.map((one) => this.state.mustSnapshot(one));
  }

  async destroy(fullName: string, defer: boolean): Promise<void> {
    this.state.mustSnapshot(fullName);
    await this.change([['zfs', 'destroy', ...(defer ? ['-d'] : []), '--', fullName]], [fullName]);
  }

  async hold(fullName: string, tag: string): Promise<void> {
    this.state.mustSnapshot(fullName);
    await this.change([['zfs', 'hold', '--', tag, fullName]], [fullName]);
  }

  async release(fullName: string, tag: string | null): Promise<void> {
    const snapshot = this.state.mustSnapshot(fullName);
    const tags = Object.keys(snapshot.holds).filter((one) => tag === null || one === tag);
    if (tags.length > 0)
      await this.change(
        tags.map((one): Step => ['zfs', 'release', '--', one, fullName]),
        [fullName],
      );
  }

  async rename(fullName: string, newFullName: string): Promise<void> {
    this.state.mustSnapshot(fullName);
    if (!validSnapshotName(newFullName)) throw new ZfsError('invalid-name', `cannot rename to '${newFullName}': invalid character in name`);
    await this.change([['zfs', 'rename', '--', fullName, newFullName]], null);
  }

  async setUserProperties(fullName: string, changes: Readonly<Record<string, string | null>>): Promise<void> {
    this.state.mustSnapshot(fullName);
    const steps = Object.entries(changes).map(
      ([key, value]): Step =>
        value === null ? ['zfs', 'inherit', '--', key, fullName] : ['zfs', 'set', '--', `${key}=${value}`, fullName],
    );
    if (steps.length > 0) await this.change(steps, [fullName]);
  }

  rollbackTo(fullName: string): Promise<DatasetRecord> {
    return this.rollback(fullName, { recursive: false, recursiveClones: false });
  }

  async rollback(fullName: string, { recursive, recursiveClones }: RollbackOptions): Promise<DatasetRecord> {
    const { dataset } = this.state.mustSnapshot(fullName);
    const name = fullName.slice(0, fullName.indexOf('@'));
    const flags = recursiveClones ? ['-R'] : recursive ? ['-r'] : [];
    await this.change([['zfs', 'rollback', ...flags, '--', fullName]], flags.length > 0 ? null : [name]);
    const record = this.state.datasetByGuid(dataset);
    if (record === undefined) throw new ZfsError('not-found', `cannot open '${fullName}': dataset does not exist`, [fullName]);
    return record;
  }

  async destroyRecursive(name: string): Promise<void> {
    this.state.mustDataset(name);
    await this.change([['zfs', 'destroy', '-r', '--', name]], null);
  }

  async destroyTree(name: string): Promise<void> {
    const doomed = dependents(this.state, name);
    const open = doomed.find((one) => this.state.open.has(one.guid));
    if (open !== undefined) throw new ZfsError('busy', `cannot destroy '${open.name}': dataset is busy`, [open.name]);
    const releases = doomed.flatMap((record) =>
      this.state
        .snapshots(record)
        .flatMap((snapshot) =>
          Object.keys(snapshot.holds).map((tag): Step => ['zfs', 'release', '--', tag, this.state.fullName(snapshot)]),
        ),
    );
    await this.change([...releases, ['zfs', 'destroy', '-R', '--', name]], null);
  }
}
