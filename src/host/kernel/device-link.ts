import type { Deadline } from '../../core/ports.ts';
import type { SysFiles } from '../sys-files.ts';
import { type VolumeRef, volumeKey } from '../volume-ref.ts';
import { waitFor } from '../waiting.ts';
import type { HostContext } from '../host-context.ts';
import type { MultipathMap } from './multipath.ts';
import { announceDisk } from './scsi-devices.ts';

const BY_ID = '/dev/disk/by-id';
/** There while udev has events to work on (udevadm-settle(8)). */
const UDEV_QUEUE = '/run/udev/queue';
/** ms that udev gets for a name before it is asked again; it needs 1 to 3 s (RP-10) */
const NAMED_IN_MS = 5000;
/** ms that a busy udev gets for the name that is wanted first: it makes those of a disk one right after the other, in any order */
const ALL_NAMED_IN_MS = 1000;

/** `/dev/pve-truenas/<storage>/<volume>`. Errors: NAME_INVALID. */
export function linkPath(linkBase: string, volume: VolumeRef): string {
  return `${linkBase}/${volumeKey(volume)}`;
}

interface IdentityName {
  readonly name: string;
  readonly block: string;
}

/**
 * The name of udev that carries the identity of a verified path and leads to one of `blocks` as a block device (F-326); undefined when
 * udev has not made one in time. Names are caches (RP-13), so where they lead is checked.
 *
 * A path loses its names for good when somebody who wrote to it closes it while the array is away: udev looks at it anew, and its scsi_id
 * gets no answer (without sg3-utils-udev, which Proxmox VE does not install). So an idle udev is asked for them once more. Errors:
 * HOST_COMMAND when it cannot be asked.
 */
export async function identityName(
  context: HostContext,
  naa: string,
  blocks: readonly string[],
  deadline: Deadline,
): Promise<IdentityName | undefined> {
  for (;;) {
    const found = await namedWithin(context, naa, blocks, deadline, NAMED_IN_MS);
    if (found !== undefined || deadline.signal.aborted || deadline.remaining() <= 0) return found;
    if ((await context.files.kind(UDEV_QUEUE)) !== null) continue;
    await Promise.all(blocks.map((block) => announceDisk(context, block, deadline)));
    return namedWithin(context, naa, blocks, deadline, Number.POSITIVE_INFINITY);
  }
}

/** The name that is wanted first, so that a disk has the same one on each node; the other one where udev makes no more. */
async function namedWithin(
  context: HostContext,
  naa: string,
  blocks: readonly string[],
  deadline: Deadline,
  atMostMs: number,
): Promise<IdentityName | undefined> {
  const names = [`wwn-0x${naa}`, `scsi-3${naa}`];
  let other: IdentityName | undefined;
  let seen = 0;
  const look = async (): Promise<IdentityName | undefined> => {
    const [first, ...later] = await Promise.all(names.map((entry) => leadsTo(context, `${BY_ID}/${entry}`, blocks)));
    if (first !== undefined) return first;
    const before = other;
    other = later.find((one) => one !== undefined);
    if (other === undefined) return undefined;
    if (before === undefined) seen = context.clock.monotonic();
    if ((await context.files.kind(UDEV_QUEUE)) !== null && context.clock.monotonic() - seen < ALL_NAMED_IN_MS) return undefined;
    // an idle udev has made all names by now, but had not when they were looked at
    return (await leadsTo(context, `${BY_ID}/${names[0]}`, blocks)) ?? other;
  };
  const options = { ...context, deadline, atMostMs, watch: [BY_ID], entries: (entry: string) => names.includes(entry) };
  return (await waitFor(options, look)) ?? other;
}

/** The name where it leads to one of `blocks`. */
async function leadsTo(context: HostContext, name: string, blocks: readonly string[]): Promise<IdentityName | undefined> {
  // most looks end here: following what is not there yet costs a look at each directory above it
  if ((await context.files.readLink(name)) === null) return undefined;
  const device = await context.files.resolve(name);
  const block = blocks.find((candidate) => device === `/dev/${candidate}`);
  return block !== undefined && (await context.files.kind(name)) === 'block' ? { name, block } : undefined;
}

/** The name of a map: stable, carries the WWID or the administrator's alias for it. */
export function mapName(map: MultipathMap): string {
  return `/dev/mapper/${map.name}`;
}

/** The NAA that a volume's link was set to, out of the link's own text or of the map it leads to; null when it tells none. */
export async function naaOfLink(files: SysFiles, link: string): Promise<string | null> {
  const text = await files.readLink(link);
  if (text === null) return null;
  const told = /^\/dev\/disk\/by-id\/(?:wwn-0x|scsi-3)([0-9a-f]{32})$/.exec(text) ?? /^\/dev\/mapper\/3([0-9a-f]{32})$/.exec(text);
  if (told?.[1] !== undefined) return told[1];
  const device = await files.resolve(text);
  const block = /^\/dev\/(dm-\d+)$/.exec(device ?? '')?.[1];
  if (block === undefined) return null;
  const uuid = (await files.read(`/sys/class/block/${block}/dm/uuid`)) ?? '';
  return /^mpath-3([0-9a-f]{32})$/.exec(uuid)?.[1] ?? null;
}
