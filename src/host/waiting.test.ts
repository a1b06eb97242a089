import { expect, it } from 'vitest';
import { deadlineAfter, withDeadline } from '../core/deadline.ts';
import { VirtualClock } from './testing/virtual-clock.ts';
import { MemoryFiles } from './testing/memory-files.ts';
import { waitFor, within } from './waiting.ts';

it('40 waits for a name of their own look at what the others wait for no more often than the poll has them', async () => {
  const clock = new VirtualClock();
  const files = new MemoryFiles();
  const names = Array.from({ length: 40 }, (_, index) => `wwn-${index}`);
  let looks = 0;
  await withDeadline(clock, 60_000, 'names', async (deadline) => {
    const waits = names.map((name) =>
      waitFor({ clock, files, deadline, watch: ['/dev/disk/by-id'], entries: (entry) => entry === name }, async () => {
        looks += 1;
        return (await files.kind(`/dev/disk/by-id/${name}`)) === null ? undefined : name;
      }),
    );
    for (const name of names) {
      await clock.sleep(30, deadline.signal);
      files.put(`/dev/disk/by-id/${name}`, '');
    }
    expect(await Promise.all(waits)).toEqual(names);
  });
  // the first look, the one that finds it, and those of the poll within the 1.2 s until the last name is there (50, 100, 200, 400 and 500 ms apart)
  expect(looks).toBeLessThanOrEqual(40 * 7);
});

it.each([
  ['its time is over: nothing was found, which the caller explains', 5000, null, { value: undefined }],
  ['it is cancelled: the reason', 60_000, new Error('the daemon is stopping'), { reason: 'the daemon is stopping' }],
])('a deadline that ends in the middle of a look: %s', async (_what, ms, cancelled, expected) => {
  const clock = new VirtualClock();
  const deadline = deadlineAfter(clock, ms, 'attach');
  const wait = waitFor({ clock, files: new MemoryFiles(), deadline }, () => within(new Promise<undefined>(() => undefined), deadline));
  const outcome = wait.then(
    (value) => ({ value }),
    (error: unknown) => ({ reason: error instanceof Error ? error.message : error }),
  );
  if (cancelled === null) await clock.sleep(ms);
  else deadline.cancel(cancelled);
  expect(await outcome).toEqual(expected);
  deadline.release();
});
