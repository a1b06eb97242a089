import { describe, expect, it } from 'vitest';
import { completeAnswers } from './answers.ts';
import { keyPlan } from './key.ts';
import type { Look } from './look.ts';
import { markOf } from './marks.ts';

const OWNER = { storage: 'tn', cluster: 'lab' };
const ANSWERS = completeAnswers({ storage: 'tn', host: 'nas', dataset: 'tank/x', portals: ['192.0.2.1'] });
const NOW = 1_000_000;
const OURS = { id: 7, name: markOf(OWNER), username: 'pve-truenas', revoked: false, expires_at: null };

function planOf(keys: Look['keys'], held: string | null, inUse = false) {
  const { there, problem, requests, fresh } = keyPlan(ANSWERS, OWNER, { keys } as Look, { held, inUse, now: NOW });
  return { there, problem, methods: requests.map((build) => build('25.10').method), fresh };
}

describe('the API key of a storage', () => {
  it.each([
    ['is made where there is none', [], null, false, ['api_key.create'], true],
    ['is given another text where the node has lost it', [OURS], null, false, ['api_key.update'], false],
    ['is made anew where it was revoked', [{ ...OURS, revoked: true }], '7-x', true, ['api_key.delete', 'api_key.create'], true],
    ['is made anew where it has ended', [{ ...OURS, expires_at: NOW }], '7-x', true, ['api_key.delete', 'api_key.create'], true],
    ['is made where the one of the node is gone', [], '7-x', true, ['api_key.create'], true],
  ] as const)('%s', (_title, keys, held, inUse, methods, fresh) => {
    expect(planOf(keys, held, inUse)).toEqual({ there: false, problem: null, methods, fresh });
  });

  it('is kept as long as it works', () => {
    expect(planOf([OURS], '7-x')).toMatchObject({ there: true, methods: [] });
    expect(planOf([{ ...OURS, expires_at: NOW + 1 }], '7-x')).toMatchObject({ there: true });
    // One that an administrator made for the same user, for a storage that is there
    expect(planOf([{ ...OURS, name: 'mine' }], '7-x', true)).toMatchObject({ there: true });
  });

  it.each([
    ['of another user', [{ ...OURS, username: 'root' }], '7-x', true],
    ['that nobody uses yet and others made', [{ ...OURS, name: 'mine' }], '7-x', false],
    ['with our name that belongs to another user', [{ ...OURS, username: 'root' }], null, false],
  ] as const)('is never one %s', (_title, keys, held, inUse) => {
    const { problem, methods } = planOf(keys, held, inUse);
    expect(problem).toMatch(/API key/);
    expect(methods).toEqual([]);
  });

  it('is told by its whole id', () => {
    expect(planOf([OURS], '77-x')).toMatchObject({ there: false, methods: ['api_key.update'] });
  });
});
