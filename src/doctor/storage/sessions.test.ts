import { describe, expect, it } from 'vitest';
import { deadlineAfter } from '../../core/deadline.ts';
import { ManualClock } from '../../core/testing/manual-clock.ts';
import type { MemoryFiles } from '../../host/testing/memory-files.ts';
import type { Finding } from '../finding.ts';
import { recordedNode } from '../testing/recorded.ts';
import { checkPaths, checkSessions, judgePaths } from './sessions.ts';

const FIRST = { host: '127.0.0.1', port: 3260 };
const SECOND = { host: 'nas-b', port: 3260 };
const NAS = { id: 'nas', initiator: 'kernel', target: 'lab', portals: [FIRST, SECOND], multipath: true } as const;
const ALONE = { ...NAS, portals: [FIRST], multipath: false } as const;

type Config = Parameters<typeof checkPaths>[1];

function sessions(sys: MemoryFiles, config: Config, failFast = false): Promise<readonly Finding[]> {
  const resolve = (host: string): Promise<readonly string[]> =>
    host === 'nas-b'
      ? Promise.resolve(['10.77.1.10'])
      : host === 'gone'
        ? Promise.reject(new Error('no such name'))
        : Promise.resolve([host]);
  const unasked = (): Promise<never> => Promise.reject(new Error('nobody asks the network here'));
  return checkSessions(
    { sys, network: { resolve, tls: unasked, httpDate: unasked } },
    config,
    failFast,
    deadlineAfter(new ManualClock(), 5_000, 'test'),
  );
}
const states = (findings: readonly Finding[]): readonly string[] => findings.map(({ name, state }) => `${name}: ${state}`);

describe('sessions, as a kernel shows them', () => {
  it('none: none is needed yet', async () => {
    const [only, ...more] = await sessions(recordedNode('doctor-nothing'), NAS);
    expect(only).toMatchObject({ state: 'ok', seen: expect.stringContaining('none is needed') as string });
    expect(more).toEqual([]);
  });

  it('one to each of two portals, one of them by its name, with short timeouts', async () => {
    const found = await sessions(recordedNode('doctor-two-paths'), NAS);
    expect(states(found)).toEqual(['sessions: ok', 'session timeouts: ok']);
    expect(found[0]?.seen).toBe('2 of 2 portals have a session that is logged in');
    expect(found[1]?.seen).toBe('replacement_timeout 15 s, noop_out_interval 2 s, noop_out_timeout 2 s');
  });

  it('one to one portal: fine without multipath, too few with it', async () => {
    const node = recordedNode('doctor-one-path');
    expect(states(await sessions(node, { ...NAS, multipath: false }))[0]).toBe('sessions: ok');
    const [found] = await sessions(node, NAS);
    expect(found).toMatchObject({ state: 'warning', seen: expect.stringContaining('none: nas-b:3260') as string });
    expect(found?.cure).toContain('iscsiadm -m session');
  });

  it('one of two lost: told with its portal and the state of the kernel', async () => {
    const [found] = await sessions(recordedNode('doctor-one-path-lost'), NAS);
    expect(found).toMatchObject({ state: 'warning', seen: expect.stringContaining('lost: nas-b:3260 (FREE)') as string });
  });

  it('the only one lost is an error, also when the other portal has no name any more', async () => {
    const node = recordedNode('doctor-one-path-lost');
    expect(states(await sessions(node, { ...NAS, portals: [SECOND] }))).toEqual(['sessions: error']);
    const [found] = await sessions(node, { ...NAS, portals: [SECOND, { host: 'gone', port: 3260 }] });
    expect(found).toMatchObject({ state: 'error', seen: expect.stringContaining('none: gone:3260') as string });
  });

  it('15 s until an error are too short for guests without a second path', async () => {
    const found = await sessions(recordedNode('doctor-one-path'), ALONE);
    expect(states(found)).toEqual(['sessions: ok', 'session timeouts: warning']);
  });

  it('F-114: 120 s are too long with a second path, unless multipathd cuts them short', async () => {
    const node = recordedNode('doctor-two-paths');
    for (const id of [1, 2]) await node.write(`/sys/class/iscsi_session/session${id}/recovery_tmo`, '120');
    expect(states(await sessions(node, NAS))).toContain('session timeouts: warning');
    expect(states(await sessions(node, NAS, true))).toContain('session timeouts: ok');
  });

  it('timeouts that the kernel does not tell are skipped, never fine', async () => {
    const node = recordedNode('doctor-one-path');
    await node.write('/sys/class/iscsi_connection/connection1:0/ping_tmo', '');
    expect(states(await sessions(node, ALONE))).toEqual(['sessions: ok', 'session timeouts: skipped']);
  });

  it('F-101, F-102: those of another target or another array with the same target are not counted', async () => {
    const node = recordedNode('doctor-one-path');
    for (const other of [
      { ...ALONE, target: 'ab' },
      { ...ALONE, target: 'la' },
      { ...ALONE, portals: [{ host: '127.0.0.9', port: 3260 }] },
      { ...ALONE, portals: [{ host: '127.0.0.1', port: 3261 }] },
    ])
      expect((await sessions(node, other))[0]?.seen, JSON.stringify(other)).toContain('none is needed');
  });

  it('are not looked for where QEMU has its own', async () => {
    expect(states(await sessions(recordedNode('doctor-two-paths'), { ...NAS, initiator: 'qemu' }))).toEqual(['sessions: skipped']);
  });
});

