import type { Snapshot } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import type { StorageContext } from './context.ts';

/** Oldest first. */
export function byAge(snapshots: readonly Snapshot[]): readonly Snapshot[] {
  return [...snapshots].sort((a, b) => a.createtxg - b.createtxg);
}

/** Names of the snapshots that are newer than `name`, of a list by age. Errors: SNAPSHOT_MISSING. */
export function newerThan(context: StorageContext, snapshots: readonly Snapshot[], volume: string, name: string): readonly string[] {
  const at = snapshots.findIndex((snapshot) => snapshot.name === name);
  if (at < 0) throw snapshotMissing(context, snapshots, volume, name);
  return snapshots.slice(at + 1).map((snapshot) => snapshot.name);
}

/**
 * Asks the array whether a rollback to `name` would lose newer snapshots (F-318, F-319). One read.
 * Errors: SNAPSHOT_MISSING, ROLLBACK_BLOCKED.
 */
export async function assertRollbackPossible(
  context: StorageContext,
  volume: string,
  zvol: string,
  name: string,
  deadline: Deadline,
): Promise<void> {
  const blockers = newerThan(context, byAge(await context.array.snapshots(zvol, deadline)), volume, name);
  if (blockers.length === 0) return;
  const { config } = context;
  throw new StorageError(
    'ROLLBACK_BLOCKED',
    `can't roll back '${config.id}:${volume}' to '${name}': newer snapshots exist: ${blockers.join(', ')}`,
    {
      hints: [
        'delete the newer snapshots first: those of the guest in PVE (qm delsnapshot VMID NAME, pct delsnapshot VMID NAME)',
        `those that TrueNAS made: TrueNAS: Data Protection > Periodic Snapshot Tasks, and Datasets > ${zvol} > Manage Snapshots`,
      ],
      state: 'nothing was changed',
      facts: { blockers },
    },
  );
}

function snapshotMissing(context: StorageContext, there: readonly Snapshot[], volume: string, name: string): StorageError {
  const { config } = context;
  const known = there.slice(-10).map((snapshot) => snapshot.name);
  const list = known.length === 0 ? 'it has none' : `it has ${there.length}, the newest: ${known.join(', ')}`;
  return new StorageError('SNAPSHOT_MISSING', `volume '${config.id}:${volume}' has no snapshot '${name}': ${list}`, {
    causes: ['it was deleted on TrueNAS, by hand or by the retention of a snapshot task'],
    hints: [`TrueNAS: Datasets > ${config.dataset}/${volume} > Manage Snapshots`],
    state: 'nothing was changed',
    facts: { found: known },
  });
}
