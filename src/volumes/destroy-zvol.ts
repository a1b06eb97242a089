import type { Zvol } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import type { StorageContext } from './context.ts';
import { deleteOnce } from './export-zvol.ts';
import { isSameZvol } from './owner-mark.ts';

/** ms between attempts while the zvol is busy: udev still has the device open, or the export is just going (RP-02, F-315). */
const BUSY_WAITS = [0, 500, 1000, 2000, 4000, 8000] as const;

/**
 * Destroys one zvol without its snapshots and looks whether it is gone (law 6): one change and one read. The read also
 * brings the dataset's free space up to date. Extents and mappings must be gone: TrueNAS would delete the
 * whole target with its last LUN (truenas-api 9.3).
 * Errors: DELETE_UNCONFIRMED, VOLUME_HAS_SNAPSHOTS as CALL_REFUSED of the array.
 */
export async function destroyZvol(context: StorageContext, zvol: Zvol, deadline: Deadline): Promise<void> {
  const { array, clock, config, inventory } = context;
  const gone = async (): Promise<boolean> => {
    const now = await array.zvol(zvol.id, deadline);
    return now === null || !isSameZvol(now, zvol);
  };
  let busy: StorageError | null = null;
  let attempts = 0;
  // When the caller's time ends meanwhile, what the array said is a better answer than that.
  const slept = (ms: number): Promise<boolean> =>
    clock.sleep(ms, deadline.signal).then(
      () => true,
      () => false,
    );
  for (const wait of BUSY_WAITS) {
    if (attempts > 0 && !(await slept(wait))) break;
    attempts += 1;
    // What is deleted by name again must still be what it was: someone may have made a new volume of this name meanwhile.
    if (wait > 0 && (await gone())) {
      await inventory.zvolCollection(config.dataset).refresh(zvol.id, deadline);
      return;
    }
    busy = null;
    try {
      await deleteOnce(() => array.deleteZvol(zvol.id, deadline), gone);
    } catch (error) {
      if (!(error instanceof StorageError && error.code === 'VOLUME_BUSY')) throw error;
      busy = error;
      continue;
    }
    // The parent dataset must be in the same answer: an empty one proves nothing (law 3, F-207).
    const seen = await array.datasetAndZvol(config.dataset, zvol.id, deadline);
    inventory.putDataset(seen.dataset);
    if (seen.zvol === null) {
      inventory.zvolCollection(config.dataset).remove(zvol.id);
      return;
    }
    if (!isSameZvol(seen.zvol, zvol)) {
      inventory.zvolCollection(config.dataset).put(seen.zvol);
      return;
    }
  }
  const words = busy === null ? '' : ` (${busy.message})`;
  const times = attempts === 1 ? 'an attempt' : `${attempts} attempts`;
  throw new StorageError('DELETE_UNCONFIRMED', `zvol '${zvol.id}' is still there after ${times} to delete it${words}`, {
    ...(busy === null ? {} : { cause: busy }),
    state: 'its extent and LUN are removed, its data is still there',
  });
}
