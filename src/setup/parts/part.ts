import * as z from 'zod';
import type { RequestFor } from '../../truenas/wire/request.ts';
import type { Answers } from '../answers.ts';
import type { ArrayAdmin, Look } from '../look.ts';
import type { Owner } from '../marks.ts';
import { make } from '../requests.ts';

/** Ids of objects by the name of their part; of one that is still to be made a placeholder, which only a dry run shows. */
export type Ids = Readonly<Record<string, number | string>>;

/** One call, and the one that takes it back. */
export interface Change {
  readonly what: string;
  request(ids: Ids): RequestFor<unknown>;
  /** Ids to remember; `answer` is what TrueNAS gave for the call, `array` answers what that does not tell. */
  learn?(answer: unknown, array: ArrayAdmin): Ids | Promise<Ids>;
  undo(ids: Ids): RequestFor<unknown>;
}

/** One object that the storage needs. */
export interface Part {
  readonly what: string;
  /** No changes: it is there as it is wanted. */
  readonly changes: readonly Change[];
}

/** What the parts are decided from, and where they leave what they find. */
export interface Context {
  readonly answers: Answers;
  readonly owner: Owner;
  readonly look: Look;
  /** Why it cannot be done without touching what belongs to others. */
  readonly problems: string[];
  readonly ids: Record<string, number | string>;
}

const withId = z.looseObject({ id: z.union([z.number(), z.string()]) });

export function learnId(name: string): (answer: unknown) => Ids {
  return (answer) => ({ [name]: withId.parse(answer).id });
}

export function deletion(method: string, params: readonly unknown[], what: string): RequestFor<unknown> {
  return make(method, params, what, z.unknown());
}
