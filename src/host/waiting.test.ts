import { expect, it } from 'vitest';
import { withDeadline } from '../core/deadline.ts';
import { VirtualClock } from './testing/virtual-clock.ts';
import { MemoryFiles } from './testing/memory-files.ts';
import { waitFor } from './waiting.ts';

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
