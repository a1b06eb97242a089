/**
 * Bundles the three programs into dist/: each one ESM file that runs on Node.js 18.20 and newer without node_modules,
 * with a link of its plain name beside it, and the licence texts of everything that was bundled.
 */
import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import * as z from 'zod';
import { bundledPackages, thirdPartyNotice } from './licences.ts';
import { PROGRAMS } from './programs.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const DIST = join(ROOT, 'dist');

const BANNER = [
  '#!/usr/bin/env node',
  // Some dependencies are CommonJS and call require() for Node's own modules at run time.
  "import { createRequire as pveTruenasCreateRequire } from 'node:module';",
  'const require = pveTruenasCreateRequire(import.meta.url);',
].join('\n');

function options(version: string): BuildOptions {
  return {
    absWorkingDir: ROOT,
    entryPoints: Object.entries(PROGRAMS).map(([out, source]) => ({ in: source, out })),
    outdir: DIST,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node18.20',
    charset: 'utf8',
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    banner: { js: BANNER },
    define: {
      PVE_TRUENAS_VERSION: JSON.stringify(version),
      // ws would otherwise try to load native add-ons from wherever the bundle happens to lie.
      'process.env.WS_NO_BUFFER_UTIL': '"1"',
      'process.env.WS_NO_UTF_8_VALIDATE': '"1"',
    },
  };
}

async function main(): Promise<void> {
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')));
  await rm(DIST, { recursive: true, force: true });
  await mkdir(DIST, { recursive: true });
  const result = await build(options(version));
  const packages = await bundledPackages(ROOT, Object.keys(result.metafile?.inputs ?? {}));
  await writeFile(join(DIST, 'THIRD-PARTY-LICENSES.txt'), thirdPartyNotice(packages));
  for (const name of Object.keys(PROGRAMS)) {
    await chmod(join(DIST, `${name}.mjs`), 0o755);
    await symlink(`${name}.mjs`, join(DIST, name));
  }
  const sizes = Object.entries(result.metafile?.outputs ?? {}).map(([file, output]) => `${file} ${Math.round(output.bytes / 1024)} KiB`);
  console.log(`build: ${sizes.join(', ')}`);
}

await main();
