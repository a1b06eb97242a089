import { connect } from 'node:net';
import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import * as z from 'zod';
import { type Checksums, makeImage, wrongFiles } from './disk-content.ts';
import { run } from './commands.ts';
import type { Pvesm } from './pvesm.ts';
import type { Report } from './report.ts';

export interface Guest {
  readonly report: Report;
  readonly signal: AbortSignal;
  readonly pvesm: Pvesm;
  readonly volume: string;
  /** bytes */
  readonly size: number;
  /** `iscsi://portal/iqn/lun`, what QEMU opens */
  readonly url: string;
  readonly folder: string;
  /** Why data cannot be written; null when it can. */
  readonly noData: string | null;
}

const SNAPSHOT = 'before-damage';
const MIB = 1024 * 1024;
const DAMAGE = 192 * MIB;

/** Writes a file system through QEMU's own iSCSI initiator, and proves that a rollback brings it back. */
export async function dataSteps(guest: Guest): Promise<void> {
  const { report, pvesm, volume, noData } = guest;
  report.title('Data, written and read by QEMU’s own iSCSI initiator');
  const checksums = noData === null ? await writeSteps(guest) : null;
  if (noData !== null) report.leaveOut('write an ext4 image with files', noData);
  await report.step('snapshot', async () => {
    await pvesm.snapshot(volume, SNAPSHOT);
    return { value: undefined, result: `${volume}@${SNAPSHOT}` };
  });
  if (checksums !== null) await damageSteps(guest, checksums);
  else report.leaveOut('damage the disk', noData ?? '');
  await report.step('roll back', async () => {
    await pvesm.rollback(volume, SNAPSHOT);
    return { value: undefined, result: `${volume}@${SNAPSHOT}` };
  });
  if (checksums !== null) {
    await report.step('every file’s sha256 is right again', async () => {
      const wrong = await readBack(guest, checksums);
      if (wrong.length > 0) throw new Error(`still wrong: ${wrong.join(', ')}`);
      return { value: undefined, result: `${checksums.size} files` };
    });
  } else report.leaveOut('every file’s sha256 is right again', noData ?? '');
  await report.step('delete the snapshot', async () => {
    await pvesm.deleteSnapshot(volume, SNAPSHOT);
    return { value: undefined, result: 'gone' };
  });
}

async function writeSteps(guest: Guest): Promise<Checksums> {
  const { report, url, folder, signal, size } = guest;
  const image = join(folder, 'image.raw');
  const checksums = await report.step('make an ext4 image with files', async () => {
    const value = await makeImage(join(folder, 'files'), image, size, { signal });
    return { value, result: `${value.size} files` };
  });
  await report.step('write it to the LUN', async () => {
    // The volume is new, so the holes of the image need not be written.
    await run(['qemu-img', 'convert', '-n', '--target-is-zero', '-f', 'raw', '-O', 'raw', image, url], { signal });
    await rm(image);
    return { value: undefined, result: url };
  });
  await report.step('read it back', async () => {
    const wrong = await readBack(guest, checksums);
    if (wrong.length > 0) throw new Error(`wrong: ${wrong.join(', ')}`);
    return { value: undefined, result: `${checksums.size} files, every sha256 right` };
  });
  return checksums;
}

async function damageSteps(guest: Guest, checksums: Checksums): Promise<void> {
  const { report, url, signal } = guest;
  await report.step('damage the disk', async () => {
    const commands = ['-c', `write -P 0xa5 0 ${DAMAGE}`, '-c', 'flush'];
    await run(['qemu-io', '-f', 'raw', ...commands, url], { signal });
    return { value: undefined, result: `${DAMAGE / MIB} MiB overwritten from the start` };
  });
  await report.step('it is damaged indeed', async () => {
    const wrong = await readBack(guest, checksums);
    if (wrong.length === 0) throw new Error('every file can still be read: the damage did not reach the disk');
    return { value: undefined, result: `${wrong.length} of ${checksums.size} files are wrong` };
  });
}

async function readBack({ url, folder, signal }: Guest, checksums: Checksums): Promise<readonly string[]> {
  const image = join(folder, 'read-back.raw');
  await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'raw', url, image], { signal });
  try {
    return await wrongFiles(image, checksums, join(folder, 'extracted'), { signal });
  } finally {
    await rm(image, { force: true });
  }
}

/** Grows the disk; an initiator must see the new size. */
export async function growStep({ report, pvesm, volume, url, signal, noData }: Guest, size: number): Promise<void> {
  await report.step('grow the disk', async () => {
    await pvesm.resize(volume, size);
    return { value: undefined, result: `${size} bytes` };
  });
  if (noData !== null) {
    report.leaveOut('the initiator sees the new size', noData);
    return;
  }
  await report.step('the initiator sees the new size', async () => {
    const { stdout } = await run(['iscsi-readcapacity16', '-s', url], { signal });
    const seen = Number(stdout.trim());
    const info = await run(['qemu-img', 'info', '-f', 'raw', '--output=json', url], { signal });
    const { 'virtual-size': byQemu } = z.object({ 'virtual-size': z.int() }).parse(JSON.parse(info.stdout));
    if (seen !== size || byQemu !== size) throw new Error(`READ CAPACITY says ${seen}, QEMU ${byQemu}, it should be ${size}`);
    return { value: undefined, result: `${seen} bytes` };
  });
}

/**
 * LUNs with a disk behind them, as an initiator sees them at the portal. TrueNAS offers no target that has no LUN, and
 * libiscsi takes an empty discovery for a lost connection: with the portal open that message means none.
 */
export async function lunsSeen(portal: string, signal: AbortSignal): Promise<number> {
  await portalOpen(portal);
  const { status, stdout, stderr } = await run(['iscsi-ls', '-s', `iscsi://${portal}`], { signal, expect: [0, 10] });
  if (status === 10 && !stderr.includes('Can not reconnect right now')) throw new Error(`iscsi-ls: ${stderr.trim()}`);
  return stdout.split('\n').filter((line) => /^\s*Lun:\d+\s+Type:DIRECT_ACCESS/i.test(line)).length;
}

function portalOpen(portal: string): Promise<void> {
  const { hostname, port } = new URL(`tcp://${portal}`);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), timeout: 10_000 });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('timeout', () => socket.destroy(new Error(`the portal ${portal} does not answer`)));
    socket.once('error', reject);
  });
}
