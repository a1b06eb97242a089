import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { freePort } from '../../sim/server/free-port.ts';
import { ArrayDriver } from '../../sim/state/array-driver.ts';

const run = promisify(execFile);
const MIB = 1_048_576;
const ready = process.getuid?.() === 0 && existsSync('/usr/sbin/tgtd') && existsSync('/usr/bin/qemu-io');
if (!ready) console.log('skipped: real LUNs need root, tgt, qemu-utils and qemu-block-extra');
const session = z.array(z.looseObject({ initiator_addr: z.string(), target: z.string() }));

describe.runIf(ready)('volumes of the simulator behind a real target', () => {
  let directory = '';
  let port = 0;
  let driver: ArrayDriver;
  const url = (lun: number) => `iscsi://127.0.0.1:${port}/iqn.2005-10.org.freenas.ctl:pve/${lun}`;
  const io = async (lun: number, ...commands: string[]) =>
    (await run('qemu-io', ['-f', 'raw', ...commands.flatMap((one) => ['-c', one]), url(lun)])).stdout;
  const make = () => new ArrayDriver({ blocks: 'tgt', directory, port });
  const stored = () =>
    driver.array.persistent.map((part) => ({ name: part.name, data: JSON.parse(JSON.stringify(part.dump())) as unknown }));

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'sim-tgt-'));
    port = await freePort('127.0.0.1');
    driver = make();
    await driver.array.start();
  });
  afterAll(async () => {
    await driver.array.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it('begin at LUN 1 and refuse LUN 0, which tgt keeps for itself', async () => {
    await driver.call('pool.dataset.create', { name: 'tank/pve/a', type: 'VOLUME', volsize: 64 * MIB, sparse: true });
    await driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a', serial: '0123456789abcde' });
    await expect(driver.call('iscsi.targetextent.create', { target: 1, extent: 1, lunid: 0 })).rejects.toThrow('not modelled');
    expect(await driver.call('iscsi.targetextent.create', { target: 1, extent: 1 })).toMatchObject({ lunid: 1 });
  });

  it('roll back to what was written before the snapshot, under the same LUN', async () => {
    await io(1, 'write -P 0xab 0 1M');
    await driver.call('pool.snapshot.create', { dataset: 'tank/pve/a', name: 's' });
    await io(1, 'write -P 0xcd 0 1M', 'write -P 0xcd 5M 1M');
    await driver.call('pool.snapshot.rollback', 'tank/pve/a@s', {});
    expect(await io(1, 'read -P 0xab 0 1M', 'read -P 0 5M 1M')).not.toContain('failed');
  });

  it('show their new size after growing, and their data in a clone', async () => {
    await driver.call('pool.dataset.update', 'tank/pve/a', { volsize: 128 * MIB });
    expect((await run('qemu-img', ['info', '--output=json', url(1)])).stdout).toContain(`"virtual-size": ${128 * MIB}`);
    await driver.call('pool.snapshot.clone', { snapshot: 'tank/pve/a@s', dataset_dst: 'tank/pve/b' });
    await driver.call('iscsi.extent.create', { name: 'b', disk: 'zvol/tank/pve/b' });
    expect(await driver.call('iscsi.targetextent.create', { target: 1, extent: 2 })).toMatchObject({ lunid: 2 });
    await io(2, 'read -P 0xab 0 1M', 'write -P 0xef 0 1M');
    await io(1, 'read -P 0xab 0 1M');
  });

  it('count a real session and block unmapping while it is open', async () => {
    const held = execFile('qemu-io', ['-f', 'raw', '-c', 'sleep 60000', url(1)]);
    try {
      await expect.poll(async () => session.parse(await driver.call('iscsi.global.sessions', [], {})).length, { timeout: 30_000 }).toBe(1);
      await expect(driver.call('iscsi.targetextent.delete', 2)).rejects.toThrow('is in use');
      expect(await driver.call('iscsi.global.client_count')).toBe(1);
    } finally {
      held.kill('SIGKILL');
    }
  });

  it('admit only who is named and knows the secret', async () => {
    await driver.call('iscsi.auth.create', { tag: 1, user: 'pve', secret: 'twelve-chars' });
    await driver.call('iscsi.target.update', 1, { groups: [{ portal: 1, initiator: 1, authmethod: 'CHAP', auth: 1 }] });
    await expect(run('qemu-img', ['info', url(1)])).rejects.toThrow('Authentication failure');
    await expect(run('qemu-img', ['info', url(1).replace('iscsi://', 'iscsi://pve%twelve-chars@')])).resolves.toBeDefined();
    await driver.call('iscsi.target.update', 1, { groups: [{ portal: 1, initiator: 1 }] });
    await driver.call('iscsi.initiator.update', 1, { initiators: ['iqn.2020-01.com.example:other'] });
    await expect(run('qemu-img', ['info', url(1)])).rejects.toThrow();
    await driver.call('iscsi.initiator.update', 1, { initiators: [] });
    await io(1, 'read -P 0xab 0 1M');
  });

  it('are served again after a restart, with the same data', async () => {
    const state = stored();
    await driver.array.stop();
    driver = make();
    for (const part of driver.array.persistent) part.load(state.find((one) => one.name === part.name)?.data);
    await driver.array.start();
    await io(1, 'read -P 0xab 0 1M');
    await io(2, 'read -P 0xef 0 1M');
  });

  it('leave neither file nor socket when they are gone and the simulator has stopped', async () => {
    await driver.call('pool.dataset.promote', 'tank/pve/b');
    for (const name of ['a', 'b']) await driver.call('pool.dataset.delete', `tank/pve/${name}`, { recursive: true });
    expect(await readdir(path.join(directory, 'blocks'))).toEqual([]);
    await driver.array.stop();
    expect(await readdir(directory)).toEqual(['blocks']);
  });
});
