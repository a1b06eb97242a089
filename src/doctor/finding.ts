/**
 * `warning`: works, but not as it should. `error`: volumes cannot be made, reached or trusted. `skipped`: was not looked at,
 * `seen` says why; never taken for fine.
 */
export type FindingState = 'ok' | 'warning' | 'error' | 'skipped';

/** One thing that the doctor looked at. */
export interface Finding {
  readonly name: string;
  readonly state: FindingState;
  /** What was seen, or why nothing could be. */
  readonly seen: string;
  readonly cure?: string;
}

export function ok(name: string, seen: string): Finding {
  return { name, state: 'ok', seen };
}

export function warning(name: string, seen: string, cure: string): Finding {
  return { name, state: 'warning', seen, cure };
}

export function error(name: string, seen: string, cure: string): Finding {
  return { name, state: 'error', seen, cure };
}

export function skipped(name: string, why: string, cure?: string): Finding {
  return { name, state: 'skipped', seen: why, ...(cure === undefined ? {} : { cure }) };
}
