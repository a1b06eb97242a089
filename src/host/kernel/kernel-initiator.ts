import { StorageError } from '../../core/errors.ts';
import type { AttachedDevice, HostPort, LunSpec } from '../../core/host-port.ts';
import { KeyedLock } from '../../core/keyed-lock.ts';
import type { Deadline } from '../../core/ports.ts';
import { portalText } from '../addresses.ts';
import { measured } from '../device-wait.ts';
import { assertLunSpec, naaDigits, type VolumeRef, volumeKey } from '../volume-ref.ts';
import { throwIfCancelled, waitFor, within } from '../waiting.ts';
import { identityName, linkPath, mapName, naaOfLink } from './device-link.ts';
import { holdersOf, lastingHolders } from './holders.ts';
import type { HostContext } from '../host-context.ts';
import { PortalLogin } from './login.ts';
import { ensureMap, findMap, forgetWwid, type MultipathMap, removeMap, resizeMap } from './multipath.ts';
import { blockSize, deleteScsiDevice, freshNaa, type ScsiDisk, type ScsiPath, scsiPathsOf } from './scsi-devices.ts';
import type { Session } from './sessions.ts';
import { settledSize, verifiedPath } from './verified-path.ts';

/** How long (ms) a volume waits for its other paths once one of them is verified. */
const OTHER_PATHS_MS = 5000;
const SIZE_MS = 10_000;

/** What of one volume is on this node. */
interface Presence {
  readonly naa: string;
  readonly paths: readonly ScsiPath[];
  readonly map: MultipathMap | null;
}

/** The node's own iSCSI initiator: the volume becomes a block device below /dev, for QEMU and for containers. */
export class KernelInitiator implements HostPort {
  readonly #context: HostContext;
  readonly #linkBase: string;
  readonly #login: PortalLogin;
  readonly #locks = new KeyedLock();

  constructor(context: HostContext, linkBase: string) {
    this.#context = context;
    this.#linkBase = linkBase;
    this.#login = new PortalLogin(context);
  }

  path(spec: LunSpec): string {
    return linkPath(this.#linkBase, spec);
  }

  async attach(spec: LunSpec, deadline: Deadline): Promise<AttachedDevice> {
    assertLunSpec(spec);
    return this.#exclusive(spec, deadline, () => measured(this.#context, spec, () => this.#attach(spec, deadline)));
  }

  async detach(volume: VolumeRef, deadline: Deadline): Promise<void> {
    await this.#exclusive(volume, deadline, async () => {
      const link = linkPath(this.#linkBase, volume);
      for (const naa of await this.#identities(volume, link)) {
        const presence = await this.#presence(naa);
        await this.#refuseHeld(volume, presence, link, deadline);
        if (presence.map !== null) {
          await this.#flushBuffers([presence.map.block], deadline);
          await removeMap(this.#context, naa, deadline);
        }
        await this.#removePaths(presence, deadline);
        await forgetWwid(this.#context, naa, deadline);
      }
      await this.#context.files.remove(link);
    });
  }

  async grow(spec: LunSpec, deadline: Deadline): Promise<void> {
    assertLunSpec(spec);
    await this.#exclusive(spec, deadline, async () => {
      const presence = await this.#presence(naaDigits(spec.naa));
      for (const path of presence.paths) {
        if (path.block === null) continue;
        await this.#verifyStill(spec, path.block, deadline);
        const seen = await settledSize(this.#context, { address: path.address, block: path.block }, spec.size, true, deadline);
        if (seen === null || seen < spec.size) throw wrongSize(spec, path.block, seen);
      }
      const { map } = presence;
      if (map === null) return;
      const seen = await this.#mapSize(map, spec.size, true, deadline);
      if (seen === null || seen < spec.size) throw wrongSize(spec, map.block, seen);
    });
  }

  async flush(volume: VolumeRef, deadline: Deadline): Promise<void> {
    await this.#exclusive(volume, deadline, async () => {
      const link = linkPath(this.#linkBase, volume);
      for (const naa of await this.#identities(volume, link)) {
        const presence = await this.#presence(naa);
        await this.#refuseHeld(volume, presence, link, deadline);
        await this.#flushBuffers(blocksOf(presence), deadline);
      }
    });
  }

