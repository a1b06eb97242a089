import { StorageError } from '../core/errors.ts';
import type { ConfigFault } from './storage-config.ts';

/** `api_retry_max: '11' is not …; set api_retry_max to …`: setting, message and cure in one line. */
export function faultLine(fault: ConfigFault): string {
  return `${fault.setting}: ${fault.message}; ${fault.cure}`.replace(/\s*\n\s*/g, ' ');
}

export function hasError(faults: readonly ConfigFault[]): boolean {
  return faults.some((fault) => fault.severity === 'error');
}

/** All faults of a storage in one CONFIG_INVALID: a line each, errors first. Nothing was done yet. */
export function configInvalid(id: string, faults: readonly ConfigFault[]): StorageError {
  const errors = faults.filter((fault) => fault.severity === 'error');
  const warnings = faults.filter((fault) => fault.severity === 'warning');
  const lines = [...errors.map(faultLine), ...warnings.map((fault) => `warning: ${faultLine(fault)}`)];
  return new StorageError('CONFIG_INVALID', [`storage '${id}' cannot be used with these settings:`, ...lines].join('\n  '), {
    // each line has its own cure
    causes: [],
    hints: ['pve-truenas config check'],
    facts: { faults: [...errors, ...warnings] },
    state: 'nothing was changed',
  });
}
