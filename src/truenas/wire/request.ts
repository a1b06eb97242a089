import type * as z from 'zod';
import type { Release } from '../../core/array-port.ts';

/** What kind of object a call is about: picks the error code of "does not exist", "exists already", "is busy". */
export type Subject = 'zvol' | 'dataset' | 'snapshot' | 'extent' | 'mapping' | 'other';

/** One call of the TrueNAS API: what is sent, what the answer must look like, how it may be treated. */
export interface ApiRequest<T> {
  readonly method: string;
  readonly params: readonly unknown[];
  /** `read`: may be repeated. `change`: sent at most once (law 2, F-056). */
  readonly effect: 'read' | 'change';
  /** The method is a job: its answer is a job id unless the connection was told otherwise (truenas-api 5). */
  readonly job: boolean;
  readonly subject: Subject;
  /** For messages: `create zvol tank/x`. */
  readonly what: string;
  /** Any one of these roles allows the call (truenas-api 4); named when TrueNAS says "Not authorized". */
  readonly roles: readonly string[];
  readonly answer: z.ZodType<T>;
}

interface RequestOptions {
  readonly subject?: Subject;
  readonly job?: boolean;
  readonly roles?: readonly string[];
}

/** Describes a call that changes nothing. */
export function read<T>(
  method: string,
  params: readonly unknown[],
  what: string,
  answer: z.ZodType<T>,
  options: RequestOptions = {},
): ApiRequest<T> {
  return { method, params, effect: 'read', job: false, subject: 'other', roles: [], ...options, what, answer };
}

/** Describes a call that changes something on the array. */
export function change<T>(
  method: string,
  params: readonly unknown[],
  what: string,
  answer: z.ZodType<T>,
  options: RequestOptions = {},
): ApiRequest<T> {
  return { method, params, effect: 'change', job: false, subject: 'other', roles: [], ...options, what, answer };
}

/** A request that looks different per release; built when the session, and with it the release, is known. */
export type RequestFor<T> = (release: Release) => ApiRequest<T>;
