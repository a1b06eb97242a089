import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../core/system-clock.ts';
import { METHODS } from '../protocol/methods.ts';
import { failureFacts } from './failure.ts';
import { COMMANDS, run } from './program.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shapes-'));
  await writeFile(
    join(folder, 'storage.cfg'),
    'truenasplugin: nas\n\tapi_host nas\n\tapi_insecure 1\n\tdataset tank//x\n  odd line here\n',
  );
});
afterAll(() => rm(folder, { recursive: true }));

async function printed(argv: readonly string[]): Promise<unknown> {
  let out = '';
  await run(argv, { out: (text) => void (out += text), err: () => undefined, isTerminal: false, env: {}, clock: systemClock });
  return JSON.parse(out);
}

describe('--json', () => {
  it.each([
    ['config check', () => ['config', 'check', '--file', join(folder, 'storage.cfg')]],
    ['explain', () => ['explain']],
    ['explain', () => ['explain', 'NO_SPACE']],
    ['completion', () => ['completion', 'bash']],
  ])('%s prints its documented shape and nothing besides', async (path, argv) => {
    const shape = COMMANDS.find((command) => command.path === path)?.json;
    const output = await printed([...argv(), '--json']);
    expect(shape?.parse(output)).toEqual(output);
  });

  it('prints every failure in the one documented shape', async () => {
    const output = await printed(['--socket', join(folder, 'none.sock'), 'status', '--json']);
    expect({ error: failureFacts.parse((output as { error: unknown }).error) }).toEqual(output);
  });

  it('of what is asked of the daemon has the shape that its answer is held against', () => {
    const results: readonly unknown[] = Object.values(METHODS).map(({ result }) => result);
    const own = ['config check', 'doctor', 'explain', 'completion', 'orphans', 'setup'];
    const others = COMMANDS.filter(({ path }) => !own.includes(path));
    expect(others.filter(({ json }) => !results.includes(json)).map(({ path }) => path)).toEqual([]);
  });
});
