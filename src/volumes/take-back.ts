import type { OpenOperation } from '../core/journal-port.ts';
import type { Deadline } from '../core/ports.ts';
import type { StorageContext } from './context.ts';
import { deleteExtent, deleteMapping } from './export-zvol.ts';
import { destroyZvol } from './destroy-zvol.ts';
import { extentName, OWNER_PROPERTY } from './owner-mark.ts';

/**
 * Removes what an allocation made, in reverse order, found by its owner mark: nothing else can match (law 4).
 * Resolves when all of it was positively seen to be gone, to whether anything had been there. Safe to repeat.
 */
export async function takeBack(context: StorageContext, operation: OpenOperation, deadline: Deadline): Promise<boolean> {
  const { array, inventory, log, config } = context;
  const extent = await array.extentByName(extentName(operation.id), deadline);
  if (extent !== null) {
    for (const mapping of await array.mappingsOfExtent(extent.id, deadline)) await deleteMapping(context, mapping, deadline);
    await deleteExtent(context, extent, deadline);
  }
  const zvol = await array.zvol(operation.zvol, deadline);
  const made = zvol !== null && zvol.userProperties[OWNER_PROPERTY] === operation.id;
  if (made) {
    await destroyZvol(context, zvol, deadline);
    log.info('allocation taken back', { volume: operation.zvol, storage: config.id });
  }
  if (zvol === null) inventory.zvolCollection(config.dataset).remove(operation.zvol);
  return made || extent !== null;
}
