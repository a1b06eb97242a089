import { deadlineAfter } from '../core/deadline.ts';
import type { Clock } from '../core/ports.ts';
import { callOn } from './call.ts';
import { isNotAuthenticated } from './error-map.ts';
import type { Established } from './establish.ts';
import { systemVersion } from './wire/session.ts';

/** `proven`: logged in; `expired`: TrueNAS says that it is not; `silent`: no answer in time; `failed`: anything else. */
export type Proof = 'proven' | 'expired' | 'silent' | 'failed';

/**
 * Asks what only a logged-in session is told: 25.x leaves the socket of an expired one open and answers pings on it (F-002, F-053).
 * `ms`: how long to wait for the answer. Never rejects.
 */
export async function prove(session: Established, clock: Clock, ms: number, signal: AbortSignal): Promise<Proof> {
  const deadline = deadlineAfter(clock, ms, 'looking whether the session stands', signal);
  try {
    await callOn(session.connection, systemVersion(), deadline);
    return 'proven';
  } catch (error) {
    if (isNotAuthenticated(error)) return 'expired';
    return deadline.signal.aborted && !signal.aborted ? 'silent' : 'failed';
  } finally {
    deadline.release();
  }
}
