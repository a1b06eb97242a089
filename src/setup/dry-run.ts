import type { Release } from '../core/array-port.ts';
import type { RequestFor } from '../truenas/wire/request.ts';
import type { Plan } from './plan.ts';

export interface ShownCall {
  readonly what: string;
  readonly method: string;
  readonly params: readonly unknown[];
}

/** The calls of a plan as they would be sent, with placeholders for ids that are not known yet. None holds a secret. */
export function callsOf(plan: Plan, key: readonly RequestFor<unknown>[], release: Release): readonly ShownCall[] {
  const requests = plan.parts.flatMap(({ changes }) => changes.map((change) => change.request(plan.ids)));
  return [...requests, ...key].map((build) => {
    const { what, method, params } = build(release);
    return { what, method, params };
  });
}
