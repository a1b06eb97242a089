import type { Extent, Mapping, Target, Zvol } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { changeOnce } from './change-once.ts';
import type { StorageContext } from './context.ts';
import { extentFailed, lunExhausted, lunHolder, lunTaken } from './export-errors.ts';
import { findTarget } from './lookup.ts';
import { extentComment, extentName } from './owner-mark.ts';

/** Sector size of new volumes. 512 is what guests expect; it belongs to the data and never changes (F-115, F-116). */
const SECTOR = 512;
/** How often a LUN taken by another node is given up before the allocation fails. */
const LUN_ATTEMPTS = 40;
/** Once another node was met, numbers are picked from this many instead of the next one. */
const SPREAD = 32;

/**
 * Makes an extent of a zvol and gives it a LUN on the storage's target: two changes and one read.
 * Errors: EXTENT_FAILED or a clearer code with the same account of it, and those of `mapLun`.
 */
export async function exportZvol(
  context: StorageContext,
  zvol: Zvol,
  owner: string,
  deadline: Deadline,
): Promise<{ extent: Extent; mapping: Mapping }> {
  const { array, inventory } = context;
  const name = extentName(owner);
  let extent: Extent;
  try {
    extent = await changeOnce(
      () => array.createExtent({ name, zvol: zvol.id, blocksize: SECTOR, comment: extentComment(zvol.id) }, deadline),
      () => array.extentByName(name, deadline),
    );
  } catch (error) {
    throw extentFailed(context, zvol, name, error);
  }
  inventory.extents.put(extent);
  const mapping = await mapLun(context, extent, deadline);
  return { extent, mapping };
}

/**
 * Maps an extent on the storage's target at a free LUN, or at exactly the `requested` one, and reads the target's mappings
 * back: the array does not serialise two nodes that ask at once (truenas-api 11), so the mapping with the higher id gives
 * way. Errors: LUN_EXHAUSTED, LUN_CONFLICT with who has the number, TARGET_MISSING.
 */
export async function mapLun(
  context: StorageContext,
  extent: Extent,
  deadline: Deadline,
  requested: number | null = null,
): Promise<Mapping> {
  const { luns } = context;
  const target = findTarget(context);
  if (requested !== null) await assertLunFree(context, target, requested, deadline);
  const attempts = requested === null ? LUN_ATTEMPTS : 1;
  let last = { lun: requested ?? 0, holder: null as string | null };
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const lun = requested ?? reserveLun(context, target, attempt === 0 ? 0 : SPREAD);
    try {
      const outcome = await tryLun(context, target, extent, lun, deadline);
      if ('mapping' in outcome) return outcome.mapping;
      last = { lun, holder: outcome.holder };
    } finally {
      luns.settle(target.id, lun);
    }
  }
  throw lunTaken(target, last.lun, last.holder, attempts);
}

/** What the inventory knows to be used on the target. */
function usedLuns(context: StorageContext, target: Target): ReadonlySet<number> {
  return new Set([...context.inventory.mappings.entries.values()].filter((one) => one.target === target.id).map((one) => one.lun));
}

/** Errors: LUN_EXHAUSTED. */
function reserveLun(context: StorageContext, target: Target, spread: number): number {
  const used = usedLuns(context, target);
  const lun = context.luns.reserve(target.id, used, context.config.lunRestMs, spread);
  if (lun === null) throw lunExhausted(target, used.size);
  return lun;
}

/** A number that was asked for: the inventory may say that it is free, only the array that it is taken. Errors: LUN_CONFLICT. */
async function assertLunFree(context: StorageContext, target: Target, lun: number, deadline: Deadline): Promise<void> {
  if (usedLuns(context, target).has(lun)) await readTarget(context, target.id, deadline);
  const holder = await lunHolder(context, target, lun, null, deadline);
  if (holder !== null) throw lunTaken(target, lun, holder, 1);
  if (!context.luns.claim(target.id, lun)) throw lunTaken(target, lun, 'an operation of this node that is under way', 1);
}

/** The mapping, or who has the number. */
type Outcome = { readonly mapping: Mapping } | { readonly holder: string | null };

async function tryLun(context: StorageContext, target: Target, extent: Extent, lun: number, deadline: Deadline): Promise<Outcome> {
  const { array, inventory, log } = context;
  let mapping: Mapping;
  try {
    mapping = await changeOnce(
      () => array.createMapping(target.id, extent.id, lun, deadline),
      async () => (await array.mappingsOfExtent(extent.id, deadline)).find((one) => one.target === target.id) ?? null,
    );
  } catch (error) {
    if (!(error instanceof StorageError && error.code === 'LUN_CONFLICT')) throw error;
    await readTarget(context, target.id, deadline);
    return { holder: await noteConflict(context, target, lun, null, deadline) };
  }
  inventory.mappings.put(mapping);
  const all = await readTarget(context, target.id, deadline);
  const rivals = all.filter((one) => one.lun === mapping.lun && one.id !== mapping.id);
  if (!all.some((one) => one.id === mapping.id)) {
    log.warn('the mapping is gone again, taking another LUN', { lun, mapping: mapping.id });
    return { holder: await noteConflict(context, target, lun, mapping, deadline) };
  }
  if (rivals.length > 0) {
    const holder = await noteConflict(context, target, lun, mapping, deadline);
    if (rivals.some((one) => one.id < mapping.id)) {
      await deleteMapping(context, mapping, deadline);
      return { holder };
    }
  }
  log.info('LUN assigned', { lun: mapping.lun, target: target.iqn, extent: extent.name, disk: extent.disk, mapping: mapping.id });
  return { mapping };
}

/** Counts and logs that somebody else has the number, and says who; the later of the two mappings gives way. */
async function noteConflict(
  context: StorageContext,
  target: Target,
  lun: number,
  own: Mapping | null,
  deadline: Deadline,
): Promise<string | null> {
  const holder = await lunHolder(context, target, lun, own, deadline);
  context.meter.count('pve_truenas_lun_conflicts_total', { storage: context.config.id });
  context.log.warn('LUN taken by another at the same time', { lun, target: target.iqn, holder, mapping: own?.id ?? null });
  return holder;
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

/** Removes one mapping; absent already is fine. Its number rests from before it is free, so that no crash lets it go at once. */
export async function deleteMapping(context: StorageContext, mapping: Mapping, deadline: Deadline): Promise<void> {
  const { array, inventory, luns } = context;
  await luns.rest(mapping.target, mapping.lun);
  await deleteOnce(
    () => array.deleteMapping(mapping.id, deadline),
    async () => (await array.mapping(mapping.id, deadline)) === null,
  );
  inventory.mappings.remove(mapping.id);
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
