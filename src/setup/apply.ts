import { asStorageError, StorageError } from '../core/errors.ts';
import type { ArrayAdmin } from './look.ts';
import type { Change, Ids } from './parts/part.ts';
import type { Plan } from './plan.ts';

/** What a run did, newest last, so that it can be taken back. */
export interface Done {
  readonly what: string;
  undo(): Promise<void>;
}

/** `doing` is only shown while it lasts; `note`: what a user should know. */
export type Tell = (state: 'doing' | 'there' | 'made' | 'undone' | 'failed' | 'note', what: string) => void;

/**
 * Makes what the plan says is missing. Between any two calls `stop` is looked at. A call whose outcome is unknown is not repeated:
 * the run ends, and the next one looks. Errors: SETUP_INTERRUPTED, those of the calls.
 */
export async function applyPlan(array: ArrayAdmin, plan: Plan, done: Done[], tell: Tell, stop: AbortSignal): Promise<Ids> {
  const ids: Record<string, number | string> = { ...plan.ids };
  for (const part of plan.parts) {
    for (const change of part.changes) {
      assertGoingOn(stop);
      tell('doing', change.what);
      const answer = await array.call(change.request(ids));
      done.push(doneBy(array, change, ids, answer));
      Object.assign(ids, (await change.learn?.(answer, array)) ?? {});
    }
    tell(part.changes.length === 0 ? 'there' : 'made', part.what);
  }
  return ids;
}

/** What was learnt belongs to the object that was made, also when the rest of it could not be asked. */
function doneBy(array: ArrayAdmin, change: Change, ids: Ids, answer: unknown): Done {
  return {
    what: change.what,
    undo: async () => {
      const own = (await change.learn?.(answer, array)) ?? {};
      await array.call(change.undo({ ...ids, ...own }));
    },
  };
}

export function assertGoingOn(stop: AbortSignal): void {
  if (stop.aborted) throw new StorageError('SETUP_INTERRUPTED', 'setup was interrupted');
}

/** Takes back in reverse order, all of it even where one fails; gives what could not be taken back. */
export async function takeBack(done: Done[], tell: Tell): Promise<readonly string[]> {
  const left: string[] = [];
  for (let step = done.pop(); step !== undefined; step = done.pop()) {
    try {
      tell('doing', `taking back: ${step.what}`);
      await step.undo();
      tell('undone', step.what);
    } catch (error) {
      tell('failed', `${step.what}: ${asStorageError(error).message}`);
      left.push(step.what);
    }
  }
  return left;
}
