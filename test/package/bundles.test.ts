import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { METHODS } from '../../src/protocol/methods.ts';
import { PROGRAMS } from '../../tools/build/programs.ts';
import { NODE_RELEASES, nodeBinary } from '../../tools/build/node-release-list.ts';
import { type CommandOutput, run } from '../../tools/demo/commands.ts';
import { daemonArguments, daemonReady, Program, simulatorReady } from '../../tools/demo/processes.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const { version: VERSION } = z.object({ version: z.string() }).parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')));

/** Exit status of each program for a flag that it does not know. */
const UNUSABLE = { 'pve-truenasd': 2, 'pve-truenas': 3, 'pve-truenas-sim': 2 } as const;

/** The releases to test on; where the binaries do not exist (not Linux on x64), the one that runs this. */
const NODES =
  process.platform === 'linux' && process.arch === 'x64'
    ? NODE_RELEASES.map(({ version }) => ({ node: `v${version}`, binary: nodeBinary(version) }))
    : [{ node: process.version, binary: process.execPath }];

describe.each(NODES)('bundles on Node.js $node', ({ node, binary }) => {
  // No node_modules in here nor above: a bundle that still needs a package fails.
  let folder = '';
  const never = new AbortController().signal;
  const bundle = (name: string): string => join(folder, `${name}.mjs`);
  const start = (name: string, args: readonly string[], expectStatus = 0): Promise<CommandOutput> =>
    run([binary, bundle(name), ...args], { signal: never, expect: [expectStatus], env: { NODE_PATH: '', NODE_OPTIONS: '' } });

  beforeAll(async () => {
    if (!existsSync(binary)) throw new Error(`${binary} is missing: make node-releases`);
    folder = await mkdtemp(join(tmpdir(), 'bundles-'));
    for (const name of Object.keys(PROGRAMS)) await copyFile(join(ROOT, 'dist', `${name}.mjs`), bundle(name));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('is that release', async () => {
    expect((await run([binary, '--version'], { signal: never })).stdout.trim()).toBe(node);
  });

  it.concurrent.each(Object.keys(PROGRAMS))('%s says its version', async (name) => {
    expect(await start(name, ['--version'])).toEqual({ status: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  it.concurrent.each(Object.keys(PROGRAMS))('%s shows help', async (name) => {
    const { stdout, stderr } = await start(name, ['--help']);
    expect(stdout).toContain(`Usage: ${name}`);
    expect(stderr).toBe('');
  });

  it.concurrent.each(Object.entries(UNUSABLE))('%s refuses an unknown flag with exit status %d', async (name, status) => {
    const { stdout, stderr } = await start(name, ['--no-such-flag'], status);
    expect(stderr).toContain('--no-such-flag');
    expect(stdout).toBe('');
  });

  describe('simulator, daemon and command line', () => {
    const programs: Program[] = [];
    afterEach(async () => {
      for (const program of programs.splice(0).reverse()) await program.stop();
    });

    it('work together: the storage is healthy by `pve-truenas status`', async () => {
      const simulator = new Program(
        'simulator',
        [binary, bundle('pve-truenas-sim'), '--ready-json', '--state', join(folder, 'array')],
        'reader',
      );
      programs.push(simulator);
      const info = await simulatorReady(simulator, never);
      const place = async (name: string): Promise<string> => {
        await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
        return join(folder, name);
      };
      const paths = {
        socket: join(folder, 'daemon.sock'),
        storageCfg: join(folder, 'storage.cfg'),
        privDir: await place('priv'),
        stateDir: await place('state'),
        runDir: await place('run'),
        linkDir: await place('dev'),
      };
      await writeFile(join(paths.privDir, 'nas.api_key'), `${info.apiKey}\n`, { mode: 0o600 });
      const settings = {
        api_host: info.host,
        api_port: info.port,
        fingerprint: info.fingerprint,
        'truenas-username': info.username,
        dataset: info.dataset,
        target_iqn: info.targetIqn,
        discovery_portal: info.portal,
        'truenas-initiator': 'qemu',
        content: 'images',
      };
      const lines = Object.entries(settings).map(([name, value]) => `\t${name} ${value}\n`);
      await writeFile(paths.storageCfg, `truenasplugin: nas\n${lines.join('')}`);
      const daemon = new Program('daemon', [binary, bundle('pve-truenasd'), ...daemonArguments(paths, 'pve1')], 'tail');
      programs.push(daemon);
      const hello = await daemonReady(daemon, paths.socket, never);
      expect(hello).toMatchObject({ version: VERSION, node: 'pve1', pid: daemon.child.pid });
      expect((await stat(paths.socket)).mode & 0o777).toBe(0o600);

      const { stdout } = await start('pve-truenas', ['--socket', paths.socket, '--json', 'status']);
      const status = METHODS['overview.status'].result.parse(JSON.parse(stdout));
      expect(status.storages).toMatchObject([{ id: 'nas', state: 'healthy', dataset: info.dataset, volumes: 0 }]);

      await daemon.stop();
      expect(existsSync(paths.socket)).toBe(false);
      const gone = await start('pve-truenas', ['--socket', paths.socket, 'status'], 2);
      expect(gone.stderr).toContain('pve-truenasd');
    });
  });
});
