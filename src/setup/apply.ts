import { z } from 'zod';
import { asStorageError, StorageError } from '../core/errors.ts';
import type { RequestFor } from '../truenas/wire/request.ts';
import type { Answers } from './answers.ts';
import { type ArrayAdmin, type Look } from './look.ts';
import { markOf, type Owner } from './marks.ts';
import { type Change, deletion, type Ids, type Plan } from './plan.ts';
import { make } from './requests.ts';

/** What a run did, newest last, so that it can be taken back. */
export interface Done {
  readonly what: string;
  undo(): Promise<void>;
}

export type Tell = (state: 'there' | 'made' | 'undone' | 'failed', what: string) => void;

/**
 * Makes what the plan says is missing. Between any two calls `stop` is looked at. A call whose outcome is unknown is not repeated:
 * the run ends, and the next one looks. Errors: SETUP_INTERRUPTED, those of the calls.
 */
export async function applyPlan(array: ArrayAdmin, plan: Plan, done: Done[], tell: Tell, stop: AbortSignal): Promise<Ids> {
  const ids: Record<string, number | string> = { ...plan.ids };
  for (const part of plan.parts) {
    for (const change of part.changes) {
      assertGoingOn(stop);
      const answer = await array.call(change.request(ids));
      Object.assign(ids, change.learn?.(answer) ?? {});
      done.push(doneBy(array, change, ids));
    }
    tell(part.changes.length === 0 ? 'there' : 'made', part.what);
  }
  return ids;
}

function doneBy(array: ArrayAdmin, change: Change, ids: Ids): Done {
  return {
    what: change.what,
    undo: async () => {
      await array.call(change.undo(ids));
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
      await step.undo();
      tell('undone', step.what);
    } catch (error) {
      tell('failed', `${step.what}: ${asStorageError(error).message}`);
      left.push(step.what);
    }
  }
  return left;
}

const keyRow = z.looseObject({ id: z.number().int(), key: z.string().min(1) });

/** What to do about the API key. `held`: the key that the node has for this storage. */
export function keyPlan(
  answers: Answers,
  owner: Owner,
  look: Look,
  held: string | null,
): { readonly there: boolean; readonly request: RequestFor<unknown> } {
  const name = markOf(owner);
  const ours = look.keys.find((key) => key.name === name && key.username === answers.user);
  const there = ours !== undefined && !ours.revoked && held !== null && held.startsWith(`${ours.id}-`);
  // A key of ours that this node does not have was lost by a run that was killed: nobody else can have it.
  const request =
    ours === undefined
      ? make('api_key.create', [{ name, username: answers.user }], 'make the API key', z.unknown())
      : make('api_key.update', [ours.id, { reset: true }], 'make the API key anew', z.unknown());
  return { there, request };
}

/** Makes the key and gives its text. */
export async function makeKey(array: ArrayAdmin, request: RequestFor<unknown>, done: Done[]): Promise<string> {
  const { id, key } = keyRow.parse(await array.call(request));
  done.push({
    what: 'make the API key',
    undo: async () => {
      await array.call(deletion('api_key.delete', [id], 'delete the API key'));
    },
  });
  return key;
}
