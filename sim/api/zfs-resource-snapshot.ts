import type { ArrayCore } from '../state/array-core.ts';
import { ZfsError } from '../state/zfs/zfs-error.ts';
import { validationError } from './contract.ts';
import { pythonQuote } from './method.ts';
import { sameNamed, splitSnapshot, treeNames } from './snapshot-operations.ts';
import { translated } from './zfs-errors.ts';

export interface SnapshotDestroy {
  readonly path: string;
  readonly recursive: boolean;
  readonly defer: boolean;
  readonly all_snapshots: boolean;
}

const SCHEMA = 'zfs.resource.snapshot.destroy';

/**
 * zfs.resource.snapshot.destroy of 26.0: one snapshot with its checks, or the channel program that releases holds and
 * destroys clones as well (truenas-api 10). Errors: ValidationErrors at that attribute.
 */
export async function destroySnapshotResource(core: ArrayCore, wanted: SnapshotDestroy): Promise<void> {
  await translated(
    () =>
      core.zfs.transaction(async () => {
        if (!wanted.recursive && !wanted.all_snapshots) {
          const snapshot = core.zfs.mustSnapshot(wanted.path);
          const holds = Object.keys(snapshot.holds);
          if (holds.length > 0) throw new ZfsError('held', `${pythonQuote(wanted.path)} has the following holds: ${holds.join(',')}`);
          const clones = core.zfs.clones(snapshot);
          if (clones.length > 0 && !wanted.defer)
            throw new ZfsError('has-clones', `${pythonQuote(wanted.path)} has the following clones: ${clones.join(',')}`);
          await core.snapshots.destroy(wanted.path, wanted.defer);
          return;
        }
        const doomed = wanted.all_snapshots
          ? treeNames(core, wanted.path, wanted.recursive).flatMap((name) => [...core.zfs.snapshots(core.zfs.mustDataset(name))])
          : sameNamed(core, wanted.path, wanted.recursive);
        for (const snapshot of doomed) {
          for (const clone of core.zfs.clones(snapshot)) if (core.zfs.dataset(clone) !== undefined) await core.snapshots.destroyTree(clone);
          if (core.zfs.snapshotByGuidOrNull(snapshot.guid) === null) continue;
          const fullName = core.zfs.fullName(snapshot);
          if (Object.keys(snapshot.holds).length > 0) await core.snapshots.release(fullName, null);
          // released last, it may be gone already: its destruction was deferred
          if (core.zfs.snapshotByGuidOrNull(snapshot.guid) !== null) await core.snapshots.destroy(fullName, false);
        }
      }),
    (error) => {
      if (error.code === 'not-found') return validationError(SCHEMA, `${pythonQuote(wanted.path)} not found`, 'ENOENT');
      if (error.code === 'held' || error.code === 'has-clones' || error.code === 'busy')
        return validationError(SCHEMA, error.message, 'EBUSY');
      return validationError(SCHEMA, `Failed to destroy ${pythonQuote(splitSnapshot(wanted.path)?.dataset ?? wanted.path)}`, 'EFAULT');
    },
  );
}
