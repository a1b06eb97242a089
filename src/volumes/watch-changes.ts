import type { ArrayPort } from '../core/array-port.ts';
import { OutcomeUnknownError } from '../core/errors.ts';

/** What ArrayPort offers to change something with. Everything else reads. */
export const ARRAY_CHANGES: readonly (keyof ArrayPort)[] = [
  'createZvol',
  'resizeZvol',
  'reserveZvol',
  'deleteZvol',
  'createExtent',
  'deleteExtent',
  'createMapping',
  'deleteMapping',
  'deleteNamespace',
  'createSnapshot',
  'deleteSnapshot',
  'rollback',
];

export interface WatchedArray {
  /** The same array. */
  readonly array: ArrayPort;
  /** True when the array confirmed a change that was made through it. */
  changed(): boolean;
  /** True when a change was sent through it whose answer never came. */
  uncertain(): boolean;
}

/** The array with a look over its shoulder: whether anything was changed through it, so that an error can say so. */
export function watchChanges(array: ArrayPort): WatchedArray {
  let changed = false;
  let uncertain = false;
  const watch = async (answer: unknown): Promise<unknown> => {
    try {
      const result = await answer;
      changed = true;
      return result;
    } catch (error) {
      uncertain ||= error instanceof OutcomeUnknownError;
      throw error;
    }
  };
  const watched = new Proxy(array, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      const changes = ARRAY_CHANGES.some((change) => change === name);
      return (...given: unknown[]): unknown => {
        const answer: unknown = Reflect.apply(member, target, given);
        return changes ? watch(answer) : answer;
      };
    },
  });
  return { array: watched, changed: () => changed, uncertain: () => uncertain };
}