  async holders(volume: VolumeRef, deadline: Deadline): Promise<readonly string[]> {
    const link = linkPath(this.#linkBase, volume);
    const found = new Set<string>();
    for (const naa of await this.#identities(volume, link)) {
      const presence = await this.#presence(naa);
      for (const holder of await within(holdersOf(this.#context.files, blocksOf(presence), namesOf(presence, link)), deadline))
        found.add(holder);
    }
    return [...found];
  }

  async #attach(spec: LunSpec, deadline: Deadline): Promise<AttachedDevice> {
    const sessions = await this.#login.ensureSessions(spec, deadline);
    const blocks = await this.#verifiedPaths(spec, sessions, deadline);
    const naa = naaDigits(spec.naa);
    // A map that multipathd made of these paths by itself has claimed them: then it is the device, asked for or not.
    const wanted = spec.multipath || (await findMap(this.#context.files, naa)) !== null;
    const link = this.path(spec);
    if (wanted) {
      const map = await ensureMap(this.#context, naa, blocks, deadline);
      await this.#verifyMap(spec, map, blocks, deadline);
      await this.#context.files.link(link, mapName(map));
      return { path: link, device: `/dev/${map.block}` };
    }
    const named = await identityName(this.#context, naa, blocks, deadline);
    if (named === undefined) {
      throwIfCancelled(deadline);
      throw new StorageError(
        'DEVICE_MISSING',
        `udev made no name below /dev/disk/by-id for ${blocks.map((block) => `/dev/${block}`).join(', ')}`,
        {
          causes: ['udev is busy or stopped'],
          hints: ['systemctl status systemd-udevd', `udevadm info /dev/${blocks[0] ?? ''}`],
        },
      );
    }
    await this.#context.files.link(link, named.name);
    return { path: link, device: `/dev/${named.block}` };
  }

  #exclusive<T>(volume: VolumeRef, deadline: Deadline, work: () => Promise<T>): Promise<T> {
    return this.#locks.run(volumeKey(volume), deadline.signal, work);
  }

  /** The verified block device behind each session; at least one, all of them where they come in time. */
  async #verifiedPaths(spec: LunSpec, sessions: readonly Session[], deadline: Deadline): Promise<readonly string[]> {
    const { clock, log } = this.#context;
    const stop = new AbortController();
    const inner: Deadline = { signal: AbortSignal.any([deadline.signal, stop.signal]), remaining: () => deadline.remaining() };
    const blocks: string[] = [];
    const failures: StorageError[] = [];
    let cancel: () => void = () => undefined;
    try {
      await Promise.all(
        sessions.map(async (session) => {
          try {
            const disk = await verifiedPath(this.#context, session, spec, inner);
            await this.#requireSize(spec, disk, deadline);
            blocks.push(disk.block);
            if (blocks.length === 1) cancel = clock.after(OTHER_PATHS_MS, () => stop.abort(new Error('other paths are up')));
          } catch (thrown) {
            if (thrown instanceof StorageError && thrown.code !== 'DEVICE_MISSING') throw thrown;
            if (thrown instanceof StorageError) failures.push(thrown);
            else if (!stop.signal.aborted) throw thrown;
          }
        }),
      );
    } finally {
      cancel();
    }
    if (blocks.length === 0) throw failures[0] ?? new StorageError('DEVICE_MISSING', `no device for LUN ${spec.lun} of ${spec.iqn}`);
    if (blocks.length < spec.portals.length) {
      log.warn('a volume has fewer paths than its storage has portals', {
        storage: spec.storage,
        volume: spec.volume,
        paths: blocks,
        portals: spec.portals.map(portalText),
      });
    }
    return [...blocks].sort();
  }

  async #requireSize(spec: LunSpec, disk: ScsiDisk, deadline: Deadline): Promise<void> {
    const seen = await settledSize(this.#context, disk, spec.size, false, deadline);
    if (seen === null) throw new StorageError('DEVICE_MISSING', `/dev/${disk.block} (${disk.address}) vanished while it was verified`);
    if (seen !== spec.size) throw wrongSize(spec, disk.block, seen);
  }

  /** Law 1 for a map: each of its paths is one that was just verified, and it shows the size. */
  async #verifyMap(spec: LunSpec, map: MultipathMap, blocks: readonly string[], deadline: Deadline): Promise<void> {
    for (const slave of map.slaves) {
      if (!blocks.includes(slave)) await this.#verifyStill(spec, slave, deadline);
    }
    const seen = await this.#mapSize(map, spec.size, false, deadline);
    if (seen !== spec.size) throw wrongSize(spec, map.block, seen);
  }

  async #mapSize(map: MultipathMap, size: number, atLeast: boolean, deadline: Deadline): Promise<number | null> {
    let seen: number | null = null;
    await waitFor({ ...this.#context, deadline, atMostMs: SIZE_MS }, async () => {
      seen = await blockSize(this.#context.files, map.block);
      if (seen === size || (atLeast && seen !== null && seen > size)) return true;
      await resizeMap(this.#context, map, deadline);
      seen = await blockSize(this.#context.files, map.block);
      return seen === size || (atLeast && seen !== null && seen > size) ? true : undefined;
    });
    return seen;
  }

  async #verifyStill(spec: LunSpec, block: string, deadline: Deadline): Promise<void> {
    const fresh = await freshNaa(this.#context, block, deadline);
    if (fresh === naaDigits(spec.naa)) return;
    throw new StorageError(
      'DEVICE_IDENTITY',
      `/dev/${block} is used for ${spec.volume} but says it is ${fresh ?? 'nothing'}, TrueNAS says ${spec.naa}`,
      {
        facts: { block, device: fresh, wanted: spec.naa },
      },
    );
  }

  /** The identities under which a volume may be here: what TrueNAS says now, and what its link was set to. */
  async #identities(volume: VolumeRef, link: string): Promise<readonly string[]> {
    const found = new Set<string>();
    if (volume.naa !== undefined) found.add(naaDigits(volume.naa));
    const linked = await naaOfLink(this.#context.files, link);
    if (linked !== null) found.add(linked);
    return [...found];
  }

  async #presence(naa: string): Promise<Presence> {
    const { files } = this.#context;
    return { naa, paths: await scsiPathsOf(files, naa), map: await findMap(files, naa) };
  }

  async #refuseHeld(volume: VolumeRef, presence: Presence, link: string, deadline: Deadline): Promise<void> {
    const blocks = blocksOf(presence);
    const holders = await lastingHolders(this.#context, blocks, namesOf(presence, link), deadline);
    throwIfCancelled(deadline);
    if (holders.length === 0) return;
    throw new StorageError('DEVICE_BUSY', `${volume.volume} of storage '${volume.storage}' is in use on this node: ${holders.join(', ')}`, {
      hints: [`lsblk ${blocks.map((block) => `/dev/${block}`).join(' ')}`],
      facts: { devices: blocks, holders },
    });
  }

  /**
   * Removes the paths of a volume. Each is asked for its identity once more: one whose number was given to another LUN shows our old
   * identity in sysfs (RP-13) and is no longer ours to remove; one that does not answer any more is a leftover of ours (RP-12).
   */
  async #removePaths(presence: Presence, deadline: Deadline): Promise<void> {
    const { files, log } = this.#context;
    for (const path of presence.paths) {
      if (path.block !== null) {
        const fresh = await freshNaa(this.#context, path.block, deadline);
        if (fresh !== null && fresh !== presence.naa) {
          log.warn('a device shows the identity of a volume but is another one by now; left alone', { ...path, device: fresh });
          continue;
        }
        if (fresh !== null) await this.#flushBuffers([path.block], deadline);
      }
      await deleteScsiDevice(this.#context, path.address, deadline);
      const gone = await waitFor({ ...this.#context, deadline }, async () =>
        (await files.kind(`/sys/class/scsi_device/${path.address}`)) === null ? true : undefined,
      );
      if (gone === undefined) {
        throwIfCancelled(deadline);
        throw new StorageError('DEVICE_BUSY', `SCSI device ${path.address} does not go away`, { facts: { ...path } });
      }
    }
  }

  async #flushBuffers(blocks: readonly string[], deadline: Deadline): Promise<void> {
    for (const block of blocks) await this.#context.commands.run(['blockdev', '--flushbufs', `/dev/${block}`], { deadline });
  }
}

/** The map first: it is what writes go through. */
function blocksOf(presence: Presence): readonly string[] {
  const paths = presence.paths.flatMap((path) => (path.block === null ? [] : [path.block]));
  return presence.map === null ? paths : [presence.map.block, ...paths];
}

function namesOf(presence: Presence, link: string): readonly string[] {
  return presence.map === null ? [link] : [link, mapName(presence.map)];
}

function wrongSize(spec: LunSpec, block: string, seen: number | null): StorageError {
  return new StorageError(
    'DEVICE_SIZE',
    `/dev/${block} has ${seen === null ? 'no size' : `${seen} bytes`}, TrueNAS says ${spec.size} for ${spec.volume}`,
    {
      causes: ['the volume was resized on TrueNAS and the target still serves the old size'],
      hints: [`blockdev --getsize64 /dev/${block}`],
      facts: { block, seen, wanted: spec.size },
    },
  );
}
