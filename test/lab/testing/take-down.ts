/** After all tests: the workers' VMs and networks go. */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MACHINE, placeOf, RUN_OF_ALL } from './places.ts';

const run = promisify(execFile);

export async function teardown(): Promise<void> {
  const folders = await readdir(RUN_OF_ALL).catch(() => []);
  for (const worker of folders.flatMap((name) => /^w(\d+)$/.exec(name)?.[1] ?? [])) {
    await run(join(MACHINE, 'lab'), ['down'], { env: { ...process.env, ...placeOf(worker) } });
  }
}
