import type { Extent, Mapping, Zvol } from '../core/array-port.ts';
import { asStorageError, RefusedError, StorageError } from '../core/errors.ts';
import type { OpenOperation } from '../core/journal-port.ts';
import type { Deadline } from '../core/ports.ts';
import { parseVolumeName } from '../core/volume-name.ts';
import { type StorageContext, volumeKey } from './context.ts';
import { destroyZvol } from './destroy-zvol.ts';
import { deleteExtent, deleteMapping, deleteOnce, exportZvol } from './export-zvol.ts';
import { exportIndex, findVolume, type Volume, withExport, zvolId } from './lookup.ts';
import { lacksRoles, missingRoles } from './needed-roles.ts';
import { extentDisk, isPerlPluginExtent, ownerOf } from './owner-mark.ts';

/**
 * Deletes a volume for good: its device on this node, LUN, extent, snapshots, zvol; three changes and one read when it
 * has no snapshots. What could refuse is asked before the first change; once begun it is finished, also after a crash.
 * Errors: VOLUME_MISSING, VOLUME_FOREIGN, VOLUME_BUSY, DEVICE_BUSY, VOLUME_HAS_CLONES, NOT_AUTHORIZED, DELETE_UNCONFIRMED.
 */
export async function free(context: StorageContext, volname: string, deadline: Deadline): Promise<void> {
  const { name } = parseVolumeName(volname);
  const id = zvolId(context, name);
  await context.locks.run(volumeKey(context, id), deadline.signal, async () => {
    const volume = await findVolume(context, volname, deadline);
    assertNoKnownClones(context, volume);
    await learnOtherExports(context, volume, deadline);
    const exports = exportsOf(context, volume);
    await assertMayDelete(context, id, deadline);
    if (context.inventory.knownSnapshots(id).size > 0) await assertSnapshotsFree(context, volume.zvol, deadline);
    await releaseHere(context, volume, deadline);

    const operation: OpenOperation = {
      id: context.newOwner(),
      kind: 'free',
      begun: context.clock.now(),
      node: context.node,
      storage: context.config.id,
      section: context.section,
      zvol: id,
      was: {
        owner: ownerOf(volume.zvol),
        creation: volume.zvol.creation,
        extent: volume.extent?.id ?? null,
        naa: volume.extent?.naa ?? null,
        mappings: exports.mappings.map((mapping) => mapping.id),
      },
    };
    await context.journal.begin(operation);
    context.log.info('freeing volume', {
      volume: `${context.config.id}:${name}`,
      zvol: id,
      bytes: volume.zvol.volsize,
      naa: volume.extent?.naa,
      lun: volume.mapping?.lun,
    });
    try {
      for (const mapping of exports.mappings) await deleteMapping(context, mapping, deadline);
      for (const extent of exports.extents) await deleteExtent(context, extent, deadline);
      await destroyWithSnapshots(context, volume.zvol, deadline);
    } catch (error) {
      await giveUp(context, operation, volume, asStorageError(error), deadline);
    }
    await context.journal.end(operation.id);
  });
}

/** Goes on with a deletion that a crash or a lost connection interrupted; only what it was begun for is touched. */
export async function finishFree(context: StorageContext, operation: OpenOperation, deadline: Deadline): Promise<void> {
  const { array, inventory, log } = context;
  const { was } = operation;
  if (was === undefined) return;
  const extent = was.extent === null ? null : await array.extent(was.extent, deadline);
  const same = extent !== null && extent.naa === was.naa && extent.disk === extentDisk(operation.zvol) ? extent : null;
  if (same !== null) {
    for (const mapping of await array.mappingsOfExtent(same.id, deadline)) await deleteMapping(context, mapping, deadline);
    await deleteExtent(context, same, deadline);
  }
  const zvol = await array.zvol(operation.zvol, deadline);
  if (zvol === null) {
    inventory.zvolCollection(context.config.dataset).remove(operation.zvol);
    return;
  }
  if (ownerOf(zvol) !== was.owner || zvol.creation !== was.creation) return; // a new volume of the same name
  await destroyWithSnapshots(context, zvol, deadline);
  log.info('interrupted deletion finished', { zvol: operation.zvol });
}

