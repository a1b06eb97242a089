import { readdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { Machine } from './testing/machine.ts';
import { PREPARED } from './testing/places.ts';

/** Of this process, so that two runs at once do not share it. */
const KIND = `test-of-${String(process.pid).replaceAll(/\d/g, (digit) => 'abcdefghij'[Number(digit)] ?? '')}`;

const stored = async (): Promise<readonly string[]> => (await readdir(PREPARED)).filter((name) => name.startsWith(`n9-${KIND}-`));
const remove = async (): Promise<void> => {
  for (const name of await stored()) await rm(join(PREPARED, name), { recursive: true });
};
afterAll(remove);

it('a prepared VM is stored for later runs; one that is made of something else replaces it, one that is broken is made anew', async () => {
  const made: string[] = [];
  /** As a run begins that has no VM of this name; what is in the VM. */
  const begin = async (of: string): Promise<string> => {
    const machine = await Machine.prepared('n9', KIND, [of], async (fresh) => {
      made.push(of);
      await fresh.sh(`echo ${of} > /run/made; zfs create tank/${of}`);
    });
    const found = await machine.sh('cat /run/made; zfs list -Ho name -r tank; hostname');
    await machine.cutPower();
    return found;
  };
  expect(await begin('one')).toBe('one\ntank\ntank/one\nn9');
  expect(await begin('one')).toBe('one\ntank\ntank/one\nn9');
  expect(made).toEqual(['one']);

  const before = await stored();
  expect(await begin('two')).toBe('two\ntank\ntank/two\nn9');
  const now = await stored();
  expect([now.length, now.some((name) => before.includes(name)), made]).toEqual([1, false, ['one', 'two']]);

  await truncate(join(PREPARED, now[0] ?? '', 'root.qcow2'), 1_000_000);
  expect(await begin('two')).toBe('two\ntank\ntank/two\nn9');
  expect(await begin('two')).toBe('two\ntank\ntank/two\nn9');
  expect(made).toEqual(['one', 'two', 'two']);
});
