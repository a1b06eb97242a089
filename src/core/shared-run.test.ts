import { describe, expect, it } from 'vitest';
import { SharedRun } from './shared-run.ts';

/** Work whose runs end by hand. */
function byHand(): { readonly shared: SharedRun<number>; readonly runs: { end: (error?: Error) => void }[] } {
  const runs: { end: (error?: Error) => void }[] = [];
  const shared = new SharedRun(
    () =>
      new Promise<number>((resolve, reject) => {
        const number = runs.length + 1;
        runs.push({ end: (error) => (error === undefined ? resolve(number) : reject(error)) });
      }),
  );
  return { shared, runs };
}

describe('SharedRun', () => {
  it('gives those who ask while it runs the next run, all of them the same one', async () => {
    const { shared, runs } = byHand();
    const first = shared.run();
    const later = [shared.run(), shared.run()];
    expect(runs).toHaveLength(1);
    runs[0]?.end();
    expect(await first).toBe(1);
    await Promise.resolve();
    expect(runs).toHaveLength(2);
    const third = shared.run();
    runs[1]?.end();
    expect(await Promise.all(later)).toEqual([2, 2]);
    await Promise.resolve();
    runs[2]?.end();
    expect(await third).toBe(3);
  });

  it('begins at once when nothing runs', async () => {
    const { shared, runs } = byHand();
    const first = shared.run();
    runs[0]?.end();
    await first;
    const second = shared.run();
    expect(runs).toHaveLength(2);
    runs[1]?.end();
    expect(await second).toBe(2);
  });

  it('keeps a failure to those who asked for that run', async () => {
    const { shared, runs } = byHand();
    const first = shared.run();
    const second = shared.run();
    runs[0]?.end(new Error('broken'));
    await expect(first).rejects.toThrow('broken');
    await Promise.resolve();
    runs[1]?.end();
    expect(await second).toBe(2);
  });
});