/** Begun without the right to finish it, a deletion would leave a volume without a LUN. Roles are read once a session. */
async function assertMayDelete({ array, config, inventory }: StorageContext, zvol: string, deadline: Deadline): Promise<void> {
  const { release } = array.connection();
  const needed = ['DATASET_DELETE', 'SHARING_ISCSI_EXTENT_WRITE', 'SHARING_ISCSI_TARGETEXTENT_WRITE'];
  if (inventory.knownSnapshots(zvol).size > 0) needed.push('SNAPSHOT_DELETE');
  const lacking = (held: readonly string[] | null): readonly string[] =>
    held === null || release === null
      ? []
      : missingRoles(held, release).flatMap(({ anyOf }) => (anyOf.some((role) => needed.includes(role)) ? [anyOf.join(' or ')] : []));
  const known = inventory.roles;
  if (known !== null && lacking(known).length === 0) return;
  const missing = lacking(await inventory.refreshRoles(deadline));
  if (missing.length > 0) throw lacksRoles(config, missing);
}

/**
 * TrueNAS deletes with a zvol whatever exports it, and a target with its last LUN (truenas-api 9.3): so an export that is not
 * ours must be known before. 25.04 lets a second extent stand on a zvol; later releases let a namespace stand only where no
 * extent does. Costs a call in these cases alone. Errors: VOLUME_BUSY.
 */
async function learnOtherExports(context: StorageContext, volume: Volume, deadline: Deadline): Promise<void> {
  const { array, config, inventory } = context;
  if (array.connection().release === '25.04') await inventory.extentsSettled(deadline);
  if (volume.extent !== null) return;
  const disk = extentDisk(volume.zvol.id);
  const namespace = (await array.namespaces(deadline)).find((one) => one.disk === disk);
  if (namespace === undefined) return;
  const { subsystem, nsid } = namespace;
  throw new StorageError(
    'VOLUME_BUSY',
    `volume '${config.id}:${volume.name}' is exported by NVMe-oF: subsystem '${subsystem.name}', NSID ${String(nsid ?? '?')}`,
    {
      causes: ['someone shares this zvol by hand', 'a Perl plugin in NVMe/TCP mode made it'],
      hints: ['TrueNAS: Shares > NVMe-oF Subsystems: remove the namespace when nobody uses it'],
      facts: { namespace: namespace.id, uuid: namespace.uuid },
    },
  );
}

/** A linked clone that the inventory knows forbids the deletion before anything was changed. */
function assertNoKnownClones(context: StorageContext, volume: Volume): void {
  const prefix = `${volume.zvol.id}@`;
  const clones = [...context.inventory.zvols(context.config.dataset).values()].filter((zvol) => zvol.origin?.startsWith(prefix) ?? false);
  if (clones.length > 0)
    throw hasClones(
      context,
      volume.name,
      clones.map((zvol) => zvol.id),
    );
}

/** Clones of the volume's snapshots and holds on them, asked of the array. Errors: VOLUME_HAS_CLONES, VOLUME_BUSY. */
async function assertSnapshotsFree(context: StorageContext, zvol: Zvol, deadline: Deadline): Promise<void> {
  const { array, config } = context;
  const [snapshots, held] = await Promise.all([array.snapshots(zvol.id, deadline), array.heldSnapshots(zvol.id, deadline)]);
  const clones = (await Promise.all(snapshots.map((snapshot) => array.clonesOf(snapshot.id, deadline)))).flat();
  const name = zvol.id.slice(config.dataset.length + 1);
  if (clones.length > 0) throw hasClones(context, name, clones);
  if (held.length === 0) return;
  const ids = held.map((snapshot) => `'${zvol.id}@${snapshot}'`).join(', ');
  throw new StorageError('VOLUME_BUSY', `volume '${config.id}:${name}' cannot be deleted: somebody holds its snapshots ${ids}`, {
    causes: ['a replication or backup program keeps the snapshot until it is done', 'someone set a hold by hand'],
    hints: [
      'TrueNAS: Data Protection: is a replication of this dataset running?',
      `TrueNAS: System > Shell: zfs holds ${zvol.id}@${held[0] ?? ''}, then zfs release TAG SNAPSHOT when nobody needs it`,
    ],
    facts: { held: [...held] },
  });
}

