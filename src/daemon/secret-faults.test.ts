import { describe, expect, it } from 'vitest';
import type { Secret, SecretName } from '../config/secrets.ts';
import { StorageError } from '../core/errors.ts';
import { secretFaults } from './secret-faults.ts';

const KEY = `1-${'k'.repeat(64)}`;
type Stored = Partial<Record<SecretName, string | Error>>;

async function faults(stored: Stored, config: Record<string, string> = {}, adding = false) {
  const read = (name: SecretName): Promise<Secret | null> => {
    const value = stored[name];
    if (value instanceof Error) return Promise.reject(value);
    return Promise.resolve(value === undefined ? null : { value: value.trim(), inline: false, padded: value !== value.trim() });
  };
  const found = await secretFaults({ id: 'nas', config }, { read, adding });
  for (const fault of found) {
    expect(fault.cure).not.toBe('');
    for (const secret of Object.values(stored)) if (typeof secret === 'string') expect(JSON.stringify(found)).not.toContain(secret.trim());
  }
  return found.map((fault) => `${fault.severity} ${fault.setting}: ${fault.message}`);
}

describe('secretFaults', () => {
  it('finds nothing wrong with a key, nor with CHAP that is complete', async () => {
    expect(await faults({ api_key: KEY })).toEqual([]);
    expect(await faults({ api_key: KEY, chap_password: 'twelve chars' }, { tn_chap_user: 'pve' })).toEqual([]);
  });

  it.each([
    ['no key', {}, {}, ["error api_key: storage 'nas' has no API key"]],
    ['a key of an odd form', { api_key: 'root-password' }, {}, [/^warning api_key: does not look like/]],
    [
      'a key that cannot be read',
      { api_key: new StorageError('CONFIG_INVALID', 'cannot be read (EIO)') },
      {},
      ['error api_key: cannot be read (EIO)'],
    ],
    ['CHAP without its secret', { api_key: KEY }, { chap_user: 'pve' }, ['error chap_password: is missing, and chap_user needs it']],
    ['a secret without its user', { api_key: KEY, chap_password: 'twelve chars' }, {}, [/^warning chap_password: is kept/]],
    ['11 characters', { api_key: KEY, chap_password: 'eleven char' }, { chap_user: 'u' }, [/^error chap_password: has 11 characters/]],
    ['17 characters', { api_key: KEY, chap_password: 'x'.repeat(17) }, { chap_user: 'u' }, [/^error chap_password: has 17 characters/]],
    [
      'blanks at the edge',
      { api_key: KEY, chap_password: ' twelve chars' },
      { chap_user: 'u' },
      [/^error chap_password: begins or ends with a blank/],
    ],
    ['both wrong', { chap_password: 'short' }, { chap_user: 'u' }, [/^error api_key/, /^error chap_password/]],
  ] satisfies readonly [string, Stored, Record<string, string>, readonly (string | RegExp)[]][])(
    '%s',
    async (_what, stored, config, expected) => {
      const found = await faults(stored, config);
      expect(found).toHaveLength(expected.length);
      for (const [index, pattern] of expected.entries()) expect(found[index]).toMatch(pattern);
    },
  );

  it('refuses to add a storage with a CHAP secret and no user', async () => {
    const [fault] = await faults({ api_key: KEY, chap_password: 'twelve chars' }, { chap_user: '' }, true);
    expect(fault).toMatch(/^error chap_password/);
  });
});
