import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import type { FaultInput } from '../../sim/faults/fault-model.ts';
import { contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const TRACE =
  'Traceback (most recent call last):\n  File "/usr/lib/python3/dist-packages/middlewared/main.py", line 1, in call\n    raise X\nX: oops';

let sim: Simulator;
let daemon: DaemonProcess;
beforeAll(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  daemon = new DaemonProcess();
  daemon.secret('tn', sim.apiKey);
  const lines = Object.entries(sectionFor(sim)).map(([name, value]) => `\t${name} ${value}\n`);
  writeFileSync(join(daemon.directory, 'storage.cfg'), `truenasplugin: tn\n${lines.join('')}`);
  await daemon.start();
});
afterAll(async () => {
  await daemon.dispose();
  await sim.stop();
});
beforeEach(() => sim.faults.clear());

interface Ended {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

function run(program: string, args: readonly string[]): Promise<Ended> {
  return new Promise((done) => {
    execFile(program, args, { timeout: 60_000 }, (error, out, err) =>
      done({ status: error === null ? 0 : Number(error.code ?? -1), out, err }),
    );
  });
}

/** An operation as PVE runs it: what it prints on standard error is the end of the task log. */
function pvesm(args: readonly string[], socket = daemon.socket): Promise<Ended> {
  const at = (name: string): string => join(daemon.directory, name);
  const places = ['--storage-cfg', at('storage.cfg'), '--priv-dir', at('priv'), '--run-dir', at('run'), '--link-dir', at('links')];
  return run(join(ROOT, 'perl/t/bin/pvesm-lite'), [...places, '--socket', socket, ...args]);
}

function cli(args: readonly string[], socket = daemon.socket): Promise<Ended> {
  return run(process.execPath, [join(ROOT, 'dist/pve-truenas.mjs'), '--socket', socket, ...args]);
}

const explained = z.object({ code: z.string(), causes: z.array(z.string()).min(1), hints: z.array(z.string()).min(1), leaves: z.string() });

/** Parts of the block at the end of a task log. */
function blockOf(text: string): { causes: string[]; hints: string[]; state: string; code: string } {
  const items = (title: string): string[] =>
    [...(new RegExp(`^${title}:\\n((?: {2}- .*\\n)+)`, 'm').exec(text)?.[1] ?? '').matchAll(/^ {2}- (.*)$/gm)].map(([, item = '']) => item);
  return {
    causes: items('Likely causes'),
    hints: items('What to check'),
    state: /^State: (.*)$/m.exec(text)?.[1] ?? '',
    code: /^\(([A-Z_]+)\)$/m.exec(text)?.[1] ?? '',
  };
}

const failures: readonly (readonly [string, FaultInput, string, RegExp])[] = [
  ['a full pool', { method: 'pool.dataset.create', fault: 'pool-full' }, 'NO_SPACE', /out of space|Insufficient space/],
  [
    'a refusal with a traceback',
    { method: 'pool.dataset.create', fault: 'error', code: -32001, errno: 14, reason: `[EFAULT] the pool is suspended\n${TRACE}` },
    'CALL_REFUSED',
    /the pool is suspended/,
  ],
  [
    'a refusal of the extent',
    { method: 'iscsi.extent.create', fault: 'error', code: -32001, errno: 14, reason: '[EFAULT] no memory for it' },
    'EXTENT_FAILED',
    /no memory for it/,
  ],
  [
    'a missing role',
    { method: 'pool.dataset.create', fault: 'error', code: -32001, errno: 13, reason: '[EACCES] Not authorized' },
    'NOT_AUTHORIZED',
    /Not authorized/,
  ],
];

describe('the same text wherever a failure is shown', () => {
  it.each(failures)('%s', async (_what, fault, code, words) => {
    const before = await contentsOf(sim);
    sim.faults.add({ ...fault, times: 1 });
    const { status, err } = await pvesm(['alloc', 'tn', '100', '', '1024']);
    expect(status).toBe(1);
    expect(err).toMatch(words);
    expect(err).not.toMatch(/Traceback|main\.py|raise X/);
    const block = blockOf(err);
    expect(block.code).toBe(code);
    expect(block.causes.length).toBeGreaterThan(0);
    expect(block.hints.length).toBeGreaterThan(0);
    expect(block.state).toMatch(/nothing (was changed|is left)/);
    expect(await contentsOf(sim)).toEqual(before);

    await daemon.says(`(${code})`);
    const logged = daemon.output.split('\n').filter((line) => line.includes('volume.allocate on storage') && line.includes(`(${code})`));
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatch(/ warn +volume\.allocate on storage 'tn' failed: /);
    expect(logged[0]).not.toMatch(/Traceback|main\.py/);

    const known = explained.parse(JSON.parse((await cli(['explain', code, '--json'])).out));
    expect(known.code).toBe(code);
  });

  it('of what the Perl module notices itself: explained like the rest', async () => {
    const { err, status } = await pvesm(['alloc', 'tn', '100', 'vm-200-disk-0', '1024']);
    expect(status).toBe(1);
    const { code, causes, hints, state } = blockOf(err);
    const known = explained.parse(JSON.parse((await cli(['explain', code, '--json'])).out));
    expect({ causes, hints, state }).toEqual({
      causes: known.causes.map((text) => text.replaceAll('’', "'")),
      hints: known.hints.map((text) => text.replaceAll('’', "'")),
      state: known.leaves,
    });
  });

  it('on the command line: causes, what to check and code, and one JSON object', async () => {
    const { err, status } = await cli(['status', 'nowhere']);
    expect(status).toBe(3);
    for (const part of ['Error:', '[STORAGE_UNKNOWN]', 'Likely causes:', 'What to check:']) expect(err).toContain(part);
    const { out } = await cli(['status', 'nowhere', '--json']);
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'STORAGE_UNKNOWN' } });
  });
});

describe('without a daemon', () => {
  it('the Perl module and the command line say how to start it', async () => {
    const nowhere = join(daemon.directory, 'none.sock');
    const task = await pvesm(['alloc', 'tn', '100', '', '1024'], nowhere);
    expect(task.err).toMatch(/storage 'tn': .* start it: systemctl start pve-truenasd \(DAEMON_NOT_RUNNING\)\n/);
    const asked = await cli(['health'], nowhere);
    expect(asked.status).toBe(2);
    expect(asked.err).toContain('systemctl start pve-truenasd');
  });
});
