import type { Snapshot } from '../core/array-port.ts';
import { OutcomeUnknownError, StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { assertSnapshotName, parseVolumeName } from '../core/volume-name.ts';
import { changeOnce } from './change-once.ts';
import { type StorageContext, volumeKey } from './context.ts';
import { deleteOnce } from './export-zvol.ts';
import { findVolume, type Volume, zvolId } from './lookup.ts';
import { assertPreflight } from './preflight/preflight.ts';
import { assertRollbackPossible, byAge, newerThan } from './rollback-guard.ts';

/**
 * Takes a snapshot: one change and nothing else, since the guest is frozen meanwhile (pve-storage-api 4.2).
 * Errors: VOLUME_MISSING, SNAPSHOT_EXISTS, NO_SPACE.
 */
export async function createSnapshot(context: StorageContext, volname: string, name: string, deadline: Deadline): Promise<void> {
  assertSnapshotName(name);
  await onVolume(context, volname, deadline, async (volume) => {
    const { array, inventory } = context;
    await changeOnce(
      () => array.createSnapshot(volume.zvol.id, name, deadline),
      () => array.snapshot(`${volume.zvol.id}@${name}`, deadline),
    );
    inventory.noteSnapshot(volume.zvol.id, name, true);
    context.log.info('snapshot taken', { volume: `${context.config.id}:${volume.name}`, snapshot: name });
  });
}

/** Deletes one snapshot, never more; one that is gone already is fine. Errors: VOLUME_MISSING, SNAPSHOT_HAS_CLONES. */
export async function deleteSnapshot(context: StorageContext, volname: string, name: string, deadline: Deadline): Promise<void> {
  assertSnapshotName(name);
  await onVolume(context, volname, deadline, async (volume) => {
    const { array, inventory } = context;
    const id = `${volume.zvol.id}@${name}`;
    await deleteOnce(
      () => array.deleteSnapshot(id, deadline),
      async () => (await array.snapshot(id, deadline)) === null,
    );
    // "true" is no proof on every release (law 6, F-315).
    if ((await array.snapshot(id, deadline)) !== null) {
      throw new StorageError('DELETE_UNCONFIRMED', `snapshot '${id}' is still there although TrueNAS said it was deleted`);
    }
    inventory.noteSnapshot(volume.zvol.id, name, false);
    context.log.info('snapshot deleted', { volume: `${context.config.id}:${volume.name}`, snapshot: name });
  });
}

/** Snapshots of a volume, oldest first; asked of the array, since its own periodic tasks announce nothing (truenas-api 6). */
export async function listSnapshots(context: StorageContext, volname: string, deadline: Deadline): Promise<readonly Snapshot[]> {
  const volume = await findVolume(context, volname, deadline);
  return byAge(await context.array.snapshots(volume.zvol.id, deadline));
}

/** Names of the snapshots newer than `name`, oldest first: they would be lost by a rollback (F-318, F-319). Errors: SNAPSHOT_MISSING. */
export async function rollbackBlockers(
  context: StorageContext,
  volname: string,
  name: string,
  deadline: Deadline,
): Promise<readonly string[]> {
  assertSnapshotName(name);
  return newerThan(context, await listSnapshots(context, volname, deadline), parseVolumeName(volname).name, name);
}

/**
 * Rolls a volume back. Newer snapshots are never destroyed: their entries in the guest's configuration would stay
 * (F-320). This node's cached blocks are dropped before and after (RP-15, F-321).
 * Errors: SNAPSHOT_MISSING, ROLLBACK_BLOCKED, DEVICE_BUSY, PREFLIGHT_FAILED and what its checks say.
 */
export async function rollback(context: StorageContext, volname: string, name: string, deadline: Deadline): Promise<void> {
  assertSnapshotName(name);
  await onVolume(context, volname, deadline, async (volume) => {
    const { array, inventory } = context;
    const id = `${volume.zvol.id}@${name}`;
    await assertPreflight(context, { operation: 'rollback', volume: volname, snapshot: name }, deadline);
    const reference = { storage: context.config.id, volume: volume.name, ...(volume.extent === null ? {} : { naa: volume.extent.naa }) };
    await context.host.flush(reference, deadline);
    try {
      await array.rollback(id, deadline);
    } catch (error) {
      if (!(error instanceof OutcomeUnknownError)) throw error;
      // Nothing on the array tells whether it happened; the guest is stopped, so that doing it again ends in the same state.
      await assertRollbackPossible(context, volume.name, volume.zvol.id, name, deadline);
      await array.rollback(id, deadline);
    }
    // The size is that of the snapshot again.
    const zvol = await inventory.zvolCollection(context.config.dataset).refresh(volume.zvol.id, deadline);
    await context.host.flush(reference, deadline);
    context.log.info('volume rolled back', { volume: `${context.config.id}:${volume.name}`, snapshot: name, bytes: zvol?.volsize });
  });
}

function onVolume(context: StorageContext, volname: string, deadline: Deadline, work: (volume: Volume) => Promise<void>): Promise<void> {
  const { name } = parseVolumeName(volname);
  return context.locks.run(volumeKey(context, zvolId(context, name)), deadline.signal, async () => {
    await work(await findVolume(context, volname, deadline));
  });
}
