import { describe, expect, it } from 'vitest';
import { ARRAY_ERRORS } from './catalogue/array.ts';
import { CONNECTION_ERRORS } from './catalogue/connection.ts';
import { NODE_ERRORS } from './catalogue/node.ts';
import { REQUEST_ERRORS } from './catalogue/requests.ts';
import { ERROR_CATALOGUE } from './error-catalogue.ts';
import { StorageError } from './errors.ts';

/** A menu path in TrueNAS, a command on the node, or a file: something that a user can go to. */
const ACTIONABLE =
  /^TrueNAS: \S|^(apt|cat|curl|dmesg|fuser|iscsiadm|journalctl|ls|lsblk|multipath|ping|pct|pvs|pvesm|pve-truenas|qm|systemctl) ?|(^|[ :])\/(etc|usr|run|var|dev)\//;

const entries = Object.entries(ERROR_CATALOGUE);

describe('the catalogue of errors', () => {
  it.each(entries)('%s has a title, causes, something to check, and says what it leaves', (_, entry) => {
    expect(entry.title).toMatch(/^[A-Z].*[^.]$/);
    expect(entry.causes.length).toBeGreaterThan(0);
    expect(entry.hints.length).toBeGreaterThan(0);
    expect(
      entry.hints.some((hint) => ACTIONABLE.test(hint)),
      `no menu path, command or file in ${JSON.stringify(entry.hints)}`,
    ).toBe(true);
    expect(entry.leaves).toMatch(/\S/);
    for (const text of [...entry.causes, ...entry.hints, entry.leaves]) expect(text).not.toMatch(/^\s|\s$|\.$|\n/);
  });

  it('has each code once', () => {
    const parts = [REQUEST_ERRORS, CONNECTION_ERRORS, ARRAY_ERRORS, NODE_ERRORS].flatMap((part) => Object.keys(part));
    expect(parts).toEqual([...new Set(parts)]);
  });

  it('knows a hint that helps nobody', () => {
    expect(ACTIONABLE.test('look around')).toBe(false);
    expect(ACTIONABLE.test('TrueNAS: ')).toBe(false);
  });
});

describe('StorageError', () => {
  it('keeps all of itself when it is told what it left', () => {
    const cause = new Error('why');
    const error = new StorageError('NO_SPACE', 'full', { causes: ['a'], hints: ['b'], facts: { c: 1 }, cause });
    const told = error.leaving('nothing was changed');
    expect(told).toMatchObject({ code: 'NO_SPACE', kind: 'refused', message: 'full', causes: ['a'], hints: ['b'], facts: { c: 1 } });
    expect(told.state).toBe('nothing was changed');
    expect(told.cause).toBe(error);
  });
});