describe('paths of attached volumes, as a kernel shows them', () => {
  const paths = (situation: string, config: Config): Promise<Finding> => checkPaths({ sys: recordedNode(situation) }, config);

  it('no volume', async () => {
    expect(await paths('doctor-nothing', NAS)).toMatchObject({ state: 'ok', seen: 'no volume is attached on this node' });
  });
  it('a map of two', async () => {
    expect(await paths('doctor-two-paths', NAS)).toMatchObject({
      state: 'ok',
      seen: '1 attached volumes with 2 paths, all running; ALUA: active/optimized',
    });
  });
  it('a disk alone: fine without multipath, too few paths with it', async () => {
    expect(await paths('doctor-one-path', ALONE)).toMatchObject({ state: 'ok', seen: expect.stringContaining('1 paths') as string });
    expect(await paths('doctor-one-path', NAS)).toMatchObject({
      state: 'warning',
      seen: 'fewer paths than portals (2): vm-100-disk-0 (1, no multipath map)',
    });
  });
  it('one of two lost: a warning that names it', async () => {
    expect(await paths('doctor-one-path-lost', NAS)).toMatchObject({
      state: 'warning',
      seen: 'paths do not work: vm-100-disk-0 (sdb transport-offline)',
    });
  });
  it('a link without a device', async () => {
    const found = await paths('doctor-device-gone', NAS);
    expect(found).toMatchObject({ state: 'error', seen: expect.stringMatching(/1 of 1 .*no device any more: vm-100-disk-0$/) as string });
    expect(found.cure).not.toBe('');
  });
  it("another storage's volumes are not looked at, and none where QEMU opens them itself", async () => {
    expect((await paths('doctor-one-path-lost', { ...NAS, id: 'na' })).seen).toBe('no volume is attached on this node');
    expect((await paths('doctor-one-path-lost', { ...NAS, initiator: 'qemu' })).state).toBe('skipped');
  });
});

describe('judgePaths', () => {
  const volume = (
    name: string,
    bad: readonly string[] = [],
    paths: readonly string[] = ['sda', 'sdb'],
  ): Parameters<typeof judgePaths>[1][number] => ({
    volume: name,
    paths,
    isMap: paths.length > 1,
    bad,
    access: ['active/optimized', 'standby'],
  });
  it('the worst is told: no device, then no path, then a lost one', () => {
    const weak = volume('weak', ['sda offline']);
    const dead = volume('dead', ['sda offline', 'sdb offline']);
    const gone = volume('gone', [], []);
    expect(judgePaths('paths', [weak, dead, gone], NAS)).toMatchObject({ state: 'error', seen: expect.stringContaining('gone') as string });
    expect(judgePaths('paths', [weak, dead], NAS)).toMatchObject({
      state: 'error',
      seen: expect.stringContaining('no path works: dead') as string,
    });
    expect(judgePaths('paths', [weak, volume('well')], NAS)).toMatchObject({ state: 'warning' });
    expect(judgePaths('paths', [volume('well')], NAS).seen).toContain('ALUA: active/optimized, standby');
  });
  it('of many only some are named', () => {
    const many = Array.from({ length: 40 }, (_, at) => volume(`vm-${at}-disk-0`, ['sda offline']));
    expect(judgePaths('paths', many, NAS).seen).toMatch(/vm-4-disk-0 \(sda offline\), and 35 more$/);
  });
});
