import { StorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import { codeOf, type SysFiles } from '../sys-files.ts';
import { within } from '../waiting.ts';
import type { HostContext } from '../host-context.ts';
import type { Session } from './sessions.ts';

/** A SCSI disk of the kernel. */
export interface ScsiDisk {
  readonly address: string;
  readonly block: string;
}

/** One path to a LUN: a SCSI device of the kernel. */
export interface ScsiPath {
  /** `3:0:0:1`, host:channel:target:lun */
  readonly address: string;
  /** `sda`; null while the disk driver has not made the block device yet */
  readonly block: string | null;
  /** 32 hex digits of the NAA that the kernel read when it found the device; a cache (RP-13); null when it has none */
  readonly cachedNaa: string | null;
}

const DEVICES = '/sys/class/scsi_device';
const SECTOR = 512;

/** The SCSI device at one address, null when there is none. */
export async function scsiPathAt(files: SysFiles, address: string): Promise<ScsiPath | null> {
  const device = `${DEVICES}/${address}/device`;
  if ((await files.kind(device)) === null) return null;
  const [block] = await files.list(`${device}/block`);
  return { address, block: block ?? null, cachedNaa: await cachedNaa(files, address) };
}

async function cachedNaa(files: SysFiles, address: string): Promise<string | null> {
  const wwid = await files.read(`${DEVICES}/${address}/device/wwid`);
  return /^naa\.([0-9a-f]{32})$/.exec(wwid?.toLowerCase() ?? '')?.[1] ?? null;
}

/** All SCSI devices whose cached identity is exactly this NAA (32 hex digits). Of the others nothing but that is read: a node may have thousands. */
export async function scsiPathsOf(files: SysFiles, naa: string): Promise<readonly ScsiPath[]> {
  const paths: ScsiPath[] = [];
  for (const address of await files.list(DEVICES)) {
    if ((await cachedNaa(files, address)) !== naa) continue;
    const path = await scsiPathAt(files, address);
    if (path?.cachedNaa === naa) paths.push(path);
  }
  return paths;
}

/** All SCSI devices with the vendor that they gave when they were found. */
export async function scsiDevices(files: SysFiles): Promise<readonly (ScsiPath & { readonly vendor: string })[]> {
  const found: (ScsiPath & { vendor: string })[] = [];
  for (const address of await files.list(DEVICES)) {
    const path = await scsiPathAt(files, address);
    if (path !== null) found.push({ ...path, vendor: ((await files.read(`${DEVICES}/${address}/device/vendor`)) ?? '').trim() });
  }
  return found;
}

/**
 * The addresses at which a LUN of this session may show. Numbers above 255 have two spellings: the kernel takes ours as it is, and
 * shows 0x4000 more where the target reports it in flat addressing (SAM-5 4.7.7).
 */
export function lunAddresses(session: Session, lun: number): readonly string[] {
  const numbers = lun > 255 ? [lun, lun | 0x4000] : [lun];
  return numbers.map((number) => `${session.host}:0:${session.targetId}:${number}`);
}

/** Asks the kernel to look for exactly one LUN of exactly one session (F-105, F-108); the kernel answers when it has looked. */
export async function scanLun(context: HostContext, address: string, deadline: Deadline): Promise<void> {
  const [host, channel, target, lun] = address.split(':');
  await writeAttribute(context, `/sys/class/scsi_host/host${host ?? ''}/scan`, `${channel ?? ''} ${target ?? ''} ${lun ?? ''}`, deadline);
}

/** Makes the kernel forget one SCSI device. What is gone already is fine. The caller has made sure that nobody holds it. */
export async function deleteScsiDevice(context: HostContext, address: string, deadline: Deadline): Promise<void> {
  context.log.info('removing a SCSI device from this node', { address });
  await writeAttribute(context, `${DEVICES}/${address}/device/delete`, '1', deadline);
}

/** Makes the kernel read the size of one SCSI device again (RP-11). */
export async function rescanScsiDevice(context: HostContext, address: string, deadline: Deadline): Promise<void> {
  await writeAttribute(context, `${DEVICES}/${address}/device/rescan`, '1', deadline);
}

/** Makes the kernel tell udev of a disk as if it had changed: udev names it anew. */
export async function announceDisk(context: HostContext, block: string, deadline: Deadline): Promise<void> {
  context.log.info('asking udev again for the names of a disk', { device: `/dev/${block}` });
  await writeAttribute(context, `/sys/class/block/${block}/uevent`, 'change', deadline);
}

/** Bytes of a block device (`sda`, `dm-3`) as the kernel has them, null when it is gone. */
export async function blockSize(files: SysFiles, block: string): Promise<number | null> {
  const sectors = await files.read(`/sys/class/block/${block}/size`);
  return sectors !== null && /^\d{1,15}$/.test(sectors) ? Number(sectors) * SECTOR : null;
}

/**
 * The NAA that the device itself gives now: INQUIRY page 0x83 sent by scsi_id. sysfs and the names of udev go on showing the old disk
 * after its LUN number got another one (RP-13). Null when the device does not answer, or answers with something that is no NAA.
 */
export async function freshNaa(context: HostContext, block: string, deadline: Deadline): Promise<string | null> {
  const answer = await context.commands.run(['/lib/udev/scsi_id', '--page=0x83', '--whitelisted', `--device=/dev/${block}`], {
    deadline,
    okExitCodes: 'any',
  });
  // `3` is scsi_id's mark for an NAA designator.
  return answer.exitCode === 0 ? (/^3([0-9a-f]{32})$/.exec(answer.stdout.trim().toLowerCase())?.[1] ?? null) : null;
}

async function writeAttribute(context: HostContext, path: string, text: string, deadline: Deadline): Promise<void> {
  try {
    await within(context.files.write(path, text), deadline);
  } catch (error) {
    // The device or its session went while we wrote: whoever waits for a result looks for that result.
    if (['ENOENT', 'ENODEV', 'ENXIO'].includes(codeOf(error))) return;
    // The kernel's refusals have a code of the system; an end of the deadline is no refusal.
    if (error instanceof StorageError || codeOf(error) === '') throw error;
    throw new StorageError('HOST_COMMAND', `writing '${text}' to ${path} failed: ${codeOf(error)}`, { cause: error });
  }
}
