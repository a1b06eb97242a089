import { asStorageError, type StorageError } from '../core/errors.ts';
import type { StorageContext } from './context.ts';
import { type WatchedArray, watchChanges } from './watch-changes.ts';

/** What a failed operation leaves: `untouched` where the array confirmed no change, `begun` where it did, `uncertain` where it never answered. */
interface Aftermath {
  readonly untouched: string;
  readonly begun: string;
  readonly uncertain: string;
}

const UNTOUCHED = 'nothing was changed';
const NO_DEVICE = 'nothing was changed on TrueNAS; no device was handed out';

const READ_ONLY: Aftermath = { untouched: NO_DEVICE, begun: NO_DEVICE, uncertain: NO_DEVICE };

/** The operations that change something, by their method of the socket. An error that says its own state keeps it. */
const AFTERMATH = {
  'storage.validate': {
    untouched: 'nothing was changed: neither storage.cfg nor TrueNAS',
    begun: UNTOUCHED,
    uncertain: UNTOUCHED,
  },
  'volume.allocate': {
    untouched: UNTOUCHED,
    begun: 'what had been made on TrueNAS was removed again',
    uncertain: 'not known yet: should the volume appear on TrueNAS, the daemon finds it by its mark and removes it',
  },
  'volume.free': {
    untouched: UNTOUCHED,
    begun: 'the volume and its data are still there; its LUN may be gone or a new one',
    uncertain: 'the deletion has begun and is finished by the daemon as soon as it can',
  },
  'volume.resize': {
    untouched: UNTOUCHED,
    begun: 'the volume has its new size on TrueNAS; this node may still show the old one until the volume is activated again',
    uncertain: 'not known: TrueNAS may have resized the volume; the same resize can be repeated safely',
  },
  'snapshot.create': {
    untouched: UNTOUCHED,
    begun: 'the snapshot was made',
    uncertain: 'not known: TrueNAS may have made the snapshot; look before it is made again',
  },
  'snapshot.delete': {
    untouched: UNTOUCHED,
    begun: 'the snapshot is still there',
    uncertain: 'not known: TrueNAS may have deleted the snapshot; deleting it again is safe',
  },
  'snapshot.rollback': {
    untouched: UNTOUCHED,
    begun:
      'the volume was rolled back on TrueNAS; this node may still hold blocks from before: do not start the guest before it was repeated',
    uncertain: 'not known: TrueNAS may have rolled the volume back; the same rollback can be repeated safely while the guest is stopped',
  },
  'volume.activate': READ_ONLY,
  'volume.map': READ_ONLY,
  'volume.deactivate': {
    untouched: 'the device stays attached to this node; nothing was changed on TrueNAS',
    begun: UNTOUCHED,
    uncertain: UNTOUCHED,
  },
  'orphan.delete': {
    untouched: UNTOUCHED,
    begun: 'a part of the orphan was deleted; what is left is still one: pve-truenas orphans',
    uncertain: 'not known: TrueNAS may have deleted the orphan or a part of it; the clean-up can be repeated safely',
  },
} as const satisfies Record<string, Aftermath>;

export type ChangingOperation = keyof typeof AFTERMATH;

export function isChanging(method: string): method is ChangingOperation {
  return Object.hasOwn(AFTERMATH, method);
}

/** Runs a changing operation on a storage; an error that it throws says what state it left. `resolve` finds the storage. */
export async function sayingState<T>(
  operation: ChangingOperation,
  resolve: () => Promise<StorageContext>,
  work: (context: StorageContext) => Promise<T>,
): Promise<T> {
  let watched: WatchedArray | null = null;
  try {
    const context = await resolve();
    watched = watchChanges(context.array);
    return await work({ ...context, array: watched.array });
  } catch (thrown) {
    const error = asStorageError(thrown);
    throw error.state === undefined ? error.leaving(stateLeft(AFTERMATH[operation], error, watched)) : error;
  }
}

function stateLeft(aftermath: Aftermath, error: StorageError, watched: WatchedArray | null): string {
  if (error.kind === 'unknown-outcome') return aftermath.uncertain;
  if (watched?.changed() === true) return aftermath.begun;
  return watched?.uncertain() === true ? aftermath.uncertain : aftermath.untouched;
}
