import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundledPackages, packageFolder, thirdPartyNotice } from './licences.ts';

describe('packageFolder', () => {
  it('finds plain, scoped and nested packages, and tells our own files apart', () => {
    expect(packageFolder('node_modules/ws/lib/sender.js')).toBe('node_modules/ws');
    expect(packageFolder('node_modules/@hono/node-server/dist/index.mjs')).toBe('node_modules/@hono/node-server');
    expect(packageFolder('node_modules/a/node_modules/b/index.js')).toBe('node_modules/a/node_modules/b');
    expect(packageFolder('src/daemon/main.ts')).toBeNull();
  });
});

describe('bundledPackages', () => {
  let root = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'licences-'));
  });
  afterEach(async () => {
    await rm(root, { recursive: true });
  });
  async function place(name: string, license: string, files: Record<string, string>): Promise<void> {
    const folder = join(root, 'node_modules', name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name, version: '1.0.0', license }));
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  }

  it('names each package once, with its licence and notice texts', async () => {
    await place('b', 'Apache-2.0', { 'LICENSE.md': 'text of b', NOTICE: 'notice of b', 'licensed.js': 'code' });
    await place('a', 'MIT', { LICENCE: 'text of a' });
    const packages = await bundledPackages(root, ['node_modules/b/x.js', 'node_modules/b/y.js', 'node_modules/a/z.js', 'src/main.ts']);
    expect(packages.map((entry) => [entry.name, entry.text])).toEqual([
      ['a', 'text of a'],
      ['b', 'text of b\n\nnotice of b'],
    ]);
    expect(thirdPartyNotice(packages)).toContain('b 1.0.0 (Apache-2.0)\n\ntext of b');
  });

  it('refuses a licence that may not be passed on', async () => {
    await place('c', 'GPL-3.0', { LICENSE: 'x' });
    await expect(bundledPackages(root, ['node_modules/c/x.js'])).rejects.toThrow(/c 1\.0\.0 has the licence GPL-3\.0/);
  });
});
