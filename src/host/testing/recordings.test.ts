import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { RECORDED, recorded } from './recordings.ts';

const SRC = join(import.meta.dirname, '../..');

/** Whether a test has this name, or its begin and its end in a template and a text: `show-config-${name}` and 'not-running'. */
function isNamed(name: string, tests: string): boolean {
  if (new RegExp(`['"\`/ ]${name}['"\`,;: ]`).test(tests)) return true;
  return [...name.matchAll(/-/g)].some(
    ({ index }) => tests.includes(`${name.slice(0, index + 1)}\${`) && tests.includes(`'${name.slice(index + 1)}'`),
  );
}

it('each recording can be read and is named by a test: what nothing is held against proves nothing', () => {
  const tests = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => readFileSync(join(SRC, path), 'utf8'))
    .join('\n');
  const names = readdirSync(RECORDED, { recursive: true, encoding: 'utf8' }).flatMap((path) => /^(.+)\.txt$/.exec(path)?.[1] ?? []);
  expect(names.length).toBeGreaterThan(50);
  for (const name of names) expect(recorded(name)).toHaveProperty('exitCode');
  expect(names.filter((name) => !isNamed(name.slice(name.indexOf('/') + 1), tests))).toEqual([]);
});

it('a name that is in no test is found', () => {
  expect(isNamed('login-on-the-moon', "recorded('login')")).toBe(false);
  expect(isNamed('show-config-twice', 'recorded(`show-config-\${name}`)')).toBe(false);
  expect(isNamed('show-config-twice', "recorded(`show-config-\${name}`)('twice')")).toBe(true);
});
