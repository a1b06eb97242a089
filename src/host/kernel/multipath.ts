import { StorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import type { SysFiles } from '../sys-files.ts';
import { throwIfCancelled, waitFor } from '../waiting.ts';
import type { HostContext } from '../host-context.ts';

export interface MultipathMap {
  /** `dm-3` */
  readonly block: string;
  /** Name below /dev/mapper: the WWID, or an alias that the administrator gave. */
  readonly name: string;
  /** block names of its paths */
  readonly slaves: readonly string[];
}

/** How long (ms) multipathd may take to make a map: 1 to 7 s seen (real-parts 4). */
const MAP_MS = 30_000;

/** multipath's name for a LUN: `3` for an NAA designator, then its digits. */
export function wwidOf(naa: string): string {
  return `3${naa}`;
}

/** The map of exactly this LUN, found by the UUID that dm keeps (`mpath-<wwid>`), never by its name; null when there is none. */
export async function findMap(files: SysFiles, naa: string): Promise<MultipathMap | null> {
  const uuid = `mpath-${wwidOf(naa)}`;
  for (const block of await files.list('/sys/class/block')) {
    if (!block.startsWith('dm-') || (await files.read(`/sys/class/block/${block}/dm/uuid`)) !== uuid) continue;
    const name = await files.read(`/sys/class/block/${block}/dm/name`);
    if (name === null || name === '') continue;
    return { block, name, slaves: await files.list(`/sys/class/block/${block}/slaves`) };
  }
  return null;
}

/**
 * Makes the map of one LUN out of its verified paths, or finds it: registers the WWID, because find_multipaths may demand that (F-112),
 * hands each path to multipathd, and waits for the device node, which comes later than the listing (RP-21). Only per-map commands:
 * a reload of everything disturbed other disks (F-107). Errors: DEVICE_MISSING, HOST_COMMAND.
 */
export async function ensureMap(context: HostContext, naa: string, paths: readonly string[], deadline: Deadline): Promise<MultipathMap> {
  const wwid = wwidOf(naa);
  const complete = async (): Promise<MultipathMap | undefined> => {
    const map = await findMap(context.files, naa);
    return map !== null && paths.every((path) => map.slaves.includes(path)) ? map : undefined;
  };
  const said: string[] = [];
  if ((await complete()) === undefined) {
    await context.commands.run(['multipath', '-a', wwid], { deadline });
    for (const path of paths) said.push(await tell(context, ['add', 'path', path], deadline));
    if ((await findMap(context.files, naa)) === null) said.push(await tell(context, ['add', 'map', wwid], deadline));
  }
  const ready = await waitFor({ ...context, deadline, atMostMs: MAP_MS, watch: ['/dev/mapper'] }, async () => {
    const map = await complete();
    return map !== undefined && (await context.files.resolve(`/dev/mapper/${map.name}`)) === `/dev/${map.block}` ? map : undefined;
  });
  if (ready !== undefined) return ready;
  throwIfCancelled(deadline);
  throw new StorageError('DEVICE_MISSING', `multipathd made no map ${wwid} with the paths ${paths.join(', ')}`, {
    causes: ['multipathd is not running', 'the LUN is on the blacklist of /etc/multipath.conf', 'something else has claimed a path'],
    hints: ['systemctl status multipathd', `multipath -v3 -d ${wwid}`, 'switch use_multipath off where there is one path only'],
    facts: { wwid, paths, multipathd: said },
  });
}

/** Lets the map take on the size of its paths (RP-11). */
export async function resizeMap(context: HostContext, map: MultipathMap, deadline: Deadline): Promise<void> {
  const said = await tell(context, ['resize', 'map', map.name], deadline);
  if (said !== 'ok') context.log.warn('multipathd did not resize a map', { map: map.name, said });
}

/**
 * Removes the map of one LUN and no other. A map is "in use" now and then right after I/O, so this is tried until the deadline (RP-20).
 * Errors: DEVICE_BUSY.
 */
export async function removeMap(context: HostContext, naa: string, deadline: Deadline): Promise<void> {
  const wwid = wwidOf(naa);
  let said = '';
  const gone = await waitFor({ ...context, deadline }, async () => {
    const map = await findMap(context.files, naa);
    if (map === null) return true;
    const answer = await context.commands.run(['multipath', '-f', map.name], { deadline, okExitCodes: 'any' });
    said = `${answer.stdout} ${answer.stderr}`.trim();
    return (await findMap(context.files, naa)) === null ? true : undefined;
  });
  if (gone === undefined) {
    throw new StorageError('DEVICE_BUSY', `multipath map ${wwid} cannot be removed: it stays in use`, { facts: { wwid, said } });
  }
}

/** Takes a WWID out of multipath's list again, so that the list does not grow for ever. Best effort. */
export async function forgetWwid(context: HostContext, naa: string, deadline: Deadline): Promise<void> {
  const listed = ((await context.files.read('/etc/multipath/wwids')) ?? '').split('\n').includes(`/${wwidOf(naa)}/`);
  if (listed) await context.commands.run(['multipath', '-w', wwidOf(naa)], { deadline, okExitCodes: 'any' });
}

/** One order to multipathd; its answer (`ok`, `fail`, a reason) is a hint, the truth is looked up in sysfs. */
async function tell(context: HostContext, order: readonly string[], deadline: Deadline): Promise<string> {
  const answer = await context.commands.run(['multipathd', ...order], { deadline, okExitCodes: 'any' });
  return (answer.stdout || answer.stderr).trim();
}
