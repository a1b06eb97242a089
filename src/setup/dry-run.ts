import type { Release } from '../core/array-port.ts';
import { RELEASES } from '../core/array-port.ts';
import type { RequestFor } from '../truenas/wire/request.ts';
import type { Ids, Plan } from './plan.ts';

export interface ShownCall {
  readonly what: string;
  readonly method: string;
  readonly params: readonly unknown[];
}

/** The calls of a plan as they would be sent, with placeholders for ids that are not known yet. None holds a secret. */
export function callsOf(plan: Plan, key: RequestFor<unknown> | null, version: string): readonly ShownCall[] {
  const release = releaseOf(version);
  const ids: Ids = plan.ids;
  const requests = plan.parts.flatMap(({ changes }) => changes.map((change) => change.request(ids)));
  return [...requests, ...(key === null ? [] : [key])].map((build) => {
    const { what, method, params } = build(release);
    return { what, method, params };
  });
}

function releaseOf(version: string): Release {
  return RELEASES.find((release) => version.includes(`-${release}`)) ?? '25.10';
}
