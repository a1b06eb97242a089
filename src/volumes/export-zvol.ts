import type { Extent, Mapping, Zvol } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { changeOnce } from './change-once.ts';
import type { StorageContext } from './context.ts';
import { findTarget } from './lookup.ts';
import { extentComment, extentName } from './owner-mark.ts';

/** Sector size of new volumes. 512 is what guests expect; it belongs to the data and never changes (F-115, F-116). */
const SECTOR = 512;
/** How often a LUN taken by another node is given up before the allocation fails. */
const LUN_ATTEMPTS = 40;
/** Once another node was met, numbers are picked from this many instead of the next one. */
const SPREAD = 32;

/** Makes an extent of a zvol and gives it a LUN on the storage's target: two changes and one read. */
export async function exportZvol(
  context: StorageContext,
  zvol: Zvol,
  owner: string,
  deadline: Deadline,
): Promise<{ extent: Extent; mapping: Mapping }> {
  const { array, inventory } = context;
  const name = extentName(owner);
  const extent = await changeOnce(
    () => array.createExtent({ name, zvol: zvol.id, blocksize: SECTOR, comment: extentComment(zvol.id) }, deadline),
    () => array.extentByName(name, deadline),
  );
  inventory.extents.put(extent);
  const mapping = await mapLun(context, extent, deadline);
  return { extent, mapping };
}

/**
 * Maps an extent at a free LUN of the storage's target and reads the target's mappings back: the array does not
 * serialise two nodes that ask at once (truenas-api 11), so the mapping with the higher id gives way.
 * Errors: LUN_EXHAUSTED, LUN_CONFLICT, TARGET_MISSING.
 */
export async function mapLun(context: StorageContext, extent: Extent, deadline: Deadline): Promise<Mapping> {
  const { inventory, luns } = context;
  const target = findTarget(context);
  let spread = 0;
  for (let attempt = 0; attempt < LUN_ATTEMPTS; attempt += 1) {
    const used = new Set([...inventory.mappings.entries.values()].filter((one) => one.target === target.id).map((one) => one.lun));
    const lun = luns.reserve(target.id, used, spread);
    try {
      const mapping = await tryLun(context, target.id, extent, lun, deadline);
      if (mapping !== null) return mapping;
    } finally {
      luns.settle(target.id, lun);
    }
    spread = SPREAD;
  }
  throw new StorageError('LUN_CONFLICT', `${LUN_ATTEMPTS} LUN numbers of target '${target.iqn}' in turn were taken by others`);
}

async function tryLun(context: StorageContext, target: number, extent: Extent, lun: number, deadline: Deadline): Promise<Mapping | null> {
  const { array, inventory, log } = context;
  let mapping: Mapping;
  try {
    mapping = await changeOnce(
      () => array.createMapping(target, extent.id, lun, deadline),
      async () => (await array.mappingsOfExtent(extent.id, deadline)).find((one) => one.target === target) ?? null,
    );
  } catch (error) {
    if (!(error instanceof StorageError && error.code === 'LUN_CONFLICT')) throw error;
    log.info('LUN taken by another node, taking the next', { lun });
    await readTarget(context, target, deadline);
    return null;
  }
  inventory.mappings.put(mapping);
  const all = await readTarget(context, target, deadline);
  const rival = all.find((one) => one.lun === mapping.lun && one.id < mapping.id);
  if (rival === undefined) {
    log.info('LUN assigned', { lun: mapping.lun, extent: extent.name, disk: extent.disk });
    return mapping;
  }
  log.warn('two nodes took one LUN at once, giving way', { lun, mapping: mapping.id, rival: rival.id });
  await deleteMapping(context, mapping, deadline);
  return null;
}

async function readTarget(context: StorageContext, target: number, deadline: Deadline): Promise<readonly Mapping[]> {
  const { array, inventory } = context;
  const all = await array.mappingsOfTarget(target, deadline);
  const present = new Set(all.map((one) => one.id));
  for (const known of [...inventory.mappings.entries.values()]) {
    if (known.target === target && !present.has(known.id)) inventory.mappings.remove(known.id);
  }
  for (const one of all) inventory.mappings.put(one);
  return all;
}

/** Removes one mapping; absent already is fine. */
export async function deleteMapping(context: StorageContext, mapping: Mapping, deadline: Deadline): Promise<void> {
  const { array, inventory, luns } = context;
  await deleteOnce(
    () => array.deleteMapping(mapping.id, deadline),
    async () => (await array.mapping(mapping.id, deadline)) === null,
  );
  inventory.mappings.remove(mapping.id);
  luns.rest(mapping.target, mapping.lun);
}

/** Removes one extent; absent already is fine. Its mappings must be gone. */
export async function deleteExtent(context: StorageContext, extent: Extent, deadline: Deadline): Promise<void> {
  const { array, inventory } = context;
  await deleteOnce(
    () => array.deleteExtent(extent.id, deadline),
    async () => (await array.extent(extent.id, deadline)) === null,
  );
  inventory.extents.remove(extent.id);
}

/** A deletion whose object is gone is done, whoever did it; `gone` looks. */
export async function deleteOnce(send: () => Promise<void>, gone: () => Promise<boolean>): Promise<void> {
  try {
    await changeOnce(send, async () => ((await gone()) ? undefined : null));
  } catch (error) {
    // Judged by asking for the object, never by the words of the refusal (F-313).
    if (error instanceof StorageError && error.kind === 'not-found' && (await gone())) return;
    throw error;
  }
}
