import { describe, expect, it } from 'vitest';
import { NotSentError, OutcomeUnknownError, RefusedError, StorageError } from '../core/errors.ts';
import { changeOnce } from './change-once.ts';

const lost = new OutcomeUnknownError('OUTCOME_UNKNOWN', 'create zvol tank/x: no answer');

describe('a change without an answer', () => {
  it('is looked for, and is done when it is found', async () => {
    const sent: number[] = [];
    const send = (): Promise<string> => Promise.reject(lost).finally(() => sent.push(1));
    expect(await changeOnce(send, () => Promise.resolve('found'))).toBe('found');
    expect(sent).toHaveLength(1);
  });

  it.each([
    ['the array cannot be asked', new NotSentError('ARRAY_UNREACHABLE', 'read zvol tank/x: nobody answers')],
    ['the array refuses to say', new RefusedError('CALL_REFUSED', 'read zvol tank/x: database is locked', { errno: 5 })],
  ])('stays unknown when %s, and both reasons are told', async (_why, look) => {
    let sent = 0;
    const send = (): Promise<never> => {
      sent += 1;
      return Promise.reject(lost);
    };
    const error = await changeOnce(send, () => Promise.reject(look)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    expect((error as Error).message).toBe(`${lost.message}; nor could it be looked up whether it was done: ${look.message}`);
    expect(sent).toBe(1);
  });

  it('is told as what the look found where that is an answer of its own', async () => {
    const other = new StorageError('VOLUME_EXISTS', 'somebody else has the name');
    await expect(
      changeOnce(
        () => Promise.reject(lost),
        () => Promise.reject(other),
      ),
    ).rejects.toBe(other);
  });
});
