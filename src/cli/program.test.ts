import { writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { ERROR_CATALOGUE } from '../core/error-catalogue.ts';
import { type Outcome, ScriptedDaemon, stoppedClock } from './testing/scripted-daemon.ts';

const bench = new ScriptedDaemon();
const { daemon, answering, saying, cli } = bench;
beforeEach(() => bench.begin());
afterEach(() => bench.end());

const row = {
  id: 'nas',
  state: 'healthy',
  since: 1_795_420_800,
  reasons: [],
  api: 'wss://nas:443',
  version: 'TrueNAS-25.10.0',
  dataset: 'tank/pve',
  total: 10 * 1024 ** 3,
  available: 8 * 1024 ** 3,
  used: 2 * 1024 ** 3,
  volumes: 3,
};
const volume = {
  storage: 'nas',
  volid: 'nas:vm-100-disk-0',
  vmid: 100,
  size: 1024 ** 3,
  used: 57_344,
  lun: 1,
  naa: '0x6589cfc',
  ctime: 1_795_420_800,
};
const checkRow = { name: 'connection', state: 'critical', message: 'not reachable', cure: 'ping nas' };
const report = {
  state: 'critical',
  daemon: { version: '1.2.3', open_operations: 1 },
  storages: [{ id: 'nas', state: 'critical', checks: [checkRow] }],
};
describe('status', () => {
  it('shows aligned columns with units and zones, without blanks at line ends, and ends with 0', async () => {
    await answering({ storages: [row, { ...row, id: 'second-nas', used: 512 }] });
    const { exit, out, err } = await cli(['status']);
    const [head = '', first = '', second = ''] = out.split('\n');
    expect({ exit, err }).toEqual({ exit: 0, err: '' });
    expect(head.indexOf('STATE')).toBe(first.indexOf('healthy'));
    expect(first).toMatch(/10\.00 GiB {2,}2\.00 GiB {2,}8\.00 GiB/);
    expect(first).toMatch(/2026-11-2\d \d\d:\d\d:\d\d [+-]\d{4}/);
    expect(second).toContain('512 B');
    expect(out).not.toMatch(/ \n/);
  });

  it.each([
    [['healthy', 'degraded'], 1],
    [['degraded', 'down'], 2],
    [['healthy', 'unused'], 0],
    [[], 0],
  ])('with %j ends with %i', async (states, exit) => {
    await answering({ storages: states.map((state) => ({ ...row, state, reason: 'why' })) });
    expect((await cli(['status'])).exit).toBe(exit);
  });

  it('says why, a line for each reason, and knows no number of volumes of a storage that is down', async () => {
    const reasons = ['pool is DEGRADED', 'portal 10.0.0.2:3260 does not answer'].map((message) => ({ code: 'x', message }));
    await answering({
      storages: [
        { ...row, id: 'nas', state: 'degraded', reasons, reason: 'pool is DEGRADED; portal 10.0.0.2:3260 does not answer' },
        { ...row, id: 'gone', state: 'down', reasons: [], reason: 'no API key', volumes: null, total: 0 },
      ],
    });
    const lines = (await cli(['status'])).out.split('\n');
    expect(lines.slice(3)).toEqual(['nas: pool is DEGRADED', 'nas: portal 10.0.0.2:3260 does not answer', 'gone: no API key', '']);
    expect(lines[2]).toMatch(/ -$/);
  });

  it('asks for one storage, with protocol and deadline', async () => {
    await answering({ storages: [row] });
    await cli(['status', 'nas', '--timeout', '5']);
    expect(bench.requests).toMatchObject([{ method: 'overview.status', params: { protocol: 1, deadline_ms: 5000, storage_id: 'nas' } }]);
  });

  it('prints one JSON object with --json, before or after the command', async () => {
    await answering({ storages: [row] });
    for (const argv of [
      ['status', '--json'],
      ['--json', 'status'],
    ]) {
      const { out, err } = await cli(argv, { isTerminal: true });
      expect(JSON.parse(out)).toEqual({ storages: [row] });
      expect(err).toBe('');
    }
  });

  it('uses colours on a terminal only, and never against NO_COLOR or --no-color', async () => {
    await answering({ storages: [row] });
    const coloured = (outcome: Outcome) => outcome.out.includes('\u001b[');
    const env = { PVE_TRUENAS_SOCKET: bench.socketPath };
    expect(coloured(await cli(['status'], { isTerminal: true }))).toBe(true);
    expect(coloured(await cli(['status']))).toBe(false);
    expect(coloured(await cli(['status', '--no-color'], { isTerminal: true }))).toBe(false);
    expect(coloured(await cli(['status'], { isTerminal: true, env: { ...env, NO_COLOR: '1' } }))).toBe(false);
    expect(coloured(await cli(['status'], { isTerminal: true, env: { ...env, TERM: 'dumb' } }))).toBe(false);
  });

  it('lets nothing through that moves the cursor', async () => {
    await answering({ storages: [{ ...row, dataset: 'tank\u001b[2Jx', reason: 'a\nb' }] });
    expect((await cli(['status'])).out).not.toMatch(/\u001b|a\nb/);
  });
});

describe('list', () => {
  it('shows the volumes of a guest and asks for no others', async () => {
    await answering({ volumes: [volume, { ...volume, lun: null, naa: null }] });
    const { exit, out } = await cli(['list', 'nas', '--vmid', '100']);
    expect(exit).toBe(0);
    expect(out).toContain('nas:vm-100-disk-0');
    expect(out).toContain('56.00 KiB');
    expect(bench.requests[0]?.params).toMatchObject({ storage_id: 'nas', vmid: 100 });
  });

  it('says that there are none', async () => {
    await answering({ volumes: [] });
    expect(await cli(['list'])).toEqual({ exit: 0, out: 'no volumes\n', err: '' });
  });

  it('lists what can be listed, and tells which storage is missing and why; exit 2', async () => {
    const failed = [{ storage: 'far', code: 'ARRAY_UNREACHABLE', message: 'nothing listens', causes: ['it is off'], hints: ['ping far'] }];
    await answering({ volumes: [volume], failed });
    const { exit, out, err } = await cli(['list']);
    expect(exit).toBe(2);
    expect(out).toContain('nas:vm-100-disk-0');
    expect(err).toMatch(/Error: far: nothing listens \[ARRAY_UNREACHABLE\][^]*it is off[^]*ping far/);
    const asJson = await cli(['list', '--json']);
    expect([asJson.exit, asJson.err, JSON.parse(asJson.out)]).toEqual([2, '', { volumes: [volume], failed }]);
  });
});

describe('health', () => {
  it('shows each check with its cure; the worst one is the exit code', async () => {
    await answering(report);
    const { exit, out } = await cli(['health']);
    expect(exit).toBe(2);
    expect(out).toContain('not reachable');
    expect(out).toContain('cure: ping nas');
    expect(out).toContain('1 unfinished operation ');
    await Promise.resolve();
  });

  it('ends with 1 for a warning and 0 when all is fine', async () => {
    let state = 'warning';
    await daemon((socket, { id }) => void socket.end(`${JSON.stringify({ jsonrpc: '2.0', id, result: { ...report, state } })}\n`));
    expect((await cli(['health'])).exit).toBe(1);
    state = 'ok';
    expect((await cli(['health'])).exit).toBe(0);
  });
});

describe('a daemon that does not behave', () => {
  it('is not running: names the command that starts it, exit 2', async () => {
    const { exit, out, err } = await cli(['status']);
    expect({ exit, out }).toEqual({ exit: 2, out: '' });
    expect(err).toContain('not running');
    expect(err).toContain('systemctl start pve-truenasd');
    const asJson = await cli(['status', '--json']);
    expect(JSON.parse(asJson.out)).toMatchObject({ error: { code: 'DAEMON_UNREACHABLE', kind: 'unavailable' } });
    expect(asJson.exit).toBe(2);
  });

  it('left its socket behind: the same', async () => {
    await writeFile(bench.socketPath, '');
    expect(await cli(['health'])).toMatchObject({ exit: 2, out: '' });
  });

  it.each([
    ['garbage', 'HTTP/1.1 400 Bad Request\n'],
    ['half a line', '{"jsonrpc":"2.0","id":1,"res'],
    ['nothing at all', ''],
    ['an answer to another call', '{"jsonrpc":"2.0","id":7,"result":{"storages":[]}}\n'],
    ['a result of the wrong shape', '{"jsonrpc":"2.0","id":1,"result":{"storages":[{"id":"x"}]}}\n'],
    ['no result and no error', '{"jsonrpc":"2.0","id":1}\n'],
    ['null', 'null\n'],
    ['binary', '\u0000\u00ff\n'],
  ])('sends %s: exit 2 and a plain message', async (_, bytes) => {
    await saying(bytes);
    const { exit, out, err } = await cli(['status']);
    expect({ exit, out }).toEqual({ exit: 2, out: '' });
    expect(err).toContain('[DAEMON_UNREACHABLE]');
  });

  it('hangs: gives up at the deadline (F-041)', async () => {
    const clock = stoppedClock();
    await daemon((socket) => {
      socket.write('{"jsonrpc"');
      clock.expire();
    });
    const { exit, err } = await cli(['status'], { clock });
    expect(exit).toBe(2);
    expect(err).toContain('did not answer in time');
  });

  it('answers in pieces: puts them together', async () => {
    const line = Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', id: 1, result: { storages: [{ ...row, reason: 'Größe' }] } })}\n`);
    await daemon((socket) => {
      const send = (from: number): void => {
        if (from < line.length) socket.write(line.subarray(from, from + 7), () => send(from + 7));
      };
      send(0);
    });
    expect((await cli(['status'])).out).toContain('Größe');
  });

  it.each([
    ['not-found', 3],
    ['invalid', 3],
    ['unavailable', 2],
    ['refused', 2],
    ['bug', 2],
  ])('refuses with kind %s: shows code, causes, hints and state, exit %i', async (kind, exit) => {
    const data = { code: 'SOME_CODE', kind, causes: ['cause\u001b[1m'], hints: ['hint'], state: 'left as it was' };
    await daemon(
      (socket, { id }) =>
        void socket.end(`${JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32000, message: 'it failed', data } })}\n`),
    );
    const outcome = await cli(['status']);
    expect(outcome.exit).toBe(exit);
    for (const text of ['it failed', 'SOME_CODE', 'cause?[1m', 'hint', 'left as it was']) expect(outcome.err).toContain(text);
    expect(JSON.parse((await cli(['status', '--json'])).out)).toEqual({ error: { ...data, message: 'it failed' } });
  });
});

describe('explain and completion', () => {
  it('explains a code in any case', async () => {
    const { exit, out } = await cli(['explain', 'tls-untrusted']);
    expect(exit).toBe(0);
    expect(out).toContain('TLS_UNTRUSTED (unavailable)');
    expect(JSON.parse((await cli(['explain', 'NO_SPACE', '--json'])).out)).toMatchObject({ code: 'NO_SPACE', kind: 'refused' });
  });

  it('refuses a code that is none, and helps', async () => {
    for (const word of ['tls', 'constructor', 'x'.repeat(5000), '']) expect((await cli(['explain', word])).exit).toBe(3);
    expect((await cli(['explain', 'tls'])).err).toContain('pve-truenas explain TLS_UNTRUSTED');
  });

  it('lists all codes without one', async () => {
    const { exit, out } = await cli(['explain']);
    expect(exit).toBe(0);
    for (const code of Object.keys(ERROR_CATALOGUE)) expect(out).toContain(`${code} `);
    const { codes } = z
      .object({ codes: z.array(z.object({ code: z.string(), leaves: z.string() })) })
      .parse(JSON.parse((await cli(['explain', '--json'])).out));
    expect(codes.map(({ code }) => code)).toEqual(Object.keys(ERROR_CATALOGUE));
  });

  it.each([
    ['NO_SPCAE', 'NO_SPACE'],
    ['nospace', 'NO_SPACE'],
    ['tls untrused', 'TLS_UNTRUSTED'],
    ['DEVICE_MISING', 'DEVICE_MISSING'],
    ['identity', 'DEVICE_IDENTITY'],
    ['DAEMON_TIMOUT', 'DAEMON_TIMEOUT'],
  ])('suggests what %s was meant to be', async (word, code) => {
    const { exit, err } = await cli(['explain', word]);
    expect(exit).toBe(3);
    expect(err).toContain(`did you mean ${code}`);
    expect(err).toContain(`pve-truenas explain ${code}\n`);
  });

  it('suggests nothing for what resembles nothing', async () => {
    for (const word of ['QQQQQQQQQQ', 'x', 'Z'.repeat(4000)]) expect((await cli(['explain', word])).err).not.toContain('did you mean');
  });

  it.each(['bash', 'zsh'])('prints a script for %s that knows every command', async (shell) => {
    const { exit, out } = await cli(['completion', shell]);
    expect(exit).toBe(0);
    for (const word of ['status', 'list', 'health', 'config check', 'explain', '--vmid', '--json']) expect(out).toContain(word);
  });
});

describe('the command line itself', () => {
  it.each([
    [[]],
    [['nonsense']],
    [['config']],
    [['status', 'a', 'b']],
    [['status', '../x']],
    [['status', 'a b']],
    [['status', '--nonsense']],
    [['list', '--vmid', '0']],
    [['list', '--vmid', '-1']],
    [['list', '--vmid', '1e9']],
    [['list', '--vmid', '0x10']],
    [['list', '--vmid', '9'.repeat(400)]],
    [['list', '--vmid', '']],
    [['status', '--timeout', '0']],
    [['status', '--timeout', '601']],
    [['status', '--socket', '']],
    [['status', '--socket', '/x'.repeat(100)]],
    [['status', '--socket', '/x\0y']],
    [['completion', 'fish']],
    [['explain', 'A', 'B']],
  ])('refuses %j with 3 and a message, asking nobody', async (argv) => {
    await answering({ storages: [] });
    const { exit, out, err } = await cli(argv);
    expect({ exit, out }).toEqual({ exit: 3, out: '' });
    expect(err).not.toBe('');
    expect(bench.requests).toEqual([]);
  });

  it.each([[['--help']], [['-h']], [['status', '--help']], [['config', 'check', '--help']], [['--version']]])(
    'prints %j and ends with 0',
    async (argv) => {
      const { exit, out, err } = await cli(argv);
      expect({ exit, err }).toEqual({ exit: 0, err: '' });
      expect(out).not.toBe('');
    },
  );

  it('prefers --socket to the environment', async () => {
    await answering({ storages: [] });
    expect((await cli(['status', '--socket', bench.socketPath], { env: { PVE_TRUENAS_SOCKET: '/none' } })).exit).toBe(0);
  });
});
