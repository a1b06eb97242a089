import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ERROR_CATALOGUE } from '../core/error-catalogue.ts';
import type { Clock } from '../core/ports.ts';
import type { CliIo } from './io.ts';
import { run } from './program.ts';

/** Time stands still until a test says that all waits are over. */
function stoppedClock(): Clock & { expire(): void } {
  const waits = new Set<() => void>();
  return {
    now: () => 0,
    monotonic: () => 0,
    sleep: () => new Promise(() => undefined),
    after: (_ms, done) => {
      waits.add(done);
      return () => waits.delete(done);
    },
    expire: () => {
      for (const done of waits) done();
    },
  };
}

const requestShape = z.object({ jsonrpc: z.literal('2.0'), id: z.number(), method: z.string(), params: z.record(z.string(), z.unknown()) });
type Request = z.infer<typeof requestShape>;

let folder: string;
let socketPath: string;
let server: Server | null = null;
const connections = new Set<Socket>();
let requests: Request[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-'));
  socketPath = join(folder, 'd.sock');
  requests = [];
});

afterEach(async () => {
  for (const connection of connections) connection.destroy();
  connections.clear();
  await new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())));
  server = null;
  await rm(folder, { recursive: true });
});

/** A daemon that follows a script: what it does with the request it got. */
async function daemon(script: (socket: Socket, request: Request) => void): Promise<void> {
  server = createServer((socket) => {
    connections.add(socket);
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (!text.endsWith('\n')) return;
      const request = requestShape.parse(JSON.parse(text));
      requests.push(request);
      script(socket, request);
    });
  });
  await new Promise<void>((resolve) => server?.listen(socketPath, resolve));
}

