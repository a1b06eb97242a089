import { expect, it } from 'vitest';
import { configInvalid } from './config-invalid.ts';

it('is one error with a line a fault: errors first, then warnings, hints not', () => {
  const error = configInvalid('nas', [
    { setting: 'api_insecure', severity: 'warning', message: 'accepts any certificate', cure: 'set fingerprint' },
    { setting: 'dataset', severity: 'error', message: 'is missing', cure: 'set dataset to tank/x' },
    { setting: 'api_key', severity: 'hint', message: 'could do less', cure: 'roles' },
    { setting: 'api_port', severity: 'error', message: "'0' is not a port", cure: 'remove it' },
  ]);
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', kind: 'invalid', state: 'nothing was changed' });
  expect(error.message.split('\n')).toEqual([
    "storage 'nas' cannot be used with these settings:",
    '  dataset: is missing; set dataset to tank/x',
    "  api_port: '0' is not a port; remove it",
    '  warning: api_insecure: accepts any certificate; set fingerprint',
  ]);
  expect(error.facts['faults']).toHaveLength(3);
});
