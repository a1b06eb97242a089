import * as z from 'zod';
import type { RequestFor } from '../truenas/wire/request.ts';
import type { Answers } from './answers.ts';
import type { Done } from './apply.ts';
import type { ArrayAdmin, Look } from './look.ts';
import { markOf, type Owner } from './marks.ts';
import { deletion } from './parts/part.ts';
import { make } from './requests.ts';

type KeyRow = Look['keys'][number];

/** What to do about the API key. */
export interface KeyPlan {
  /** The node has a key that works. */
  readonly there: boolean;
  /** Why none can be made; null: it can. */
  readonly problem: string | null;
  /** Calls that make it, the last one gives it; none where it is there. */
  readonly requests: readonly RequestFor<unknown>[];
  /** The key is new, so that taking it back deletes it. A key of ours that was lost is only given another text. */
  readonly fresh: boolean;
}

export interface HeldKey {
  /** Text of the key that the node has for this storage; null: none. */
  readonly held: string | null;
  /** PVE has the storage already. */
  readonly inUse: boolean;
  /** ms since 1970 */
  readonly now: number;
}

/** Decided from one look. A key that works is kept, whoever made it, as long as it is the user's; of none other is anything changed. */
export function keyPlan(answers: Answers, owner: Owner, look: Look, { held, inUse, now }: HeldKey): KeyPlan {
  const name = markOf(owner);
  const works = ({ revoked, expires_at: end }: KeyRow): boolean => !revoked && (end == null || end > now);
  const ours = look.keys.find((key) => key.name === name && key.username === answers.user);
  const used = held === null ? undefined : look.keys.find(({ id }) => held.startsWith(`${id}-`));
  const none = { there: false, problem: null, requests: [], fresh: false };
  if (used !== undefined && works(used)) {
    if (used === ours || (inUse && used.username === answers.user)) return { ...none, there: true };
    const whose = `the API key '${used.name}' of the user ${used.username ?? '(unknown)'}`;
    return {
      ...none,
      problem: `${whose} is kept for the storage ${answers.storage}: take the file away, or name that user in the answers`,
    };
  }
  const taken = look.keys.find((key) => key.name === name && key !== ours);
  if (taken !== undefined)
    return { ...none, problem: `an API key of the name '${name}' belongs to the user ${taken.username ?? '(unknown)'}` };
  const create = make('api_key.create', [{ name, username: answers.user }], 'make the API key', z.unknown());
  if (ours === undefined) return { ...none, requests: [create], fresh: true };
  // A key of ours that this node does not have was lost by a run that was killed: nobody else can have it.
  const anew = make('api_key.update', [ours.id, { reset: true }], 'make the API key anew', z.unknown());
  if (works(ours)) return { ...none, requests: [anew] };
  return { ...none, requests: [deletion('api_key.delete', [ours.id], 'delete the API key that no longer works'), create], fresh: true };
}

const keyRow = z.looseObject({ id: z.number().int(), key: z.string().min(1) });

/** Makes the key and gives its text. */
export async function makeKey(array: ArrayAdmin, { requests, fresh }: KeyPlan, done: Done[]): Promise<string> {
  let answer: unknown;
  for (const request of requests) answer = await array.call(request);
  const { id, key } = keyRow.parse(answer);
  const undo = async (): Promise<void> => {
    await array.call(deletion('api_key.delete', [id], 'delete the API key'));
  };
  if (fresh) done.push({ what: 'make the API key', undo });
  return key;
}
