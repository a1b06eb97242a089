import type { ArrayCore } from '../state/array-core.ts';
import { newerSnapshots } from '../state/zfs/dependents.ts';
import type { SnapshotRecord } from '../state/zfs/records.ts';
import { ZfsError } from '../state/zfs/zfs-error.ts';

/** Splits `dataset@snapshot`; null when there is no '@'. */
export function splitSnapshot(path: string): { readonly dataset: string; readonly name: string } | null {
  const at = path.lastIndexOf('@');
  return at < 0 ? null : { dataset: path.slice(0, at), name: path.slice(at + 1) };
}

/** The dataset and, when recursive, all below it. Errors: not-found. */
export function treeNames(core: ArrayCore, dataset: string, recursive: boolean): string[] {
  core.zfs.mustDataset(dataset);
  return recursive ? [dataset, ...core.zfs.descendants(dataset).map((one) => one.name)] : [dataset];
}

/** Snapshots called like this one, of its dataset and of those below it that have it. */
export function sameNamed(core: ArrayCore, path: string, recursive: boolean): SnapshotRecord[] {
  const parts = splitSnapshot(path);
  const own = core.zfs.mustSnapshot(path);
  if (parts === null || !recursive) return [own];
  const below = core.zfs.descendants(parts.dataset).flatMap((one) => core.zfs.snapshot(`${one.name}@${parts.name}`) ?? []);
  return [own, ...below];
}

export function take(
  core: ArrayCore,
  dataset: string,
  name: string,
  recursive: boolean,
  exclude: readonly string[],
  users: Readonly<Record<string, string>>,
): Promise<SnapshotRecord[]> {
  return core.zfs.transaction(() => {
    const excluded = (one: string): boolean => exclude.some((other) => one === other || one.startsWith(`${other}/`));
    return core.snapshots.take(
      treeNames(core, dataset, recursive).filter((one) => !excluded(one)),
      name,
      users,
    );
  });
}

export function clone(core: ArrayCore, snapshot: string, target: string, properties: Readonly<Record<string, unknown>>): Promise<unknown> {
  const raw: Record<string, string> = {};
  for (const [key, value] of Object.entries(properties)) {
    raw[key] =
      typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'boolean' ? String(value) : JSON.stringify(value);
  }
  return core.zfs.transaction(() => core.clones.clone(snapshot, target, raw));
}

/** `zfs rollback` with libzfs's checks (25.x): nothing happens when it is refused. */
export async function rollback25(
  core: ArrayCore,
  path: string,
  options: { recursive: boolean; recursive_clones: boolean; recursive_rollback: boolean },
): Promise<void> {
  await core.zfs.transaction(async () => {
    const targets = options.recursive_rollback ? sameNamed(core, path, true) : [core.zfs.mustSnapshot(path)];
    for (const snapshot of targets) {
      await core.snapshots.rollback(core.zfs.fullName(snapshot), {
        recursive: options.recursive,
        recursiveClones: options.recursive_clones,
      });
    }
  });
  await core.reopenExports();
}

/**
 * 26.0 destroys newer snapshots one by one, newest first, and passes over those that cannot be destroyed; then the rollback
 * itself fails (truenas-api 10). Errors: ZfsError not-found, newer-snapshots.
 */
export async function rollback26(
  core: ArrayCore,
  path: string,
  options: { recursive: boolean; recursive_clones: boolean; recursive_rollback: boolean },
): Promise<void> {
  await core.zfs.transaction(async () => {
    const parts = splitSnapshot(path);
    core.zfs.mustSnapshot(path);
    const datasets = options.recursive_rollback && parts !== null ? treeNames(core, parts.dataset, true) : [parts?.dataset ?? ''];
    for (const dataset of datasets) {
      const fullName = `${dataset}@${parts?.name ?? ''}`;
      const snapshot = core.zfs.snapshot(fullName);
      if (snapshot === undefined) throw new ZfsError('not-found', `${fullName} not found`, [fullName]);
      if (options.recursive || options.recursive_clones) await destroyNewer(core, snapshot, options.recursive_clones);
      await core.snapshots.rollbackTo(fullName);
    }
  });
  await core.reopenExports();
}

async function destroyNewer(core: ArrayCore, snapshot: SnapshotRecord, clones: boolean): Promise<void> {
  for (const newer of newerSnapshots(core.zfs, snapshot).reverse()) {
    for (const name of clones ? core.zfs.clones(newer) : []) await skipping(() => core.datasets.destroy(name));
    await skipping(() => core.snapshots.destroy(core.zfs.fullName(newer), false));
  }
}

async function skipping(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ZfsError)) throw error;
  }
}
