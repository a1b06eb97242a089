import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ScriptedDaemon } from '../testing/scripted-daemon.ts';

const bench = new ScriptedDaemon();
const { daemon, answering, cli } = bench;
beforeEach(() => bench.begin());
afterEach(() => bench.end());

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
    expect(bench.requests[0]).toMatchObject({
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
    expect(bench.requests).toEqual([]);
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
