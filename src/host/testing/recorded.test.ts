import { beforeEach, describe, expect, it } from 'vitest';
import { deadlineAfter } from '../../core/deadline.ts';
import type { CommandResult } from '../commands.ts';
import { holdersOf } from '../kernel/holders.ts';
import { ensureNodeRecord } from '../kernel/node-records.ts';
import { blockSize, freshNaa, scsiPathAt } from '../kernel/scsi-devices.ts';
import { readSessions } from '../kernel/sessions.ts';
import { FakeNode } from './fake-node.ts';
import type { FakeTarget } from './fake-node-state.ts';
import { MemoryFiles } from './memory-files.ts';
import { LINUX, recorded } from './recordings.ts';

// As in test/lab/record/node-outputs.
const IQN = 'iqn.2005-10.org.freenas.ctl:lab';
const PORTAL = '127.0.0.1:3260';
const NAA = '6589cfc000000a1b2c3d4e5f60123400';
const OTHER = '6589cfc000000bbbbbbbbbbbbbbbbbbb';
const GIB = 1024 ** 3;
const RECORD = `/var/lib/iscsi/nodes/${IQN}/127.0.0.1,3260`;
const [ISCSIADM, MULTIPATH, UDEV, UTIL] = ['iscsiadm-2.1.11', 'multipath-tools-0.11.1', 'udev-257', 'util-linux-2.41.5'] as const;

let node: FakeNode;
let target: FakeTarget;
beforeEach(() => {
  node = new FakeNode();
  target = node.addTarget(IQN, PORTAL);
  target.luns.set(1, { naa: `0x${NAA}`, size: GIB });
});

const run = (...argv: readonly string[]): Promise<CommandResult> =>
  node.commands.run(argv, { deadline: deadlineAfter(node.clock, 300_000, 'test'), okExitCodes: 'any' });
const onRecord = (iqn: string, ...rest: readonly string[]): Promise<CommandResult> =>
  run(
    'iscsiadm',
    '-m',
    'node',
    ...(rest[0] === 'new' ? ['-o', 'new'] : []),
    '-T',
    iqn,
    '-p',
    rest[1] ?? PORTAL,
    ...(rest[0] === 'login' ? ['--login'] : []),
  );

describe('the fake node says what iscsiadm says', () => {
  it.each(['node-new', 'node-new-again'])('%s', async (situation) => {
    if (situation === 'node-new-again') await onRecord(IQN, 'new');
    expect(await onRecord(IQN, 'new')).toEqual(recorded(`${ISCSIADM}/${situation}`));
  });

  it('node-new-v6', async () => {
    expect(await onRecord(IQN, 'new', '[::1]:3260')).toEqual(recorded(`${ISCSIADM}/node-new-v6`));
  });

  it('node-new-over-empty-record', async () => {
    node.files.put(RECORD, '');
    expect(await onRecord(IQN, 'new')).toEqual(recorded(`${ISCSIADM}/node-new-over-empty-record`));
  });

  it('node-files and node-record: where the record is, for whom, and in each of its lines', async () => {
    await onRecord(IQN, 'new');
    const [, path] = new RegExp(`^f 600 (/.*/${IQN}/.*)$`, 'm').exec(recorded(`${ISCSIADM}/node-files`).stdout) ?? [];
    expect([path, node.files.mode(RECORD)]).toEqual([RECORD, 0o600]);
    const real = recorded(`${ISCSIADM}/node-record`).stdout.split('\n');
    const made = ((await node.files.read(RECORD)) ?? '').split('\n');
    expect(made.filter((line) => !real.includes(line))).toEqual([]);
    expect(made[0]).toBe(real[0]);
  });

  it('the record of the real one gets our settings and keeps all others', async () => {
    const real = recorded(`${ISCSIADM}/node-record`).stdout;
    node.files.put(RECORD, real, 0o600);
    const chap = { user: 'pve', password: 'secret-one-12' };
    await ensureNodeRecord(node.context, IQN, { host: '127.0.0.1', port: 3260 }, chap, deadlineAfter(node.clock, 1000, 'test'));
    const after = ((await node.files.read(RECORD)) ?? '').split('\n');
    expect(after.filter((line) => !real.includes(line)).sort()).toEqual([
      'node.session.auth.authmethod = CHAP',
      'node.session.auth.password = secret-one-12',
      'node.session.auth.username = pve',
      'node.session.scan = manual',
    ]);
    expect(
      real
        .trimEnd()
        .split('\n')
        .filter((line) => !after.includes(line)),
    ).toEqual(['node.session.auth.authmethod = None', 'node.session.scan = auto']);
  });

  it.each([
    ['login', {}],
    ['login-chap', { iqn: 'iqn.2005-10.org.freenas.ctl:chap' }],
    ['login-chap-mutual', { iqn: 'iqn.2005-10.org.freenas.ctl:mutual' }],
    ['login-acl-refused', { iqn: 'iqn.2005-10.org.freenas.ctl:closed', refusal: 24 }],
    ['login-chap-missing', { iqn: 'iqn.2005-10.org.freenas.ctl:chap', refusal: 24 }],
    ['login-chap-wrong', { iqn: 'iqn.2005-10.org.freenas.ctl:chap', refusal: 24 }],
    ['login-chap-mutual-wrong', { iqn: 'iqn.2005-10.org.freenas.ctl:mutual', refusal: 19 }],
    ['login-without-iscsid', { refusal: 20 }],
    ['login-nobody-listens', { refusal: 8 }],
  ] as const)('%s (RP-16)', async (situation, { iqn = IQN, refusal = null }: { iqn?: string; refusal?: number | null }) => {
    const served = iqn === IQN ? target : node.addTarget(iqn, PORTAL);
    if (refusal !== null) served.refusals.set(PORTAL, refusal);
    await onRecord(iqn, 'new');
    expect(await onRecord(iqn, 'login')).toEqual(recorded(`${ISCSIADM}/${situation}`));
  });

  it('login-twice, login-no-record, login-empty-record (RP-16)', async () => {
    expect(await onRecord(IQN, 'login', '127.0.0.9:3260')).toEqual(recorded(`${ISCSIADM}/login-no-record`));
    await onRecord(IQN, 'new');
    await onRecord(IQN, 'login');
    expect(await onRecord(IQN, 'login')).toEqual(recorded(`${ISCSIADM}/login-twice`));
    node.files.put(RECORD, '');
    expect(await onRecord(IQN, 'login')).toEqual(recorded(`${ISCSIADM}/login-empty-record`));
  });
});

