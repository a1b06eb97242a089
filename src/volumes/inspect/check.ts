import type { StorageError } from '../../core/errors.ts';

/** One thing looked at. */
export interface Check {
  readonly name: string;
  /** `warning`: works, but not as it should. `critical`: volumes cannot be made, reached or trusted. */
  readonly state: 'ok' | 'warning' | 'critical';
  readonly message: string;
  /** The storage.cfg setting to blame; absent where the settings are fine and the array is not. */
  readonly setting?: string;
  readonly cure?: string;
}

interface Advice {
  readonly setting?: string;
  readonly cure?: string;
}

export function ok(name: string, message: string): Check {
  return { name, state: 'ok', message };
}

export function warning(name: string, message: string, advice: Advice): Check {
  return { name, state: 'warning', message, ...advice };
}

export function critical(name: string, message: string, advice: Advice): Check {
  return { name, state: 'critical', message, ...advice };
}

/** What could not be looked at: never taken for fine (law 3). */
export function failed(name: string, error: StorageError, setting?: string): Check {
  const cure = error.hints[0];
  return critical(name, error.message, { ...(setting === undefined ? {} : { setting }), ...(cure === undefined ? {} : { cure }) });
}
