import type { Simulator } from '../../../sim/server/launch.ts';
import { systemClock } from '../../../src/core/system-clock.ts';

/** ms after which what was waited for is taken to never come. */
const ARRIVES_MS = 60_000;

/** Resolves when it is so. `what`: names it in the error when it is not so after `ms`. */
export async function until(holds: () => boolean | Promise<boolean>, what: () => string, ms = ARRIVES_MS): Promise<void> {
  const limit = AbortSignal.timeout(ms);
  while (!(await holds())) {
    if (limit.aborted) throw new Error(`not so after ${ms} ms: ${what()}`);
    // A pause: whoever looks without one takes the CPU from the processes that he waits for.
    await systemClock.sleep(5);
  }
}

/** Resolves when the array has been called `method` `times` times since its calls were reset. */
export function called(sim: Simulator, method: string, times = 1): Promise<void> {
  return until(
    () => (sim.calls()[method] ?? 0) >= times,
    () => `${method} was called ${times} times: ${JSON.stringify(sim.calls())}`,
  );
}
