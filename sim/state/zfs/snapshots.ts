import { type Datasets, validSnapshotName } from './datasets.ts';
import { dependents, newerSnapshots } from './dependents.ts';
import type { RollbackOptions, SnapshotOperations } from './engine.ts';
import type { DatasetRecord, SnapshotRecord } from './records.ts';
import { bytesOf, type SpaceAccounting } from './space.ts';
import { ZfsError } from './zfs-error.ts';
import type { ZfsState } from './zfs-state.ts';

/** Snapshots as ZFS handles them. Call inside `state.transaction`. */
export class Snapshots implements SnapshotOperations {
  private readonly state: ZfsState;
  private readonly space: SpaceAccounting;
  private readonly datasets: Datasets;

  constructor(state: ZfsState, space: SpaceAccounting, datasets: Datasets) {
    this.state = state;
    this.space = space;
    this.datasets = datasets;
  }

  /**
   * Takes `name` of all `datasets` in one transaction group: all or none.
   * Errors: not-found, exists (names = the snapshots that exist), invalid-name, no-space.
   */
  async take(datasets: readonly string[], name: string, users: Readonly<Record<string, string>>): Promise<SnapshotRecord[]> {
    const records = datasets.map((one) => this.state.mustDataset(one));
    this.space.refresh();
    for (const record of records) {
      const fullName = `${record.name}@${name}`;
      if (!validSnapshotName(fullName))
        throw new ZfsError('invalid-name', `cannot create snapshot '${fullName}': invalid character in name`);
      if (this.state.snapshot(fullName) !== undefined) {
        throw new ZfsError('exists', `cannot create snapshot '${fullName}': dataset already exists`, [fullName]);
      }
      if (this.state.full || this.space.snapshotCost(record) > this.space.available(record)) {
        throw new ZfsError('no-space', `cannot create snapshot '${fullName}': out of space`, [fullName]);
      }
    }
    const txg = this.state.nextTxg();
    const taken: SnapshotRecord[] = [];
    for (const record of records) {
      const snapshot: SnapshotRecord = {
        guid: this.state.newGuid(),
        dataset: record.guid,
        name,
        createtxg: txg,
        creation: this.state.seconds(),
        userProperties: { ...users },
        holds: {},
        deferred: false,
        referenced: this.space.referenced(record),
        volsize: record.type === 'VOLUME' ? bytesOf(record, 'volsize') : null,
      };
      if (record.type === 'VOLUME') await this.state.blocks.copy(record.guid, snapshot.guid);
      this.state.insertSnapshot(snapshot);
      taken.push(snapshot);
    }
    return taken;
  }

  /** With `defer` a snapshot with clones or holds is only marked. Errors: not-found, has-clones, held. */
  async destroy(fullName: string, defer: boolean): Promise<void> {
    const snapshot = this.state.mustSnapshot(fullName);
    const clones = this.state.clones(snapshot);
    const held = Object.keys(snapshot.holds);
    if (clones.length > 0 || held.length > 0) {
      if (defer) {
        snapshot.deferred = true;
        this.state.touch();
        return;
      }
      if (clones.length > 0) {
        throw new ZfsError(
          'has-clones',
          `cannot destroy '${fullName}': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n${clones.join('\n')}`,
          clones,
        );
      }
      throw new ZfsError('held', `cannot destroy snapshot ${fullName}: dataset is busy`, held);
    }
    await this.drop(snapshot);
  }

  /** Errors: not-found, held (the tag is there already). */
  hold(fullName: string, tag: string): void {
    const snapshot = this.state.mustSnapshot(fullName);
    if (snapshot.holds[tag] !== undefined)
      throw new ZfsError('held', `cannot hold snapshot '${fullName}': tag already exists on this dataset`, [tag]);
    snapshot.holds[tag] = this.state.seconds();
    this.state.touch();
  }

  /**
   * `tag` null: all of them; one that the snapshot does not have is released already (lzc_release). A snapshot marked for deferred destruction
   * goes with its last hold. Errors: not-found.
   */
  async release(fullName: string, tag: string | null): Promise<void> {
    const snapshot = this.state.mustSnapshot(fullName);
    if (tag === null) snapshot.holds = {};
    else Reflect.deleteProperty(snapshot.holds, tag);
    this.state.touch();
    if (snapshot.deferred && Object.keys(snapshot.holds).length === 0 && this.state.clones(snapshot).length === 0)
      await this.drop(snapshot);
  }

  /** Errors: not-found, exists, invalid-name. */
  rename(fullName: string, newFullName: string): void {
    const snapshot = this.state.mustSnapshot(fullName);
    if (newFullName === fullName) return;
    if (!validSnapshotName(newFullName)) throw new ZfsError('invalid-name', `cannot rename to '${newFullName}': invalid character in name`);
    if (this.state.snapshot(newFullName) !== undefined)
      throw new ZfsError('exists', `cannot rename '${fullName}': dataset already exists`, [newFullName]);
    snapshot.name = newFullName.slice(newFullName.indexOf('@') + 1);
    this.state.touch();
  }

