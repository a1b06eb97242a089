import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { systemClock } from '../../core/system-clock.ts';
import type { CliIo } from '../io.ts';
import { run } from '../program.ts';

const requestShape = z.object({ method: z.string(), params: z.record(z.string(), z.unknown()) });
type Request = z.infer<typeof requestShape>;

let folder: string;
let server: Server;
let requests: Request[];
let answer: (request: Request) => unknown;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-orphans-'));
  requests = [];
  answer = () => REPORT;
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      const request = requestShape.parse(JSON.parse(chunk.toString('utf8')));
      requests.push(request);
      const result = answer(request);
      const message = result instanceof Error ? { error: refusal(result) } : { result };
      socket.end(`${JSON.stringify({ jsonrpc: '2.0', id: 1, ...message })}\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 'd.sock'), resolve));
});
afterEach(async () => {
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await rm(folder, { recursive: true });
});

const refusal = (error: Error) => ({
  code: -32010,
  message: error.message,
  data: { code: 'DELETE_UNCONFIRMED', kind: 'conflict', causes: [], hints: [], state: 'extent 1 is still there' },
});
const orphan = (more: Record<string, unknown>) => ({
  id: 'extent-without-zvol#tank/x#1#0x1',
  kind: 'extent-without-zvol',
  name: 'pve-1',
  age_s: null,
  seen_s: 3700,
  size: null,
  reason: 'its zvol is gone',
  certainty: 'certain',
  action: 'delete the extent',
  data: false,
  ...more,
});
const VOLUME = orphan({
  id: 'unfinished-operation#tank/y#u#1',
  kind: 'unfinished-operation',
  name: 'vm-1-disk-0',
  data: true,
  size: 2 ** 30,
  age_s: 90_000,
});
const LIKELY = orphan({ id: 'mapping-without-extent#mapping-3#1', certainty: 'likely', name: 'LUN 7', action: 'none' });
const CLEAN = { storages: [{ id: 'nas', complete: true, orphans: [], notes: [] }], node: { name: 'pve1', orphans: [], notes: [] } };
const REPORT = {
  storages: [{ id: 'nas', complete: true, orphans: [orphan({}), VOLUME, LIKELY], notes: ['a note'] }],
  node: { name: 'pve1', orphans: [orphan({ id: 'stale-link#tank/z#nas#-', kind: 'stale-link', name: 'nas/z' })], notes: [] },
};
const DELETED = { outcome: 'deleted', message: 'pve-1 was deleted', was: { naa: '0x1' } };
const answering = (deletions: (request: Request) => unknown) => {
  answer = (request) => (request.method === 'orphan.delete' ? deletions(request) : REPORT);
};

interface Outcome {
  exit: number;
  out: string;
  err: string;
}
async function cli(argv: readonly string[], more: Partial<CliIo> = {}): Promise<Outcome> {
  const outcome: Outcome = { exit: 0, out: '', err: '' };
  outcome.exit = await run(argv, {
    out: (text) => void (outcome.out += text),
    err: (text) => void (outcome.err += text),
    isTerminal: false,
    env: { PVE_TRUENAS_SOCKET: join(folder, 'd.sock') },
    clock: systemClock,
    ...more,
  });
  return outcome;
}
const deletions = (): unknown[] => requests.filter((one) => one.method === 'orphan.delete').map((one) => one.params['orphan_id']);

describe('orphans', () => {
  it('shows each with how sure, age, size and what a clean-up does, and the reasons', async () => {
    const { exit, out } = await cli(['orphans', 'nas']);
    expect(exit).toBe(1);
    expect(out).toContain('nas: 3 orphans');
    expect(out).toMatch(/certain +unfinished-operation +vm-1-disk-0 +25h +1\.00 GiB$/m);
    expect(out).toMatch(/certain +extent-without-zvol +pve-1 +>61m +-$/m);
    expect(out).toMatch(/^ {2}pve-1: .*\n {4}clean-up: delete the extent$/m);
    expect(out).toContain('pve-1: its zvol is gone');
    expect(out).toContain('note: a note');
    expect(out).toContain('node pve1: 1 orphan\n');
    expect(requests).toMatchObject([{ method: 'overview.orphans', params: { storage_id: 'nas' } }]);
  });

  it('ends with 0 without any, and with 2 when a storage could not be looked at', async () => {
    answer = () => CLEAN;
    expect(await cli(['orphans'])).toMatchObject({ exit: 0, out: 'nas: no orphans\n' });
    answer = () => ({
      ...CLEAN,
      storages: [{ id: 'nas', complete: false, error: { code: 'ARRAY_UNREACHABLE', message: 'no way\x1b[31m' }, orphans: [], notes: [] }],
    });
    const { exit, out } = await cli(['orphans']);
    expect(exit).toBe(2);
    expect(out).toBe('nas: could not be looked at: no way?[31m [ARRAY_UNREACHABLE]\n');
  });

  it('prints one JSON object', async () => {
    const { out } = await cli(['orphans', '--json']);
    expect(JSON.parse(out)).toEqual(REPORT);
  });
});

describe('orphans --clean', () => {
  it.each([
    ['without a terminal', ['orphans', '--clean'], {}],
    ['with --json', ['orphans', '--clean', '--json'], { ask: () => Promise.resolve('y') }],
    ['--yes alone', ['orphans', '--yes'], {}],
    ['--include-volumes alone', ['orphans', '--include-volumes'], {}],
  ])('%s: is refused before anything is asked of the daemon', async (_what, argv, more) => {
    expect((await cli(argv, more)).exit).toBe(3);
    expect(requests).toEqual([]);
  });

  it.each(['', 'n', 'no', 'yep', 'Y e s'])('changes nothing when the answer is %j', async (typed) => {
    const { exit, out } = await cli(['orphans', '--clean'], { ask: () => Promise.resolve(typed) });
    expect(exit).toBe(1);
    expect(out).toContain('To be deleted:');
    expect(out).toContain('nothing was changed');
    expect(deletions()).toEqual([]);
  });

  it('deletes what is certain after a yes, one by one, never data', async () => {
    answering(() => DELETED);
    const asked: string[] = [];
    const { exit, out } = await cli(['orphans', '--clean'], {
      ask: (question) => {
        asked.push(question);
        return Promise.resolve('y');
      },
    });
    expect(asked).toEqual(['Delete these 2? [y/N] ']);
    expect(deletions()).toEqual(['extent-without-zvol#tank/x#1#0x1', 'stale-link#tank/z#nas#-']);
    expect(requests.slice(1)).toMatchObject([
      { params: { storage_id: 'nas', include_volumes: false } },
      { params: { include_volumes: false } },
    ]);
    expect(requests[2]?.params).not.toHaveProperty('storage_id');
    expect(out).toContain('1 with data is left alone without --include-volumes');
    expect(out).toContain('deleted: pve-1 was deleted\n  was: {"naa":"0x1"}');
    expect(exit).toBe(1);
  });

  it('deletes data with --include-volumes, last', async () => {
    answering(() => DELETED);
    await cli(['orphans', '--clean', '--yes', '--include-volumes']);
    expect(deletions()).toEqual(['extent-without-zvol#tank/x#1#0x1', 'stale-link#tank/z#nas#-', 'unfinished-operation#tank/y#u#1']);
  });

  it('a failure of one does not keep the others and ends with 2', async () => {
    answering(({ params }) => (String(params['orphan_id']).startsWith('extent') ? new Error('still there') : DELETED));
    const { exit, out } = await cli(['orphans', '--clean', '--yes']);
    expect(exit).toBe(2);
    expect(out).toContain('failed: pve-1: still there\n  state: extent 1 is still there');
    expect(deletions()).toHaveLength(2);
    const json = await cli(['orphans', '--clean', '--yes', '--json']);
    expect((JSON.parse(json.out) as { cleaned: unknown[] }).cleaned).toMatchObject([
      { storage: 'nas', outcome: 'failed', error: { code: 'DELETE_UNCONFIRMED' } },
      { storage: null, outcome: 'deleted', was: { naa: '0x1' } },
    ]);
  });

  it('Ctrl-C ends it after the deletion under way', async () => {
    let interrupt: () => void = () => undefined;
    let released = false;
    answering(() => {
      interrupt();
      return DELETED;
    });
    const { exit, out, err } = await cli(['orphans', '--clean', '--yes', '--json'], {
      onInterrupt: (stop) => {
        interrupt = stop;
        return () => void (released = true);
      },
    });
    expect((JSON.parse(out) as { cleaned: { outcome: string }[] }).cleaned.map((one) => one.outcome)).toEqual(['deleted', 'skipped']);
    expect(err).toContain('stopping after the deletion under way');
    expect(deletions()).toHaveLength(1);
    expect(exit).toBe(1);
    expect(released).toBe(true);
  });

  it('shows its progress only where there is a terminal, and takes it away again', async () => {
    answering(() => DELETED);
    const shown: (string | null)[] = [];
    await cli(['orphans', '--clean', '--yes'], { progress: (text) => void shown.push(text) });
    expect(shown).toEqual(['looking for orphans', null, '1 of 2: pve-1', null, '2 of 2: nas/z', null]);
  });

  it('ends with 0 when nothing is left', async () => {
    answer = ({ method }) =>
      method === 'orphan.delete' ? DELETED : { ...CLEAN, storages: [{ id: 'nas', complete: true, orphans: [orphan({})], notes: [] }] };
    expect((await cli(['orphans', '--clean', '--yes'])).exit).toBe(0);
    answer = () => CLEAN;
    expect(await cli(['orphans', '--clean', '--yes'])).toMatchObject({ exit: 0, out: 'nas: no orphans\n\nnothing to clean up\n' });
  });
});
