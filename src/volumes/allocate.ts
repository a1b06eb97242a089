import type { Zvol } from '../core/array-port.ts';
import { withDeadline } from '../core/deadline.ts';
import { asStorageError, RefusedError, StorageError } from '../core/errors.ts';
import type { OpenOperation } from '../core/journal-port.ts';
import type { Deadline } from '../core/ports.ts';
import { assertVolumeSize, fittingBlockSize, formatBytes } from '../core/sizes.ts';
import { parseVolumeName, printable } from '../core/volume-name.ts';
import { changeOnce } from './change-once.ts';
import { type StorageContext, volumeKey } from './context.ts';
import { exportZvol } from './export-zvol.ts';
import { lowestFreeName, noFreeName } from './free-name.ts';
import { findTarget, volumeExists, zvolId } from './lookup.ts';
import { OWNER_PROPERTY, STORAGE_PROPERTY } from './owner-mark.ts';
import { assertPreflight } from './preflight/preflight.ts';
import { explainNoSpace, needOfNew } from './space.ts';
import { takeBack } from './take-back.ts';

export interface AllocateRequest {
  /** 100..999999999 */
  readonly vmid: number;
  /** `vm-<vmid>-…`; absent: the lowest free `vm-<vmid>-disk-<n>` */
  readonly name?: string;
  /** bytes, kept exactly */
  readonly size: number;
}

/** ms that taking back may use after the caller's own deadline is over */
const TAKE_BACK_MS = 45_000;

/**
 * Makes a volume: zvol, extent, LUN; three changes and one read. All of it or nothing: on any failure, also of the
 * daemon itself, what was made is found by its owner mark and removed (law 5).
 * Errors: NAME_INVALID, SIZE_INVALID, VOLUME_EXISTS, NO_FREE_NAME, NO_SPACE, SERVICE_STOPPED, TARGET_MISSING, …
 */
export async function allocate(context: StorageContext, request: AllocateRequest, deadline: Deadline): Promise<string> {
  assertVolumeSize(request.size);
  assertGuest(request.vmid);
  if (request.name !== undefined) assertOwnName(request.name, request.vmid);
  const { vmid, size, name } = request;
  await assertPreflight(context, { operation: 'allocate', vmid, size, ...(name === undefined ? {} : { name }) }, deadline);
  await context.inventory.ready(context.config.dataset, deadline);
  if (request.name !== undefined) {
    await allocateNamed(context, request.name, request, deadline);
    return request.name;
  }
  const tried = new Set<string>();
  for (;;) {
    const name = reserveFreeName(context, request.vmid, tried);
    try {
      await allocateNamed(context, name, request, deadline);
      return name;
    } catch (error) {
      if (!(error instanceof StorageError && error.code === 'VOLUME_EXISTS')) throw error;
      // Another node was faster, or someone made it by hand: learn what else is there (callers share one read), take the next.
      tried.add(name);
      await context.inventory.zvolCollection(context.config.dataset).reload(deadline);
    } finally {
      context.reservedNames.delete(zvolId(context, name));
    }
  }
}

function assertGuest(vmid: number): void {
  if (!Number.isSafeInteger(vmid) || vmid < 100 || vmid > 999_999_999) {
    throw new StorageError('NAME_INVALID', `invalid VMID ${String(vmid)}: must be 100 to 999999999`);
  }
}

function assertOwnName(name: string, vmid: number): void {
  const parsed = parseVolumeName(name);
  if (parsed.vmid !== vmid || parsed.isBase || parsed.base !== null || parsed.legacy !== null) {
    throw new StorageError('NAME_INVALID', `illegal name '${printable(name)}': should be 'vm-${vmid}-*'`);
  }
}

/** Errors: NO_FREE_NAME. */
function reserveFreeName(context: StorageContext, vmid: number, tried: ReadonlySet<string>): string {
  const name = lowestFreeName(context, vmid, tried);
  if (name === null) throw noFreeName(context, vmid);
  context.reservedNames.add(zvolId(context, name));
  return name;
}

