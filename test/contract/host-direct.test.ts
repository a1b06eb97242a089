import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readlink, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../sim/server/free-port.ts';
import { withDeadline } from '../../src/core/deadline.ts';
import type { LunSpec } from '../../src/core/host-port.ts';
import type { Deadline } from '../../src/core/ports.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import { type CommandOptions, type CommandResult, NodeCommands } from '../../src/host/commands.ts';
import { createHost } from '../../src/host/host.ts';
import { RootedFiles } from '../../src/host/sys-files.ts';

const IQN = 'iqn.2005-10.org.freenas.ctl:contract';
const MIB = 1024 ** 2;
const present = ['tgtd', 'tgtadm', 'iscsi-inq', 'iscsi-readcapacity16'].every((program) => spawnSync('which', [program]).status === 0);
if (!present) console.log('skipped: a real iSCSI target needs tgt and libiscsi-bin');

const quiet = (): void => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };

/** Changes the world once, after the first answer of `program` and before whoever asked hears it. */
class ChangingCommands extends NodeCommands {
  readonly #program: string;
  #change: (() => Promise<void>) | null;

  constructor(program: string, change: () => Promise<void>) {
    super();
    this.#program = program;
    this.#change = change;
  }

  override async run(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
    const result = await super.run(argv, options);
    if (argv[0] !== this.#program || this.#change === null) return result;
    const change = this.#change;
    this.#change = null;
    await change();
    return result;
  }
}

/** A real tgtd on loopback, with an IPC socket of its own so that others on the machine are not touched. */
describe.runIf(present)('QemuDirect against a real iSCSI target', () => {
  let directory = '';
  let port = 0;
  let nobody = 0;
  let tgtd: ChildProcess;

  const admin = (...args: string[]): void => {
    const done = spawnSync('tgtadm', ['--lld', 'iscsi', ...args], {
      env: { ...process.env, TGT_IPC_SOCKET: join(directory, 'tgt.sock') },
      encoding: 'utf8',
    });
    if (done.status !== 0) throw new Error(`tgtadm ${args.join(' ')}: ${done.stderr}`);
  };
  const addLun = async (lun: number, serial: string, size: number): Promise<void> => {
    const file = join(directory, `lun${lun}-${serial}`);
    await writeFile(file, '');
    await truncate(file, size);
    admin('--mode', 'logicalunit', '--op', 'new', '--tid', '1', '--lun', String(lun), '--bstype', 'rdwr', '-b', file);
    admin(
      '--mode',
      'logicalunit',
      '--op',
      'update',
      '--tid',
      '1',
      '--lun',
      String(lun),
      '--params',
      `vendor_id=TrueNAS,product_id=iSCSI Disk,scsi_sn=${serial}`,
    );
  };
  const dropLun = (lun: number): void => admin('--mode', 'logicalunit', '--op', 'delete', '--tid', '1', '--lun', String(lun));
  const direct = (commands = new NodeCommands()): ReturnType<typeof createHost>['direct'] =>
    createHost({ clock: systemClock, log, commands, files: new RootedFiles(join(directory, 'root')) }).direct;
  const spec = (over: Partial<LunSpec> = {}): LunSpec => ({
    storage: 'tn',
    volume: 'vm-100-disk-0',
    iqn: IQN,
    portals: [{ host: '127.0.0.1', port }],
    lun: 1,
    naa: `0x6589cfc000000${'a'.repeat(19)}`,
    serial: '0123456789abcde',
    size: 64 * MIB,
    multipath: false,
    ...over,
  });
  const url = (lun = 1): string => `iscsi://127.0.0.1:${port}/${IQN}/${lun}`;
  const timed = <T>(work: (deadline: Deadline) => Promise<T>): Promise<T> => withDeadline(systemClock, 30_000, 'test', work);
  const record = (): Promise<string | null> => readlink(join(directory, 'root/run/pve-truenas/direct/tn/vm-100-disk-0')).catch(() => null);

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'host-direct-'));
    port = await freePort('127.0.0.1');
    nobody = await freePort('127.0.0.1');
    tgtd = spawn('tgtd', ['-f', '--iscsi', `portal=127.0.0.1:${port}`, '--nr_iothreads', '1'], {
      env: { ...process.env, TGT_IPC_SOCKET: join(directory, 'tgt.sock') },
      stdio: 'ignore',
    });
    await timed(async (deadline) => {
      for (;;) {
        try {
          admin('--mode', 'target', '--op', 'new', '--tid', '1', '-T', IQN);
          return;
        } catch {
          await systemClock.sleep(50, deadline.signal);
        }
      }
    });
    admin('--mode', 'target', '--op', 'bind', '--tid', '1', '-I', 'ALL');
    await addLun(1, '0123456789abcde', 64 * MIB);
    await addLun(2, 'fedcba987654321', 540_672);
    await addLun(300, 'abcabcabcabcabc', 64 * MIB);
  });

  afterAll(async () => {
    admin('--mode', 'target', '--op', 'delete', '--force', '--tid', '1');
    const ended = new Promise((resolve) => tgtd.once('exit', resolve));
    spawnSync('tgtadm', ['--op', 'delete', '--mode', 'system'], { env: { ...process.env, TGT_IPC_SOCKET: join(directory, 'tgt.sock') } });
    await ended;
    await rm(directory, { recursive: true, force: true });
  });

  it('verifies serial and size and records the URL; detach removes the record, twice', async () => {
    const host = direct();
    await expect(timed((deadline) => host.attach(spec(), deadline))).resolves.toEqual({ path: url(), device: url() });
    expect(host.path(spec())).toBe(url());
    expect(await record()).toBe(url());
    await timed((deadline) => host.detach(spec(), deadline));
    await timed((deadline) => host.detach(spec(), deadline));
    expect(await record()).toBeNull();
  });

  it('F-103: a LUN with the serial of another volume is refused and not recorded', async () => {
    await expect(timed((deadline) => direct().attach(spec({ lun: 2, size: 540_672 }), deadline))).rejects.toMatchObject({
      code: 'DEVICE_IDENTITY',
    });
    await expect(timed((deadline) => direct().attach(spec({ serial: '' }), deadline))).rejects.toMatchObject({ code: 'DEVICE_IDENTITY' });
    expect(await record()).toBeNull();
  });

  it('refuses a LUN of another size', async () => {
    await expect(timed((deadline) => direct().attach(spec({ size: 65 * MIB }), deadline))).rejects.toMatchObject({ code: 'DEVICE_SIZE' });
    await expect(timed((deadline) => direct().attach(spec({ size: 63 * MIB }), deadline))).rejects.toMatchObject({ code: 'DEVICE_SIZE' });
  });

  it('says that a LUN is absent', async () => {
    await expect(timed((deadline) => direct().attach(spec({ lun: 7 }), deadline))).rejects.toMatchObject({ code: 'DEVICE_MISSING' });
  });

  it('F-106: waits a little for a LUN that was mapped a moment ago', async () => {
    let there = false;
    const host = direct(
      new ChangingCommands('iscsi-inq', async () => {
        await addLun(9, '999999999999999', MIB);
        there = true;
      }),
    );
    const wanted = spec({ lun: 9, serial: '999999999999999', size: MIB });
    await expect(timed((deadline) => host.attach(wanted, deadline))).resolves.toMatchObject({ path: url(9) });
    expect(there).toBe(true);
    dropLun(9);
  });

  it('tells an unreachable portal from a refused login', async () => {
    await expect(
      timed((deadline) => direct().attach(spec({ portals: [{ host: '127.0.0.1', port: nobody }] }), deadline)),
    ).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('does not answer') as string,
    });
    await expect(timed((deadline) => direct().attach(spec({ iqn: `${IQN}-other` }), deadline))).rejects.toMatchObject({
      code: 'LOGIN_FAILED',
      message: expect.stringContaining('refused the login') as string,
    });
  });

  it('goes to the next portal when the first does not answer', async () => {
    const portals = [
      { host: '127.0.0.1', port: nobody },
      { host: '127.0.0.1', port },
    ];
    await expect(timed((deadline) => direct().attach(spec({ portals }), deadline))).resolves.toMatchObject({ path: url() });
  });

  it('addresses LUNs above 255 as targets understand them', async () => {
    const wanted = spec({ lun: 300, serial: 'abcabcabcabcabc' });
    await expect(timed((deadline) => direct().attach(wanted, deadline))).resolves.toMatchObject({ path: url(300 | 0x4000) });
  });

  it('grow waits until the target serves the new size, and fails when it does not', async () => {
    await addLun(10, '101010101010101', MIB);
    const before = spec({ lun: 10, serial: '101010101010101', size: MIB });
    let old = true;
    const host = direct(
      new ChangingCommands('iscsi-readcapacity16', async () => {
        dropLun(10);
        await addLun(10, '101010101010101', 2 * MIB);
        old = false;
      }),
    );
    await timed((deadline) => direct().attach(before, deadline));
    await timed((deadline) => host.grow({ ...before, size: 2 * MIB }, deadline));
    expect(old).toBe(false);
    await expect(
      withDeadline(systemClock, 500, 'test', (deadline) => host.grow({ ...before, size: 3 * MIB }, deadline)),
    ).rejects.toMatchObject({ code: 'DEADLINE' });
    dropLun(10);
  });
});