describe('the fake node shows what the kernel and udev show', () => {
  const ADDRESS = '3:0:0:1';
  const DEVICE = `/sys/class/scsi_device/${ADDRESS}/device`;
  const later = (): Promise<void> => node.clock.sleep(5000, new AbortController().signal);

  async function scanned(lun = 1): Promise<void> {
    node.login(target, PORTAL);
    await node.files.write('/sys/class/scsi_host/host3/scan', `0 0 ${lun}`);
    await later();
  }

  /** Lines `name: value`. */
  const values = (situation: string): Readonly<Record<string, string>> =>
    Object.fromEntries(
      [...recorded(`${LINUX}/${situation}`).stdout.matchAll(/^(\w+): (.*)$/gm)].map(([, name = '', value = '']) => [name, value.trim()]),
    );
  const attributes = async (device = DEVICE): Promise<Readonly<Record<string, string | null>>> => ({
    wwid: await node.files.read(`${device}/wwid`),
    vendor: (await node.files.read(`${device}/vendor`))?.trim() ?? null,
    model: (await node.files.read(`${device}/model`))?.trim() ?? null,
    state: await node.files.read(`${device}/state`),
    size: await node.files.read('/sys/class/block/sda/size'),
  });

  it('session-attributes; no-device-after-login-with-scan-manual; scan-of-an-unmapped-lun', async () => {
    node.login(target, PORTAL);
    const { targetname, state, address, port } = values('session-attributes');
    expect(await readSessions(node.files)).toMatchObject([{ iqn: targetname, state, portals: [`${address}:${port}`] }]);
    await later();
    expect([...node.devices.keys()].join('\n')).toBe(recorded(`${LINUX}/no-device-after-login-with-scan-manual`).stdout);
    await node.files.write('/sys/class/scsi_host/host3/scan', '0 0 2');
    await later();
    expect([...node.devices.keys()].join('\n')).toBe(recorded(`${LINUX}/scan-of-an-unmapped-lun`).stdout);
  });

  it('device-attributes, device-links, scsi-id (RP-10)', async () => {
    await scanned();
    expect(values('device-attributes')).toMatchObject(await attributes());
    for (const line of recorded(`${UDEV}/device-links`).stdout.trim().split('\n')) {
      const [, link = '', text] = /^(\S+) -> (.*)$/.exec(line) ?? [];
      // names by path are of no use to us: they stay when the LUN is another one (RP-13)
      if (!link.startsWith('/dev/disk/by-path/')) expect([link, await node.files.readLink(link)]).toEqual([link, text]);
    }
    expect(await run('/lib/udev/scsi_id', '--page=0x83', '--whitelisted', '--device=/dev/sda')).toEqual(recorded(`${UDEV}/scsi-id`));
  });

  it('size-before-rescan, size-after-rescan (RP-11)', async () => {
    await scanned();
    target.luns.set(1, { naa: `0x${NAA}`, size: 3 * GIB });
    expect(await blockSize(node.files, 'sda')).toBe(Number(recorded(`${LINUX}/size-before-rescan`).stdout) * 512);
    await node.files.write(`${DEVICE}/rescan`, '1');
    expect(await blockSize(node.files, 'sda')).toBe(Number(recorded(`${LINUX}/size-after-rescan`).stdout) * 512);
  });

  it('device-attributes-unmapped, scsi-id-unmapped, flush-unmapped: the device stays and does not answer (RP-12)', async () => {
    target.luns.set(1, { naa: `0x${NAA}`, size: 3 * GIB });
    await scanned();
    target.luns.clear();
    expect(values('device-attributes-unmapped')).toMatchObject(await attributes());
    expect(await run('/lib/udev/scsi_id', '--device=/dev/sda')).toEqual(recorded(`${UDEV}/scsi-id-unmapped`));
    expect(await run('blockdev', '--flushbufs', '/dev/sda')).toEqual(recorded(`${UTIL}/flush-unmapped`));
  });

  it('device-attributes-other-volume, device-links-other-volume, scsi-id-other-volume: only an INQUIRY tells (RP-13)', async () => {
    target.luns.set(1, { naa: `0x${NAA}`, size: 3 * GIB });
    await scanned();
    target.luns.set(1, { naa: `0x${OTHER}`, size: 2 * GIB });
    expect(values('device-attributes-other-volume')).toMatchObject(await attributes());
    expect(recorded(`${UDEV}/device-links-other-volume`).stdout).toContain(`/dev/disk/by-id/wwn-0x${NAA} -> ../../sda`);
    expect(await node.files.readLink(`/dev/disk/by-id/wwn-0x${NAA}`)).toBe('../../sda');
    expect(await run('/lib/udev/scsi_id', '--device=/dev/sda')).toEqual(recorded(`${UDEV}/scsi-id-other-volume`));
    expect(await freshNaa(node.context, 'sda', deadlineAfter(node.clock, 1000, 'test'))).toBe(OTHER);
  });

  it('device-attributes-lun-0-unmapped, scsi-id-lun-0-unmapped: a disk of 32 KiB without NAA (RP-14)', async () => {
    target.luns.set(0, { naa: `0x${NAA}`, size: 3 * GIB });
    await scanned(0);
    const device = '/sys/class/scsi_device/3:0:0:0/device';
    target.luns.clear();
    await node.files.write(`${device}/rescan`, '1');
    expect(values('device-attributes-lun-0-unmapped')).toMatchObject(await attributes(device));
    expect(await run('/lib/udev/scsi_id', '--device=/dev/sda')).toEqual(recorded(`${UDEV}/scsi-id-lun-0-unmapped`));
    expect(await freshNaa(node.context, 'sda', deadlineAfter(node.clock, 1000, 'test'))).toBeNull();
  });

  it('after-delete, scsi-id-no-device', async () => {
    await scanned();
    await node.files.write(`${DEVICE}/delete`, '1');
    // exit codes of `test -e`
    expect(recorded(`${LINUX}/after-delete`).stdout).toBe('block 1\nnode 1\nscsi_device 1\n');
    expect([await blockSize(node.files, 'sda'), await node.files.kind('/dev/sda'), await scsiPathAt(node.files, ADDRESS)]).toEqual([
      null,
      null,
      null,
    ]);
    expect(await run('/lib/udev/scsi_id', '--device=/dev/sda')).toEqual(recorded(`${UDEV}/scsi-id-no-device`));
  });
});