async function allocateNamed(context: StorageContext, name: string, request: AllocateRequest, deadline: Deadline): Promise<void> {
  const id = zvolId(context, name);
  await context.locks.run(volumeKey(context, id), deadline.signal, async () => {
    if (context.inventory.zvols(context.config.dataset).has(id)) throw volumeExists(context, name);
    const operation: OpenOperation = {
      id: context.newOwner(),
      kind: 'allocate',
      begun: context.clock.now(),
      node: context.node,
      storage: context.config.id,
      section: context.section,
      zvol: id,
      target: findTarget(context).id,
    };
    await context.journal.begin(operation);
    try {
      await make(context, operation, name, request.size, deadline);
      // The caller may have gone while the last answer came: it would never learn of the volume.
      deadline.signal.throwIfAborted();
    } catch (error) {
      // Refused since somebody else's volume has the name: nothing of ours is there to be taken back.
      if (error instanceof StorageError && error.code === 'VOLUME_EXISTS') {
        await context.journal.end(operation.id);
        throw error;
      }
      throw await takeBackAfter(context, operation, asStorageError(error));
    }
    await context.journal.end(operation.id);
  });
}

async function make(context: StorageContext, operation: OpenOperation, name: string, size: number, deadline: Deadline): Promise<void> {
  const { array, config, inventory } = context;
  const look = async (): Promise<Zvol | null> => {
    const zvol = await array.zvol(operation.zvol, deadline);
    if (zvol !== null && zvol.userProperties[OWNER_PROPERTY] !== operation.id) throw volumeExists(context, name);
    return zvol;
  };
  const need = needOfNew(context, size);
  const zvol = await changeOnce(
    () =>
      array.createZvol(
        {
          id: operation.zvol,
          volsize: size,
          volblocksize: fittingBlockSize(size, config.volblocksize),
          sparse: config.sparse,
          forceSize: config.forceSize,
          ...(config.compression === null ? {} : { compression: config.compression }),
          comments: `pve-truenas ${config.id}:${name}`,
          userProperties: { [OWNER_PROPERTY]: operation.id, [STORAGE_PROPERTY]: config.id },
        },
        deadline,
      ),
    look,
  ).catch(async (error: unknown) => {
    // Allowed by the numbers before it, so somebody else took the space meanwhile.
    if (error instanceof RefusedError && error.code === 'NO_SPACE') throw await explainNoSpace(context, need, error, deadline);
    throw error;
  });
  if (need.thick) inventory.spend(config.dataset, size);
  if (zvol.volsize !== size) {
    throw new StorageError('SIZE_INVALID', `TrueNAS made '${zvol.id}' with ${zvol.volsize} bytes instead of ${size}`);
  }
  const { extent, mapping } = await exportZvol(context, zvol, operation.id, deadline);
  inventory.zvolCollection(config.dataset).put(zvol);
  context.log.info('volume allocated', {
    volume: `${config.id}:${name}`,
    size: formatBytes(size),
    zvol: zvol.id,
    naa: extent.naa,
    lun: mapping.lun,
  });
}

/** Undoes a failed allocation; the error then says what state was left. */
async function takeBackAfter(context: StorageContext, operation: OpenOperation, error: StorageError): Promise<StorageError> {
  try {
    const removed = await withDeadline(context.clock, TAKE_BACK_MS, 'taking back', (own) => takeBack(context, operation, own));
    if (error.kind !== 'unknown-outcome') {
      await context.journal.end(operation.id);
      return error.leaving(removed ? `nothing is left on TrueNAS: the zvol '${operation.zvol}' was taken back` : 'nothing was changed');
    }
    // A create whose answer was lost may still be at work on the array: the entry stays and is looked at again.
    context.journal.leave(operation);
    return error.leaving(`nothing is there now; the daemon goes on looking for '${operation.zvol}' and removes it if it comes late`);
  } catch (undo) {
    const reason = asStorageError(undo);
    context.journal.leave(operation);
    context.log.error('could not take back an allocation, will go on later', { zvol: operation.zvol, error: reason.message });
    return error.leaving(
      `parts of '${operation.zvol}' may be left on TrueNAS; the daemon removes them as soon as it can (${reason.message})`,
    );
  }
}
