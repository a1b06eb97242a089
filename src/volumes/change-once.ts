import { OutcomeUnknownError } from '../core/errors.ts';

/**
 * Sends a change; when its outcome stays unknown, looks whether it happened and goes on from there (law 2). Only a
 * change that was looked for and not found is decided on anew, once: `send` is never repeated blindly (F-056, F-302).
 * Rejects with the OutcomeUnknownError when the second attempt has no answer either.
 */
export async function changeOnce<T>(send: () => Promise<T>, look: () => Promise<T | null>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof OutcomeUnknownError)) throw error;
    const found = await look();
    if (found !== null) return found;
  }
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof OutcomeUnknownError)) throw error;
    const found = await look();
    if (found !== null) return found;
    throw error;
  }
}
