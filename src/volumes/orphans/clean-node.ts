import { StorageError } from '../../core/errors.ts';
import type { NodeLeftovers } from '../../core/leftovers-port.ts';
import type { Deadline } from '../../core/ports.ts';
import { type StorageContext, volumeKey } from '../context.ts';
import type { CleanResult } from './clean.ts';
import { type LookContext, readFacts } from './facts.ts';
import { findNodeOrphans } from './find-node.ts';

/**
 * Takes one stale link or record of a storage off this node, with the device of its identity; refuses while something on the node uses that.
 * Everything is read anew under the volume's lock, as for orphans of the array. Errors: DEVICE_BUSY, those of the look.
 */
export async function cleanPlace(
  context: StorageContext,
  look: LookContext,
  leftovers: NodeLeftovers,
  id: string,
  zvol: string,
  deadline: Deadline,
): Promise<CleanResult> {
  return context.locks.run(volumeKey(context, zvol), deadline.signal, async () => {
    const facts = await readFacts(context, look, deadline, zvol);
    // In the same answer as its dataset: where that is not seen, the volume is not missing (law 3).
    const { zvol: there } = await context.array.datasetAndZvol(context.config.dataset, zvol, deadline);
    if (there !== null) return { outcome: 'kept', message: `${zvol} exists`, was: {} };
    const find = async () => {
      const state = await leftovers.read(deadline);
      const storages = [{ id: context.config.id, config: context.config, facts, portals: null }];
      return findNodeOrphans({ now: context.clock.now(), state, storages, open: facts.open }).find((one) => one.id === id);
    };
    const orphan = await find();
    if (orphan === undefined) return { outcome: 'gone', message: 'it is gone already, or in use again', was: {} };
    const { subject } = orphan;
    if (orphan.certainty !== 'certain' || (subject.type !== 'link' && subject.type !== 'record'))
      return { outcome: 'kept', message: `${orphan.name}: ${orphan.reason}`, was: {} };
    context.log.info('removing an orphan from this node', { kind: orphan.kind, ...orphan.was });
    if (subject.type === 'link') await leftovers.removeLink(subject.place, deadline);
    else await leftovers.removeRecord(subject.place, deadline);
    if ((await find()) !== undefined) throw new StorageError('DEVICE_BUSY', `${orphan.name} is still there after it was removed`);
    return { outcome: 'deleted', message: `${orphan.name} was removed from this node`, was: orphan.was };
  });
}
