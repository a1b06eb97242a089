import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { ErrorData } from '../../src/protocol/envelope.ts';
import { BROKEN_ARRAYS, type Situation } from './broken-array-list.ts';
import { Stage } from './testing/broken-array-stage.ts';
import { DaemonProcess } from './testing/daemon-process.ts';

const filled = z.string().regex(/\S/);
/** What CONFIG_INVALID says of each setting. */
const settingFaults = z.array(z.object({ setting: filled, message: filled, cure: filled })).min(1);
/** Methods that only read say of no state that they left. */
const READS: ReadonlySet<string> = new Set(['volume.list', 'snapshot.list']);
/** ms that the daemon may take to settle what is left, the array being well again; a guard against hanging. */
const SETTLED = { timeout: 60_000, interval: 50 };

const daemon = new DaemonProcess();
beforeAll(() => daemon.start());
afterAll(() => daemon.dispose());

describe('a broken array', () => {
  it('breaks in at least 40 ways', () => {
    expect(new Set(BROKEN_ARRAYS.map((one) => one.name)).size).toBe(BROKEN_ARRAYS.length);
    expect(BROKEN_ARRAYS.filter((one) => one.ends !== 'finished').length).toBeGreaterThanOrEqual(40);
  });

  it.each(BROKEN_ARRAYS.map((one, index) => ({ ...one, index })))('$name', async (situation) => {
    const stage = await Stage.open(daemon, `tn${situation.index}`, { release: situation.release ?? '25.10', ...situation.array });
    try {
      await situation.before?.(stage);
      await situation.breaks(stage);
      const before = await stage.contents();
      const { message, data } = await failure(stage, situation);
      expect({ code: data.code, message }).toMatchObject({ code: situation.code });
      for (const words of situation.says) expect(message).toMatch(words);
      expectHelp(data, READS.has(situation.tried[0]));
      for (const words of situation.advice ?? []) expect([...data.causes, ...data.hints].join('\n')).toMatch(words);
      expectNoSecret(JSON.stringify({ message, data }), stage);
      await expectEnd(stage, situation, before);
    } finally {
      await stage.close();
    }
  });
});

async function failure(stage: Stage, { tried: [method, params] }: Situation): Promise<{ message: string; data: ErrorData }> {
  const { error, result } = await daemon.ask(method, { deadline_ms: 10_000, storage: stage.storage, ...params });
  if (error?.data === undefined) throw new Error(`${method} did not fail: ${JSON.stringify(error ?? result)}`);
  return { message: error.message, data: error.data as ErrorData };
}

/** A cause, a cure, and what was left; words that a user can read. */
function expectHelp({ causes, hints, state, facts }: ErrorData, reads: boolean): void {
  // Faults of a storage each have their own cause and cure, which stand in the message.
  const own = settingFaults.safeParse(facts?.['faults']);
  if (!own.success) expect(causes.filter((text) => text.trim() !== '')).not.toEqual([]);
  expect(hints.filter((text) => text.trim() !== '')).not.toEqual([]);
  if (!reads) expect(state).toMatch(/\S/);
}

function expectNoSecret(answer: string, stage: Stage): void {
  expect(answer).not.toContain(stage.sim.apiKey);
  expect(answer).not.toMatch(/Traceback|File \\?"|\bat .*\.(?:ts|mjs|js):\d+/);
}

async function expectEnd(stage: Stage, { ends = 'unchanged' }: Situation, before: string): Promise<void> {
  if (ends === 'unchanged') {
    expect(JSON.parse(await stage.contents())).toEqual(JSON.parse(before));
    return;
  }
  await stage.recover();
  if (ends === 'settles') await expect.poll(() => stage.contents(), SETTLED).toBe(before);
  else await expect.poll(() => stage.zvols(), SETTLED).toEqual([]);
}