function hasClones(context: StorageContext, name: string, clones: readonly string[]): StorageError {
  return new StorageError('VOLUME_HAS_CLONES', `volume '${context.config.id}:${name}' is still the origin of ${clones.join(', ')}`, {
    hints: ['delete or promote the clones first'],
  });
}

/** All extents of the zvol with their mappings, on whatever target. A foreign one forbids the deletion (law 4). */
function exportsOf(context: StorageContext, volume: Volume): { extents: readonly Extent[]; mappings: readonly Mapping[] } {
  const disk = extentDisk(volume.zvol.id);
  const extents = [...context.inventory.extents.entries.values()].filter((extent) => extent.disk === disk);
  const foreign = extents.find((extent) => !/^pve-[0-9a-f]{32}$/.test(extent.name) && !isPerlPluginExtent(extent, volume.zvol.id));
  if (foreign !== undefined) {
    throw new StorageError('VOLUME_BUSY', `extent '${foreign.name}', which this plugin did not make, exports zvol '${volume.zvol.id}'`, {
      causes: ['someone shares this zvol by hand'],
      hints: ['TrueNAS: Shares > Block (iSCSI) Shares Targets > Extents'],
      state: 'nothing was changed',
    });
  }
  const ids = new Set(extents.map((extent) => extent.id));
  return { extents, mappings: [...context.inventory.mappings.entries.values()].filter((mapping) => ids.has(mapping.extent)) };
}

/** PVE frees volumes that are still active on this node (pve-storage-api 6.1): the device goes first, or says who holds it. */
async function releaseHere(context: StorageContext, volume: Volume, deadline: Deadline): Promise<void> {
  const reference = { storage: context.config.id, volume: volume.name, ...(volume.extent === null ? {} : { naa: volume.extent.naa }) };
  const holders = await context.host.holders(reference, deadline);
  if (holders.length > 0) {
    throw new StorageError('VOLUME_BUSY', `volume '${context.config.id}:${volume.name}' is in use on this node: ${holders.join(', ')}`, {
      state: 'nothing was changed',
    });
  }
  await context.host.detach(reference, deadline);
}

/** Tries the zvol itself first; its snapshots are read only when the array says that there are some. */
async function destroyWithSnapshots(context: StorageContext, zvol: Zvol, deadline: Deadline): Promise<void> {
  const { array, inventory } = context;
  if (inventory.knownSnapshots(zvol.id).size === 0) {
    try {
      await destroyZvol(context, zvol, deadline);
      return;
    } catch (error) {
      if (!(error instanceof StorageError) || error.code === 'DELETE_UNCONFIRMED' || !(error instanceof RefusedError)) throw error;
      // Whatever the refusal says, the answer is in the list of snapshots (classified by looking, not by its words: F-004).
      const snapshots = await array.snapshots(zvol.id, deadline);
      if (snapshots.length === 0) throw error;
      await assertSnapshotsFree(context, zvol, deadline);
    }
  }
  for (const snapshot of await array.snapshots(zvol.id, deadline)) {
    await deleteOnce(
      () => array.deleteSnapshot(snapshot.id, deadline),
      async () => (await array.snapshot(snapshot.id, deadline)) === null,
    );
    inventory.noteSnapshot(zvol.id, snapshot.name, false);
  }
  await destroyZvol(context, zvol, deadline);
}

/**
 * A deletion that the array forbids for good (clones, holds) is taken back: the volume gets a new extent and LUN. Anything
 * else is finished later: the journal keeps it.
 */
async function giveUp(
  context: StorageContext,
  operation: OpenOperation,
  volume: Volume,
  error: StorageError,
  deadline: Deadline,
): Promise<never> {
  if (error.code === 'VOLUME_HAS_CLONES' || error.code === 'SNAPSHOT_HAS_CLONES' || 'held' in error.facts) {
    const now = withExport(exportIndex(context), volume.name, volume.zvol);
    if (now.mapping === null) await exportZvol(context, volume.zvol, ownerOf(volume.zvol) ?? operation.id, deadline);
    await context.journal.end(operation.id);
    throw error;
  }
  context.journal.leave(operation);
  throw error.state === undefined
    ? error.leaving(`the deletion of '${operation.zvol}' has begun and is finished by the daemon as soon as it can`)
    : error;
}