describe('holders are known by what the kernel shows of them', () => {
  const { stdout: mountinfo } = recorded(`${LINUX}/mounted-mountinfo`);
  const [dm = '', dmName = ''] = recorded(`${LINUX}/dm-holder`).stdout.split('\n');
  it.each<[string, (files: MemoryFiles) => void, string]>([
    ['mounted-mountinfo', (files) => files.put('/proc/1/mountinfo', mountinfo), 'mount /mnt/x'],
    ['swaps', (files) => files.put('/proc/swaps', recorded(`${LINUX}/swaps`).stdout), 'swap /dev/sda'],
    [
      'loop-attributes',
      (files) => files.put('/sys/class/block/loop0/loop/backing_file', recorded(`${LINUX}/loop-attributes`).stdout),
      'loop0',
    ],
    [
      'dm-holder',
      (files) => {
        files.put(`/sys/class/block/sda/holders/${dm}`, '');
        files.put(`/sys/class/block/${dm}/dm/name`, dmName);
      },
      'dm-0 (labdm)',
    ],
  ])('%s', async (_situation, hold, holder) => {
    const files = new MemoryFiles();
    files.put('/sys/class/block/sda/dev', '8:0\n');
    hold(files);
    expect(await holdersOf(files, ['sda'])).toEqual([holder]);
  });

  it('flush-mounted, flush: no refusal by blockdev tells of a user', async () => {
    for (const situation of ['flush', 'flush-mounted'])
      expect(await run('blockdev', '--flushbufs', '/dev/sda')).toEqual(recorded(`${UTIL}/${situation}`));
  });
});

