import type { StorageSection } from '../config/storage-cfg.ts';
import { withoutSecrets } from '../config/without-secrets.ts';
import { withDeadline } from '../core/deadline.ts';
import { formatBytes } from '../core/sizes.ts';
import type { StorageParam } from '../protocol/envelope.ts';
import { error, type Finding, ok, skipped } from './finding.ts';
import type { DoctorPorts } from './ports.ts';
import { AS_ROOT, messageOf } from './reasons.ts';

/** bytes: the smallest that is a whole number of every block size, and thin */
const SIZE = 1024 ** 3;
/** bytes at either end of the disk */
const PIECE = 1024 ** 2;
/** No guest has this number: PVE's wizard counts up from 100, and pvesm takes nothing above. */
const VMID = 999_999_999;
/** ms */
const STEP_MS = 60_000;
const WRITE_MS = 60_000;

type Ports = Pick<DoctorPorts, 'askDaemon' | 'commands' | 'clock' | 'isRoot'>;

/**
 * A disk of 1 GiB from nothing to nothing: made, attached, written at both ends, read back, detached, freed. What was made is freed
 * whatever happens, also after Ctrl-C. Never rejects.
 */
export async function probeStorage(ports: Ports, section: StorageSection, stop: AbortSignal): Promise<readonly Finding[]> {
  const name = 'probe disk';
  if (!ports.isRoot) return [skipped(name, 'only root may make disks', AS_ROOT)];
  // as PVE's loader hands a section to the daemon
  const storage: StorageParam = { id: section.id, config: withoutSecrets(section.properties) };
  let volume: string;
  try {
    ({ volname: volume } = await ports.askDaemon('volume.allocate', { storage, vmid: VMID, size: SIZE }, STEP_MS));
  } catch (thrown) {
    return [error(name, `cannot be made: ${messageOf(thrown)}`, `pve-truenas preflight ${section.id}`)];
  }
  const used = stop.aborted ? error(name, 'interrupted', 'run it again') : await useDisk(ports, storage, volume, stop);
  const left = await takeAway(ports, storage, volume);
  return left === null ? [used] : [used, error('probe disk left', left, `pvesm free ${section.id}:${volume}`)];
}

async function useDisk(ports: Ports, storage: StorageParam, volume: string, stop: AbortSignal): Promise<Finding> {
  const name = 'probe disk';
  try {
    const { path } = await ports.askDaemon('volume.activate', { storage, volume }, STEP_MS);
    const begun = ports.clock.monotonic();
    await withDeadline(
      ports.clock,
      WRITE_MS,
      'writing and reading the probe disk',
      (deadline) => writeAndRead(ports, path, deadline),
      stop,
    );
    const took = Math.round(ports.clock.monotonic() - begun);
    return ok(
      name,
      `${volume} of ${formatBytes(SIZE)}: made, attached as ${path}, written at both ends and read back the same within ${took} ms, freed`,
    );
  } catch (thrown) {
    return error(name, `${volume} cannot be used: ${messageOf(thrown)}`, 'journalctl -u pve-truenasd; pve-truenas health');
  }
}

/** A pattern at both ends, past every cache of this node, and the same read back; for a device as for QEMU's own initiator. */
async function writeAndRead(ports: Ports, path: string, deadline: Parameters<DoctorPorts['text']>[1]): Promise<void> {
  const at = [0, SIZE - PIECE].map((offset, index) => ({ offset, pattern: 0xa5 - index }));
  const words = [
    ...at.map(({ offset, pattern }) => `write -P ${pattern} ${offset} ${PIECE}`),
    'flush',
    ...at.map(({ offset, pattern }) => `read -P ${pattern} ${offset} ${PIECE}`),
  ];
  const { stdout, stderr } = await ports.commands.run(
    ['qemu-io', '-f', 'raw', '-t', 'none', ...words.flatMap((word) => ['-c', word]), path],
    { deadline },
  );
  if (/pattern verification failed/i.test(`${stdout}${stderr}`)) throw new Error('what was read is not what was written');
}

/** Detaches and frees; why it could not, or null. */
async function takeAway(ports: Ports, storage: StorageParam, volume: string): Promise<string | null> {
  // a volume that was not attached is detached without a word
  const detached = await ports.askDaemon('volume.deactivate', { storage, volume }, STEP_MS).then(
    () => null,
    (thrown: unknown) => messageOf(thrown),
  );
  try {
    await ports.askDaemon('volume.free', { storage, volume }, STEP_MS);
    return null;
  } catch (thrown) {
    return `${volume} could not be freed: ${detached ?? messageOf(thrown)}`;
  }
}