/** A daemon with this result, sent byte by byte where `slices` asks for it. */
const answering = (result: unknown) => daemon((socket, { id }) => void socket.end(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`));
const saying = (bytes: string) => daemon((socket) => void socket.end(bytes));

interface Outcome {
  exit: number;
  out: string;
  err: string;
}

async function cli(argv: readonly string[], more: Partial<CliIo> = {}): Promise<Outcome> {
  let out = '';
  let err = '';
  const io: CliIo = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    isTerminal: false,
    env: { PVE_TRUENAS_SOCKET: socketPath },
    clock: stoppedClock(),
    ...more,
  };
  const exit = await run(argv, io);
  return { exit, out, err };
}

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

describe('metrics', () => {
  const waits = { labels: { storage: 'nas' }, count: 3, sum: 4.6, mean: 1.5333, p50: 0.375, p95: 4.55 };
  const metrics = [
    { name: 'pve_truenas_array_up', type: 'gauge', help: '', values: [{ labels: { array: 'nas:443' }, value: 1 }] },
    { name: 'pve_truenas_dataset_used_bytes', type: 'gauge', help: '', values: [{ labels: { storage: 'nas' }, value: 3 * 1024 ** 3 }] },
    { name: 'pve_truenas_overcommit_ratio', type: 'gauge', help: '', values: [{ labels: { storage: 'nas' }, value: 1.256 }] },
    { name: 'pve_truenas_session_age_seconds', type: 'gauge', help: '', values: [{ labels: {}, value: 90.04 }] },
    { name: 'process_start_time_seconds', type: 'gauge', help: '', values: [{ labels: {}, value: 1_795_420_800.7 }] },
    {
      name: 'pve_truenas_operations_total',
      type: 'counter',
      help: '',
      values: [{ labels: { storage: '', operation: 'daemon.hello' }, value: 7 }],
    },
    {
      name: 'pve_truenas_device_wait_seconds',
      type: 'histogram',
      help: '',
      distributions: [waits, { ...waits, labels: {}, count: 0, mean: null, p50: null, p95: null }],
    },
    { name: 'pve_truenas_orphans', type: 'gauge', help: '', values: [] },
  ];

  it('shows values and distributions in their units, and nothing of what has no values', async () => {
    await answering({ metrics });
    const { exit, out } = await cli(['metrics']);
    expect(exit).toBe(0);
    for (const line of [
      /^pve_truenas_array_up +array=nas:443 +1$/m,
      /^pve_truenas_dataset_used_bytes +storage=nas +3\.00 GiB$/m,
      /^pve_truenas_overcommit_ratio +storage=nas +126 %$/m,
      /^pve_truenas_session_age_seconds +- +90 s$/m,
      /^process_start_time_seconds +- +2026-11-2\d \d\d:\d\d:\d\d [+-]\d{4}$/m,
      /^pve_truenas_operations_total +operation=daemon.hello +7$/m,
      /^pve_truenas_device_wait_seconds +storage=nas +3 +1\.53 s +0\.375 s +4\.55 s$/m,
      /^pve_truenas_device_wait_seconds +- +0 +- +- +-$/m,
    ]) {
      expect(out).toMatch(line);
    }
    expect(out).not.toContain('orphans');
  });

  it('prints the answer as JSON', async () => {
    await answering({ metrics });
    expect(JSON.parse((await cli(['metrics', '--json'])).out)).toEqual({ metrics });
  });

  it.each(['openmetrics', 'prometheus'])('prints the text for --%s as it comes, byte for byte', async (format) => {
    const text = '# HELP a b\na{b="\\\\"} 1\n# EOF\n';
    await answering({ text });
    expect(await cli(['metrics', `--${format}`])).toEqual({ exit: 0, out: text, err: '' });
    expect(requests).toMatchObject([{ method: 'overview.exposition', params: { format } }]);
  });

  it.each([
    [['--openmetrics', '--prometheus'], ''],
    [['--openmetrics', '--json'], 'exclude each other'],
    [['extra'], ''],
  ])('refuses %j, and asks nobody', async (flags, text) => {
    await answering({ text: '' });
    const { exit, out, err } = await cli(['metrics', ...flags]);
    expect(exit).toBe(3);
    expect(out + err).toContain(text);
    expect(requests).toEqual([]);
  });

  it('fails with 2 when the daemon does not run, and prints nothing that a collector could take for numbers', async () => {
    const { exit, out, err } = await cli(['metrics', '--prometheus']);
    expect(exit).toBe(2);
    expect(out).toBe('');
    expect(err).toContain('DAEMON_UNREACHABLE');
  });
});

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
    expect(requests).toMatchObject([{ method: 'overview.status', params: { protocol: 1, deadline_ms: 5000, storage_id: 'nas' } }]);
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
    const env = { PVE_TRUENAS_SOCKET: socketPath };
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
    expect(requests[0]?.params).toMatchObject({ storage_id: 'nas', vmid: 100 });
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
    await writeFile(socketPath, '');
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

describe('config check', () => {
  const GOOD = 'truenasplugin: nas\n\tapi_host nas\n\tdataset tank/x\n\ttarget_iqn t\n\tdiscovery_portal 192.0.2.1\n';
  const check = async (text: string | Buffer, ...flags: string[]) => {
    const file = join(folder, 'storage.cfg');
    await writeFile(file, text);
    return cli(['config', 'check', '--file', file, ...flags]);
  };

  it('0 when all is fine, without a daemon', async () => {
    expect(await check(`dir: local\n\tpath /x\n\n${GOOD}`)).toMatchObject({ exit: 0, out: 'nas: ok\n', err: '' });
    expect((await check('')).exit).toBe(0);
  });

  it('1 for warnings, naming what has no effect', async () => {
    const { exit, out } = await check(`${GOOD}\ttn_ipv6_by_path 1\n`, '--json');
    expect(exit).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      storages: [{ id: 'nas', ok: true, faults: [{ setting: 'tn_ipv6_by_path', severity: 'warning' }] }],
      lines: [],
    });
    expect((await check(`${GOOD}\tdataset other\n`)).exit).toBe(1);
  });

  it('2 for errors, each with its cure', async () => {
    const { exit, out } = await check(`${GOOD}\n\ntruenasplugin: bad\n\tapi_port 0\n`, '--json');
    const answer = z
      .object({ storages: z.array(z.object({ id: z.string(), ok: z.boolean(), faults: z.array(z.object({ cure: z.string().min(1) })) })) })
      .parse(JSON.parse(out));
    expect(exit).toBe(2);
    expect(answer.storages.map(({ id, ok, faults }) => [id, ok, faults.length])).toEqual([
      ['nas', true, 0],
      ['bad', false, 5],
    ]);
  });

  it('names what PVE would pass over in silence when it reads the file', async () => {
    const { exit, out } = await check(`${GOOD}\ttn_sparse no\n\tuse_multipath no\n\tfingerprint ${'ab'.repeat(32)}\n`, '--json');
    expect(exit).toBe(2);
    expect(faultsIn(out).map((fault) => [fault.setting, fault.severity])).toEqual([
      ['tn_sparse', 'error'],
      ['use_multipath', 'warning'],
      ['fingerprint', 'error'],
    ]);
  });

  const faultsIn = (out: string) =>
    z
      .object({ storages: z.array(z.object({ faults: z.array(z.record(z.string(), z.string())) })) })
      .parse(JSON.parse(out))
      .storages.flatMap((storage) => storage.faults);

  it('--online: adds what the daemon found, once, and asks it without any secret', async () => {
    const wrong = { setting: 'dataset', severity: 'error', message: 'does not exist', cure: 'TrueNAS: Datasets' };
    const twin = {
      setting: 'tn_ipv6_by_path',
      severity: 'warning',
      message: 'has no effect: it never did anything in the Perl plugins either',
      cure: 'remove it',
    };
    await answering({ asked: true, faults: [twin, wrong] });
    const { exit, out } = await check(`${GOOD}\ttn_ipv6_by_path 1\n\tapi_key 1-very-secret\n`, '--online', '--json');
    expect(exit).toBe(2);
    expect(faultsIn(out).filter((fault) => fault['setting'] !== 'api_key')).toEqual([twin, wrong]);
    expect(requests).toMatchObject([{ method: 'storage.probe', params: { storage: { id: 'nas', config: { dataset: 'tank/x' } } } }]);
    expect(JSON.stringify(requests)).not.toContain('very-secret');
  });

  it('--online: a hint is shown and is no reason for another exit code', async () => {
    await answering({
      asked: true,
      faults: [{ setting: 'api_key', severity: 'hint', message: 'is a full administrator’s', cure: 'less' }],
    });
    const { exit, out } = await check(GOOD, '--online');
    expect({ exit, out }).toEqual({ exit: 0, out: 'nas: ok\n  hint     api_key: is a full administrator’s\n           cure: less\n' });
  });

  it('--online: 2 when TrueNAS could not be asked, with the reason: no daemon, settings that come first, a refusal', async () => {
    const none = await check(GOOD, '--online', '--json');
    expect(none.exit).toBe(2);
    expect(faultsIn(none.out)).toMatchObject([
      {
        setting: 'online',
        severity: 'error',
        message: expect.stringMatching(/^TrueNAS was not asked: the daemon is not running/) as string,
      },
    ]);
    await answering({ asked: false, faults: [{ setting: 'api_key', severity: 'error', message: 'no API key', cure: 'pvesm set' }] });
    const wrong = await check(GOOD, '--online', '--json');
    expect(wrong.exit).toBe(2);
    expect(faultsIn(wrong.out).map((fault) => fault['setting'])).toEqual(['api_key', 'online']);
  });

  it('--online: asks for nothing where the file has no storage of ours', async () => {
    expect(await check('dir: local\n\tpath /x\n', '--online')).toMatchObject({ exit: 0 });
  });

  it('3 for what cannot be read', async () => {
    for (const file of [join(folder, 'none'), folder, '/dev/null', ''])
      expect((await cli(['config', 'check', '--file', file])).exit).toBe(3);
    expect((await check(Buffer.from([0, 1, 2]))).exit).toBe(3);
    expect((await check('x'.repeat(1024 * 1024 + 1))).exit).toBe(3);
  });
});

describe('preflight', () => {
  const space = [
    "Insufficient space on dataset 'tank/proxmox':",
    '  Requested: 10.00 GB (with 20% ZFS overhead: 12.00 GB)',
    '  Available: 8.50 GB',
    '  Shortfall: 3.50 GB',
  ];
  const result = (state: string): object => ({
    storage: 'nas',
    operation: 'allocate',
    ok: state !== 'critical',
    checks: [
      { name: 'connection', state: 'ok', message: 'logged in' },
      { name: 'space', state, message: space.join('\n'), cure: 'free 4.00 GB' },
    ],
  });

  it.each([
    ['ok', 0],
    ['warning', 1],
    ['critical', 2],
  ])('with a check that is %s ends with %i', async (state, exit) => {
    await answering(result(state));
    expect((await cli(['preflight', 'nas', '--size', '10G'])).exit).toBe(exit);
  });

  it('shows each check with its cure, and the lines of a message below each other as they are', async () => {
    await answering(result('critical'));
    const { out } = await cli(['preflight', 'nas', '--size', '10G']);
    const lines = out.split('\n');
    expect(lines[0]).toBe('allocate on nas: would be refused');
    expect(lines[1]).toBe('  ok        connection  logged in');
    const column = lines[2]?.indexOf('Insufficient') ?? -1;
    expect(lines.slice(2, 6).map((line) => line.slice(column))).toEqual(space);
    expect(lines[6]).toBe(`${' '.repeat(column)}cure: free 4.00 GB`);
  });

  it('prints the documented object with --json', async () => {
    await answering(result('critical'));
    const { out, exit } = await cli(['preflight', 'nas', '--size', '10G', '--json']);
    expect({ exit, json: JSON.parse(out) as unknown }).toEqual({ exit: 2, json: result('critical') });
  });

  it('asks with bytes, and without the storage in the name of a volume', async () => {
    await answering(result('ok'));
    await cli(['preflight', 'nas', '--operation', 'resize', '--volume', 'nas:vm-100-disk-0', '--size', '1.5T']);
    expect(requests[0]).toMatchObject({
      method: 'overview.preflight',
      params: { storage_id: 'nas', operation: 'resize', volume: 'vm-100-disk-0', size: 1.5 * 1024 ** 4 },
    });
  });

  it.each([
    [['preflight']],
    [['preflight', 'nas']],
    [['preflight', 'nas', '--size', '100']],
    [['preflight', 'nas', '--size', '0G']],
    [['preflight', 'nas', '--size', '-5G']],
    [['preflight', 'nas', '--size', 'a lot']],
    [['preflight', 'nas', '--size', '10G', '--operation', 'destroy']],
    [['preflight', 'nas', '--size', '10G', '--operation', 'resize']],
    [['preflight', 'nas', '--operation', 'resize', '--volume', 'vm-100-disk-0']],
    [['preflight', 'nas', '--operation', 'rollback', '--volume', 'vm-100-disk-0']],
    [['preflight', 'nas', '--operation', 'clone']],
  ])('refuses %j with 3, asking nobody', async (argv) => {
    await answering(result('ok'));
    const { exit, err } = await cli(argv);
    expect(exit).toBe(3);
    expect(err).not.toBe('');
    expect(requests).toEqual([]);
  });

  it('shows an error of several lines as it was laid out, its code behind it', async () => {
    await daemon(
      (socket, { id }) =>
        void socket.end(
          `${JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32012, message: space.join('\n'), data: { code: 'NO_SPACE', kind: 'refused', causes: [], hints: [] } } })}\n`,
        ),
    );
    const { err } = await cli(['preflight', 'nas', '--size', '10G']);
    expect(err).toBe(`Error: ${space.join('\n')}\n  [NO_SPACE]\n`);
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
    expect(requests).toEqual([]);
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
    expect((await cli(['status', '--socket', socketPath], { env: { PVE_TRUENAS_SOCKET: '/none' } })).exit).toBe(0);
  });
});