describe('the fake node says what multipath and multipathd say', () => {
  const WWID = `3${NAA}`;
  const multipathd = (...order: readonly string[]): Promise<CommandResult> => run('multipathd', ...order);
  const later = (): Promise<void> => node.clock.sleep(5000, new AbortController().signal);
  beforeEach(async () => {
    target.luns.set(1, { naa: `0x${NAA}`, size: 3 * GIB });
    node.login(target, PORTAL);
    await node.files.write('/sys/class/scsi_host/host3/scan', '0 0 1');
    await later();
  });

  it('add-path-without-multipathd', async () => {
    node.multipathdRuns = false;
    expect(await multipathd('add', 'path', 'sda')).toEqual(recorded(`${MULTIPATH}/add-path-without-multipathd`));
  });

  it('strict-*: a WWID is registered once, then its path makes a map (F-112)', async () => {
    expect(await multipathd('add', 'path', 'sda')).toEqual(recorded(`${MULTIPATH}/strict-add-path-not-registered`));
    expect(node.maps.size).toBe(0);
    expect(await run('multipath', '-a', WWID)).toEqual(recorded(`${MULTIPATH}/strict-register`));
    expect(await run('multipath', '-a', WWID)).toEqual(recorded(`${MULTIPATH}/strict-register-again`));
    expect(`${(await node.files.read('/etc/multipath/wwids')) ?? ''}\n`).toBe(recorded(`${MULTIPATH}/strict-wwids`).stdout);
    expect(await multipathd('add', 'path', 'sda')).toEqual(recorded(`${MULTIPATH}/strict-add-path`));
    expect(await multipathd('add', 'map', WWID)).toEqual(recorded(`${MULTIPATH}/strict-add-map`));
    expect(node.maps.size).toBe(1);
    expect(await run('multipath', '-w', WWID)).toEqual(recorded(`${MULTIPATH}/strict-forget`));
    expect(await run('multipath', '-w', WWID)).toEqual(recorded(`${MULTIPATH}/strict-forget-again`));
  });

  it('map-attributes, map-links, map-size-*, resize, resize-no-map (RP-11, RP-21)', async () => {
    const { block } = node.addMap(NAA);
    await later();
    const [uuid, name] = recorded(`${MULTIPATH}/map-attributes`).stdout.split('\n');
    expect([
      await node.files.read(`/sys/class/block/${block}/dm/uuid`),
      await node.files.read(`/sys/class/block/${block}/dm/name`),
    ]).toEqual([uuid, name]);
    for (const [, link = ''] of recorded(`${MULTIPATH}/map-links`).stdout.matchAll(
      /^(\/dev\/disk\/by-id\/(?:scsi|wwn)\S+) -> \.\.\/\.\.\/dm-0$/gm,
    ))
      expect([link, await node.files.resolve(link)]).toEqual([link, `/dev/${block}`]);
    target.luns.set(1, { naa: `0x${NAA}`, size: 4 * GIB });
    await node.files.write('/sys/class/scsi_device/3:0:0:1/device/rescan', '1');
    const size = async (): Promise<string> => `${(await node.files.read(`/sys/class/block/${block}/size`)) ?? ''}\n`;
    expect(await size()).toBe(recorded(`${MULTIPATH}/map-size-before-resize`).stdout);
    expect(await multipathd('resize', 'map', WWID)).toEqual(recorded(`${MULTIPATH}/resize`));
    await later();
    expect(await size()).toBe(recorded(`${MULTIPATH}/map-size-after-resize`).stdout);
    expect(await multipathd('resize', 'map', '3aaaa')).toEqual(recorded(`${MULTIPATH}/resize-no-map`));
  });

  it('flush-open-map, flush-without-map (RP-20)', async () => {
    const last = ({ stderr, ...rest }: CommandResult): CommandResult => ({ ...rest, stderr: /[^|\n]*\n$/.exec(stderr)?.[0] ?? '' });
    expect(last(await run('multipath', '-f', WWID))).toEqual(last(recorded(`${MULTIPATH}/flush-without-map`)));
    node.addMap(NAA);
    node.busyFlushes = 1;
    expect(await run('multipath', '-f', WWID)).toEqual(recorded(`${MULTIPATH}/flush-open-map`));
  });
});