  setUserProperties(fullName: string, changes: Readonly<Record<string, string | null>>): void {
    const snapshot = this.state.mustSnapshot(fullName);
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) Reflect.deleteProperty(snapshot.userProperties, key);
      else snapshot.userProperties[key] = value;
    }
    this.state.touch();
  }

  /** The last step of every rollback. Errors: not-found, newer-snapshots. */
  async rollbackTo(fullName: string): Promise<DatasetRecord> {
    const snapshot = this.state.mustSnapshot(fullName);
    const newer = newerSnapshots(this.state, snapshot).map((one) => this.state.fullName(one));
    if (newer.length > 0) {
      throw new ZfsError(
        'newer-snapshots',
        `cannot rollback to '${fullName}': more recent snapshots or bookmarks exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\n${newer.join('\n')}`,
        newer,
      );
    }
    const dataset = this.state.datasetByGuid(snapshot.dataset);
    if (dataset === undefined) throw new ZfsError('not-found', `cannot open '${fullName}': dataset does not exist`, [fullName]);
    if (dataset.type === 'VOLUME') {
      await this.state.blocks.restore(snapshot.guid, dataset.guid);
      if (snapshot.volsize !== null) dataset.properties['volsize'] = String(snapshot.volsize);
    }
    this.state.touch();
    return dataset;
  }

  /** `zfs rollback [-r] [-R]`: all checks first, so that nothing is destroyed when it is refused. Errors: newer-snapshots, newer-clones, held, busy. */
  async rollback(fullName: string, options: RollbackOptions): Promise<DatasetRecord> {
    const snapshot = this.state.mustSnapshot(fullName);
    const newer = newerSnapshots(this.state, snapshot);
    if (newer.length > 0 && (options.recursive || options.recursiveClones)) {
      const clones = newer.flatMap((one) => this.state.clones(one));
      if (clones.length > 0 && !options.recursiveClones) {
        throw new ZfsError(
          'newer-clones',
          `cannot rollback to '${fullName}': clones of previous snapshots exist\nuse '-R' to force deletion of the following clones and dependents:\n${clones.join('\n')}`,
          clones,
        );
      }
      const held = newer.find((one) => Object.keys(one.holds).length > 0);
      if (held !== undefined)
        throw new ZfsError('held', `cannot destroy '${this.state.fullName(held)}': dataset is busy`, [this.state.fullName(held)]);
      for (const one of [...newer].reverse()) {
        for (const clone of this.state.clones(one)) await this.destroyTree(clone);
        await this.destroy(this.state.fullName(one), false);
      }
    }
    return this.rollbackTo(fullName);
  }

  async destroyRecursive(name: string): Promise<void> {
    const inside = (one: string): boolean => one === name || one.startsWith(`${name}/`);
    const doomed = dependents(this.state, name);
    const outside = doomed.filter((one) => !inside(one.name)).map((one) => one.name);
    if (outside.length > 0) {
      const kind = this.state.mustDataset(name).type === 'VOLUME' ? 'volume' : 'filesystem';
      throw new ZfsError(
        'has-clones',
        `cannot destroy '${name}': ${kind} has dependent clones\nuse '-R' to destroy the following datasets:\n${outside.join('\n')}`,
        outside,
      );
    }
    for (const record of doomed) {
      const held = this.state.snapshots(record).find((one) => Object.keys(one.holds).length > 0);
      if (held !== undefined) throw new ZfsError('held', `cannot destroy '${this.state.fullName(held)}': dataset is busy`);
    }
    await this.destroyTree(name);
  }

  /**
   * Everything below and of `name` with its snapshots and all their clones, holds released (`zfs destroy -R`, and what the
   * channel program of 26.0 does). Errors: busy (nothing is destroyed then).
   */
  async destroyTree(name: string): Promise<void> {
    const doomed = dependents(this.state, name);
    const open = doomed.find((one) => this.state.open.has(one.guid));
    if (open !== undefined) throw new ZfsError('busy', `cannot destroy '${open.name}': dataset is busy`, [open.name]);
    for (const record of doomed) {
      // clones come first in the list, so only holds can stand in the way here
      for (const snapshot of [...this.state.snapshots(record)]) await this.drop(snapshot);
      if (this.state.dataset(record.name) !== undefined) await this.datasets.destroy(record.name);
    }
  }

  private async drop(snapshot: SnapshotRecord): Promise<void> {
    this.state.removeSnapshot(snapshot);
    await this.state.blocks.remove(snapshot.guid);
  }
}
