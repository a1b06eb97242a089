import type { Deadline } from '../../core/ports.ts';
import { SharedRun } from '../../core/shared-run.ts';
import { codeOf, type SysFiles } from '../sys-files.ts';
import { waitFor } from '../waiting.ts';
import type { HostContext } from '../host-context.ts';

/** Programs that keep path devices open as their job or look at them for an instant: they do not use a volume. */
const WATCHERS = new Set(['multipathd', 'systemd-udevd', '(udev-worker)', 'udevd', 'scsi_id', 'blkid']);

/** Scans by LVM and others open every disk for a moment; only who is still there after this long (ms) holds it. */
const PASSING_MS = 2000;

/**
 * Who holds any of these block devices (`sda`, `dm-3`; of one volume: paths and map) or their partitions open on this node. Empty when
 * nobody does. Knows: kernel holders other than the volume's own map, mounts, swap, loop devices, open files of any process (QEMU),
 * exclusive openers of whatever kind.
 */
export async function holdersOf(files: SysFiles, blocks: readonly string[], names: readonly string[] = []): Promise<readonly string[]> {
  const own = await withPartitions(files, blocks);
  const found = new Set<string>();
  for (const block of own) {
    for (const holder of await files.list(`/sys/class/block/${block}/holders`)) {
      if (!own.has(holder)) found.add(`${holder}${await dmName(files, holder)}`);
    }
  }
  const paths = new Set([...names, ...[...own].map((block) => `/dev/${block}`)]);
  for (const use of await mountsAndSwaps(files, own, paths)) found.add(use);
  for (const use of await loops(files, paths)) found.add(use);
  for (const use of await openFiles(files, paths)) found.add(use);
  if (found.size === 0) {
    // A path below its own map is always claimed, by the map: there the map is what counts.
    for (const block of own) {
      const below = (await files.list(`/sys/class/block/${block}/holders`)).length > 0;
      if (!below && (await files.claimed(`/dev/${block}`))) found.add(`an exclusive opener of /dev/${block}`);
    }
  }
  return [...found].sort();
}

/** As holdersOf, but those that are gone a moment later do not count. */
export async function lastingHolders(
  context: HostContext,
  blocks: readonly string[],
  names: readonly string[],
  deadline: Deadline,
): Promise<readonly string[]> {
  let last: readonly string[] = [];
  await waitFor({ ...context, deadline, atMostMs: PASSING_MS }, async () => {
    last = await holdersOf(context.files, blocks, names);
    return last.length === 0 ? true : undefined;
  });
  return last;
}

/** The devices, their partitions, and what kpartx has made of a map's partitions. */
async function withPartitions(files: SysFiles, blocks: readonly string[]): Promise<ReadonlySet<string>> {
  const own = new Set(blocks);
  for (const block of blocks) {
    for (const name of await files.list(`/sys/class/block/${block}`)) {
      if (name.startsWith(block) && (await files.read(`/sys/class/block/${name}/partition`)) !== null) own.add(name);
    }
    const uuid = await files.read(`/sys/class/block/${block}/dm/uuid`);
    if (uuid === null) continue;
    for (const holder of await files.list(`/sys/class/block/${block}/holders`)) {
      const holderUuid = (await files.read(`/sys/class/block/${holder}/dm/uuid`)) ?? '';
      if (/^part\d+-/.test(holderUuid) && holderUuid.slice(holderUuid.indexOf('-') + 1) === uuid) own.add(holder);
    }
  }
  return own;
}

async function dmName(files: SysFiles, block: string): Promise<string> {
  const name = await files.read(`/sys/class/block/${block}/dm/name`);
  return name === null ? '' : ` (${name})`;
}

async function mountsAndSwaps(files: SysFiles, own: ReadonlySet<string>, paths: ReadonlySet<string>): Promise<readonly string[]> {
  const numbers = new Set<string>();
  for (const block of own) {
    const number = await files.read(`/sys/class/block/${block}/dev`);
    if (number !== null) numbers.add(number);
  }
  const uses: string[] = [];
  // Process 1 and not ourselves: systemd may have given the daemon a mount table of its own.
  for (const line of ((await files.read('/proc/1/mountinfo')) ?? '').split('\n')) {
    const fields = line.split(' ');
    if (fields[2] !== undefined && numbers.has(fields[2])) uses.push(`mount ${fields[4] ?? '?'}`);
  }
  for (const line of ((await files.read('/proc/swaps')) ?? '').split('\n')) {
    const device = line.split(/\s/)[0];
    if (device !== undefined && paths.has(device)) uses.push(`swap ${device}`);
  }
  return uses;
}

async function loops(files: SysFiles, paths: ReadonlySet<string>): Promise<readonly string[]> {
  const uses: string[] = [];
  for (const name of await files.list('/sys/class/block')) {
    if (!name.startsWith('loop')) continue;
    const backing = await files.read(`/sys/class/block/${name}/loop/backing_file`);
    if (backing !== null && paths.has(backing)) uses.push(name);
  }
  return uses;
}

/** A process and the devices that it has open, by the names under which it opened them. */
interface Opener {
  readonly pid: string;
  readonly devices: ReadonlySet<string>;
}

/** One look at all processes serves all volumes that are detached at once. */
const looks = new WeakMap<SysFiles, SharedRun<readonly Opener[]>>();

function openers(files: SysFiles): Promise<readonly Opener[]> {
  const look = looks.get(files) ?? new SharedRun(() => lookForOpeners(files));
  looks.set(files, look);
  return look.run();
}

async function lookForOpeners(files: SysFiles): Promise<readonly Opener[]> {
  const found: Opener[] = [];
  for (const pid of await files.list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const devices = new Set((await targetsOf(files, `/proc/${pid}/fd`)).filter((target) => target.startsWith('/')));
    if (devices.size > 0) found.push({ pid, devices });
  }
  return found;
}

/** Where some descriptors are hidden the others still count: then they are read one by one. */
async function targetsOf(files: SysFiles, descriptors: string): Promise<readonly string[]> {
  const all = await unlessHidden(files.linksIn(descriptors), null);
  if (all !== null) return all;
  const targets: string[] = [];
  for (const descriptor of await unlessHidden(files.list(descriptors), [])) {
    const target = await unlessHidden(files.readLink(`${descriptors}/${descriptor}`), null);
    if (target !== null) targets.push(target);
  }
  return targets;
}

async function openFiles(files: SysFiles, paths: ReadonlySet<string>): Promise<readonly string[]> {
  const uses: string[] = [];
  for (const { pid, devices } of await openers(files)) {
    if (![...paths].some((path) => devices.has(path))) continue;
    const name = (await files.read(`/proc/${pid}/comm`)) ?? '?';
    if (!WATCHERS.has(name)) uses.push(`${name} (process ${pid})`);
  }
  return uses;
}

/**
 * A security module may hide a protected process's descriptors even from root (the first process of a container, for
 * one). Such a process is no guest of this node; the exclusive claim on the device still tells of a mount or a map.
 */
async function unlessHidden<T>(work: Promise<T>, hidden: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM') return hidden;
    throw error;
  }
}
