import { describe, expect, it } from 'vitest';
import { NotSentError, OutcomeUnknownError, RefusedError, StorageError } from '../core/errors.ts';
import { changeOnce } from './change-once.ts';

const unknown = new OutcomeUnknownError('OUTCOME_UNKNOWN', 'no answer');
const unsent = new NotSentError('CALL_NOT_SENT', 'no connection');
const refused = new RefusedError('VOLUME_EXISTS', 'exists', { errno: 17 });
const full = new RefusedError('NO_SPACE', 'full', { errno: 28 });
const foreign = new StorageError('VOLUME_EXISTS', 'somebody else has the name');

/** A function that does one thing after the other: throws errors, returns the rest. */
function script(...steps: readonly (Error | string | null)[]): { run: () => Promise<string | null>; calls: () => number } {
  let call = 0;
  const run = (): Promise<string | null> => {
    const step = steps[call] ?? null;
    call += 1;
    return step instanceof Error ? Promise.reject(step) : Promise.resolve(step);
  };
  return { run, calls: () => call };
}

async function outcome(sends: readonly (Error | string)[], looks: readonly (Error | string | null)[]): Promise<unknown> {
  const send = script(...sends);
  const look = script(...looks);
  const ended = await changeOnce<string | null>(send.run, look.run).catch((error: unknown) => error);
  expect([send.calls(), look.calls()], 'sent, looked').toEqual([sends.length, looks.length]);
  return ended;
}

describe('changeOnce', () => {
  it.each<[string, readonly (Error | string)[], readonly (Error | string | null)[], Error | string]>([
    ['an answer', ['made'], [], 'made'],
    ['a refusal', [refused], [], refused],
    ['one that was not sent', [unsent], [], unsent],
    ['a lost answer, and it is there', [unknown], ['found'], 'found'],
    ['a lost answer, it is not there, and the second one is answered', [unknown, 'made'], [null], 'made'],
    ['a lost answer, it is not there, and the second one is refused', [unknown, full], [null], full],
    ['F-302: the first came late and is in the way of the second', [unknown, refused], [null, 'found'], 'found'],
    ['something else is in the way of the second', [unknown, refused], [null, foreign], foreign],
    ['nothing is found in the way of the second', [unknown, refused], [null, null], refused],
    ['two lost answers, and it is there', [unknown, unknown], [null, 'found'], 'found'],
    ['two lost answers, and it is not there', [unknown, unknown], [null, null], unknown],
    ['a lost answer, and something else is there', [unknown], [foreign], foreign],
    ['F-302: a lost answer, and nobody can be asked', [unknown], [unsent], unknown],
    ['F-302: a lost answer, and the time is over', [unknown], [new StorageError('DEADLINE', 'late')], unknown],
    ['F-302: a lost answer, it is not there yet, and the second cannot be sent', [unknown, unsent], [null], unknown],
    ['two lost answers, and nobody can be asked', [unknown, unknown], [null, unsent], unknown],
  ])('%s', async (_what, sends, looks, ended) => {
    const seen = await outcome(sends, looks);
    if (ended === unknown)
      expect(seen).toMatchObject({ code: 'OUTCOME_UNKNOWN', message: expect.stringContaining(unknown.message) as string });
    else expect(seen).toBe(ended);
  });
});
