import { NotSentError, OutcomeUnknownError, RefusedError, StorageError } from '../core/errors.ts';

/**
 * Sends a change; when its outcome stays unknown, looks whether it happened and goes on from there (law 2). Only a
 * change that was looked for and not found is decided on anew, once: `send` is never repeated blindly (F-056, F-302).
 * Rejects with the OutcomeUnknownError when the second attempt has no answer either, and when nobody can be asked: the
 * first one may still be at work on the array.
 */
export async function changeOnce<T>(send: () => Promise<T>, look: () => Promise<T | null>): Promise<T> {
  let unknown: OutcomeUnknownError;
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof OutcomeUnknownError)) throw error;
    unknown = error;
    const found = await lookAfter(unknown, look);
    if (found !== null) return found;
  }
  try {
    return await send();
  } catch (error) {
    if (error instanceof NotSentError) throw unknown;
    // What is in the way of the second may be the first, which came late.
    const inTheWay = error instanceof RefusedError && error.kind === 'conflict';
    if (!inTheWay && !(error instanceof OutcomeUnknownError)) throw error;
    const found = await lookAfter(unknown, look);
    if (found !== null) return found;
    throw error;
  }
}

/** What `look` finds; the unknown outcome itself when nobody can be asked. */
async function lookAfter<T>(unknown: OutcomeUnknownError, look: () => Promise<T | null>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    throw error instanceof StorageError && error.kind === 'unavailable' ? unknown : error;
  }
}
