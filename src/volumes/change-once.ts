import { asStorageError, NotSentError, OutcomeUnknownError, RefusedError } from '../core/errors.ts';

/**
 * Sends a change; when its outcome stays unknown, looks whether it happened and goes on from there (law 2). Only a
 * change that was looked for and not found is decided on anew, once: `send` is never repeated blindly (F-056, F-302).
 * Rejects with the OutcomeUnknownError when the second attempt has no answer either, or when it cannot be looked.
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
    // The first one may still be at work on the array.
    if (error instanceof NotSentError) throw unknown;
    // What is in the way of the second may be the first, which came late.
    const inTheWay = error instanceof RefusedError && error.kind === 'conflict';
    if (!inTheWay && !(error instanceof OutcomeUnknownError)) throw error;
    const found = await lookAfter(inTheWay ? unknown : error, look);
    if (found !== null) return found;
    throw error;
  }
}

/** A look that fails, too, leaves the outcome unknown: the failed change is told, not the failed look. */
async function lookAfter<T>(unknown: OutcomeUnknownError, look: () => Promise<T | null>): Promise<T | null> {
  try {
    return await look();
  } catch (thrown) {
    const reason = asStorageError(thrown);
    if (reason.kind !== 'unavailable' && reason.kind !== 'refused') throw reason;
    const { causes, hints, facts } = unknown;
    const message = `${unknown.message}; nor could it be looked up whether it was done: ${reason.message}`;
    throw new OutcomeUnknownError(unknown.code, message, { causes, hints, facts, cause: unknown });
  }
}
