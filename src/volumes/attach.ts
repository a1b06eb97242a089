import { StorageError } from '../core/errors.ts';
import type { HostPort } from '../core/host-port.ts';
import type { Deadline } from '../core/ports.ts';
import { parseVolumeName } from '../core/volume-name.ts';
import { type StorageContext, volumeKey } from './context.ts';
import { findVolume, knownVolume, lunSpec, refreshExports, zvolId } from './lookup.ts';

/** The snapshot of a volume is not served: handing out the live volume instead would read the wrong data (F-316). */
function assertNoSnapshot(context: StorageContext, volname: string, snapshot: string | undefined): void {
  if (snapshot === undefined) return;
  throw new StorageError('NOT_SUPPORTED', `storage '${context.config.id}' cannot open a snapshot ('${volname}@${snapshot}') as a disk`, {
    hints: ['roll back to the snapshot, or clone the current state'],
  });
}

/**
 * Makes the volume usable on this node through `host` and returns what PVE opens. Repeated and concurrent calls are
 * fine (pve-storage-api 6.1). When the device is not what the inventory says, the array is asked once more: the volume
 * may have been exported anew. Errors: VOLUME_MISSING, EXPORT_MISSING, LOGIN_FAILED, DEVICE_MISSING, DEVICE_IDENTITY, DEVICE_SIZE.
 */
export async function attach(
  context: StorageContext,
  host: HostPort,
  volname: string,
  snapshot: string | undefined,
  deadline: Deadline,
): Promise<string> {
  assertNoSnapshot(context, volname, snapshot);
  const { name } = parseVolumeName(volname);
  return context.locks.run(volumeKey(context, zvolId(context, name)), deadline.signal, async () => {
    const volume = await findVolume(context, volname, deadline);
    try {
      return (await host.attach(await lunSpec(context, volume), deadline)).path;
    } catch (error) {
      if (!isStale(error)) throw error;
      context.log.info('volume is not where it was, asking the array', { volume: `${context.config.id}:${name}`, code: error.code });
    }
    await Promise.all([
      refreshExports(context, deadline),
      context.inventory.zvolCollection(context.config.dataset).refresh(zvolId(context, name), deadline),
    ]);
    const fresh = await findVolume(context, volname, deadline);
    return (await host.attach(await lunSpec(context, fresh), deadline)).path;
  });
}

function isStale(error: unknown): error is StorageError {
  return error instanceof StorageError && ['EXPORT_MISSING', 'DEVICE_IDENTITY', 'DEVICE_SIZE', 'DEVICE_MISSING'].includes(error.code);
}

/**
 * Takes the volume's device off this node. Succeeds for volumes that were never active or are gone, needs no answer of
 * the array, and touches no other node (pve-storage-api 6.1). Errors: DEVICE_BUSY.
 */
export async function detach(context: StorageContext, volname: string, snapshot: string | undefined, deadline: Deadline): Promise<void> {
  if (snapshot !== undefined) return; // never activated, see assertNoSnapshot
  const { name } = parseVolumeName(volname);
  await context.locks.run(volumeKey(context, zvolId(context, name)), deadline.signal, async () => {
    const extent = context.inventory.targets.entries.size === 0 ? null : (tryKnown(context, name)?.extent ?? null);
    const reference = { storage: context.config.id, volume: name, ...(extent === null ? {} : { naa: extent.naa }) };
    await context.host.detach(reference, deadline);
    if (context.kernel !== context.host) await context.kernel.detach(reference, deadline);
  });
}

/** What is known of a volume, if anything: a missing target must not keep a device from being removed. */
function tryKnown(context: StorageContext, name: string): ReturnType<typeof knownVolume> {
  try {
    return knownVolume(context, name);
  } catch {
    return null;
  }
}
