import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { StorageSection } from '../../config/storage-cfg.ts';
import { withoutSecrets } from '../../config/without-secrets.ts';
import { StorageError } from '../../core/errors.ts';
import { GIB, MIB } from '../../core/sizes.ts';
import { assertGoingOn } from '../../setup/apply.ts';
import { askDaemon, type DaemonAddress } from '../socket-client.ts';
import { runProgram, wordsOf } from './run-program.ts';

/** Where the pattern goes: begin, middle and end. */
const PLACES = [0, GIB / 2, GIB - MIB] as const;
const PROGRAM_MS = 60_000;

/** Lists volumes of the probe's name that a killed run left, and frees them. */
async function freeLeftovers(daemon: DaemonAddress, storage: { id: string; config: Record<string, string | null> }): Promise<void> {
  const { volumes } = await askDaemon(daemon, 'volume.list', { storage });
  for (const { volname } of volumes)
    if (/^vm-\d+-setup-probe$/.test(volname)) await askDaemon(daemon, 'volume.free', { storage, volume: volname });
}

export interface ProbeNode {
  /** One that no guest has. */
  readonly vmid: number;
  /** IQN of this node, which TrueNAS admits; null: the programs' own. */
  readonly initiator: string | null;
}

/**
 * Makes a disk of 1 GiB, attaches it, writes a pattern, detaches, reads it back and frees it, whatever happens between. Errors: those of
 * the daemon, SETUP_PROBE.
 */
export async function probeDisk(
  daemon: DaemonAddress,
  section: StorageSection,
  { vmid, initiator }: ProbeNode,
  doing: (what: string) => void,
  stop: AbortSignal,
): Promise<void> {
  const storage = { id: section.id, config: { ...withoutSecrets(section.properties) } };
  await askDaemon(daemon, 'storage.activate', { storage });
  await freeLeftovers(daemon, storage);
  assertGoingOn(stop);
  doing('allocating the probe disk');
  const { volname: volume } = await askDaemon(daemon, 'volume.allocate', { storage, vmid, name: `vm-${vmid}-setup-probe`, size: GIB });
  try {
    const seed = randomBytes(1)[0] ?? 1;
    assertGoingOn(stop);
    doing('attaching the probe disk and writing to it');
    await onDevice(daemon, storage, volume, (path) => exchange({ path, initiator }, seed, 'write'));
    assertGoingOn(stop);
    doing('attaching the probe disk again and reading it back');
    await onDevice(daemon, storage, volume, (path) => exchange({ path, initiator }, seed, 'read'));
  } finally {
    doing('freeing the probe disk');
    await askDaemon(daemon, 'volume.free', { storage, volume });
  }
}

async function onDevice(
  daemon: DaemonAddress,
  storage: { id: string; config: Record<string, string | null> },
  volume: string,
  work: (path: string) => Promise<void>,
): Promise<void> {
  const { path } = await askDaemon(daemon, 'volume.activate', { storage, volume });
  try {
    await work(path);
  } finally {
    await askDaemon(daemon, 'volume.deactivate', { storage, volume });
  }
}

/** Between writing and reading the device is closed, so that what is read came from TrueNAS and not from the node's cache. */
async function exchange(
  { path, initiator }: { path: string; initiator: string | null },
  seed: number,
  what: 'write' | 'read',
): Promise<void> {
  if (path.startsWith('iscsi://')) {
    const commands = PLACES.map((at) => `${what} -P ${seed} ${at} ${MIB}`);
    const output = await qemuIo(['--image-opts', ...commands.flatMap((command) => ['-c', command]), imageOptions(path, initiator)]);
    if (/Pattern verification failed/.test(output)) throw wrongContent(path);
    return;
  }
  const file = await open(path, what === 'write' ? 'r+' : 'r');
  try {
    const wanted = Buffer.alloc(MIB, seed);
    for (const at of PLACES) {
      if (what === 'write') {
        await file.write(wanted, 0, MIB, at);
        continue;
      }
      const found = Buffer.alloc(MIB);
      const { bytesRead } = await file.read(found, 0, MIB, at);
      if (bytesRead !== MIB || !found.equals(wanted)) throw wrongContent(path);
    }
    if (what === 'write') await file.sync();
  } finally {
    await file.close();
  }
}

/** The same disk as QEMU gets it from PVE, with the name of this node: a URL has no place for that. */
export function imageOptions(url: string, initiator: string | null): string {
  const [, portal, target, lun] = /^iscsi:\/\/([^/]+)\/([^/]+)\/(\d+)$/.exec(url) ?? [];
  if (portal === undefined || target === undefined || lun === undefined) {
    throw new StorageError('INTERNAL', `${url} is no address of an iSCSI disk`);
  }
  // A comma ends an option, two are one.
  const value = (text: string): string => text.replaceAll(',', ',,');
  const name = initiator === null ? '' : `,file.initiator-name=${value(initiator)}`;
  return `driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=${value(portal)},file.target=${value(target)},file.lun=${lun}${name}`;
}

/** qemu-io ends with 0 or 1 where a pattern is not the wanted one, depending on its version: its words tell. */
async function qemuIo(args: readonly string[]): Promise<string> {
  const result = await runProgram('qemu-io', args, PROGRAM_MS);
  if (result.exitCode === 0 || /Pattern verification failed/.test(result.stdout)) return result.stdout;
  throw new StorageError('HOST_COMMAND', `qemu-io: ${wordsOf(result)}`);
}

function wrongContent(path: string): StorageError {
  return new StorageError('SETUP_PROBE', `the probe disk ${path} does not hold what was written to it`);
}
