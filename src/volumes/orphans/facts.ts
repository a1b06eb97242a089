import type { DatasetInfo, Extent, Mapping, Namespace, Snapshot, Target, TargetSession, Zvol } from '../../core/array-port.ts';
import { StorageError } from '../../core/errors.ts';
import type { GuestReferencesPort } from '../../core/guest-references.ts';
import type { OpenOperation } from '../../core/journal-port.ts';
import type { Deadline } from '../../core/ports.ts';
import type { StorageContext } from '../context.ts';
import { extentName, ownerOf } from '../owner-mark.ts';
import { backupOf, childName, extentMaker, isVolumeName, zvolOfDisk } from './naming.ts';
import { type References, referencesOf } from './references.ts';

/** What hangs on one zvol; read only of zvols that might be orphans. */
export interface ZvolDetails {
  readonly snapshots: readonly Snapshot[];
  /** Names of its snapshots that somebody holds. */
  readonly held: readonly string[];
  /** Datasets that are clones of its snapshots. */
  readonly clones: readonly string[];
}

/** All that the finders judge a storage by: read from the array for this one look, nothing of it out of the inventory. */
export interface StorageFacts {
  readonly storage: string;
  /** ms since the epoch */
  readonly now: number;
  readonly dataset: DatasetInfo;
  /** The storage's target; null when there is none of this name. */
  readonly target: Target | null;
  /** NQN or name of the subsystem that the settings of the Perl plugins name; null: none. */
  readonly subsystem: string | null;
  /** Zvols directly in the dataset. */
  readonly zvols: ReadonlyMap<string, Zvol>;
  readonly extents: readonly Extent[];
  readonly mappings: readonly Mapping[];
  readonly targets: readonly Target[];
  readonly sessions: readonly TargetSession[];
  /** null: this key may not read them. */
  readonly namespaces: readonly Namespace[] | null;
  readonly references: References;
  /** Operations of this node that are under way or left open. */
  readonly open: readonly OpenOperation[];
  readonly details: ReadonlyMap<string, ZvolDetails>;
}

/** What a look needs besides the storage. */
export interface LookContext {
  readonly guests: GuestReferencesPort;
  /** Storages that are known not to be this dataset. */
  readonly elsewhere: ReadonlySet<string>;
}

interface Lists extends Omit<StorageFacts, 'details'> {
  /** The one zvol that matters; null: all do. */
  readonly only: string | null;
}

/** Reads of single objects that run at the same time: the array has one connection for all of us. */
const AT_ONCE = 8;

/**
 * Reads everything that is needed to judge a storage, and then each suspect once more by itself: a list that was cut short, or that
 * changed while it was read, must never make an orphan of something (law 3, F-207). Fails as a whole when any part cannot be read.
 * With `only` the facts are good for judging that one zvol and its exports: no other suspect is looked at again.
 * Errors: DATASET_MISSING, DATASET_UNUSABLE, LOOK_INCOMPLETE, those of the array.
 */
export async function readFacts(
  context: StorageContext,
  look: LookContext,
  deadline: Deadline,
  only: string | null = null,
): Promise<StorageFacts> {
  const first = await readLists(context, look, only, deadline);
  const lists = await withoutVanished(context, await withSecondSight(context, first, deadline), deadline);
  const { only: _, ...facts } = lists;
  return { ...facts, details: await readDetails(context, lists, deadline) };
}

async function readLists(context: StorageContext, look: LookContext, only: string | null, deadline: Deadline): Promise<Lists> {
  const { array, config, journal, clock } = context;
  // Before the array: an operation that ends meanwhile is then still seen as open.
  const open = await journal.list();
  // Users before what they use (mapping, extent, zvol): whatever is made meanwhile has its parts first, so none of them seems to be missing.
  const [mappings, targets, sessions, namespaces, guests] = await Promise.all([
    array.mappings(deadline),
    array.targets(deadline),
    array.targetSessions(deadline),
    readNamespaces(context, deadline),
    look.guests.read(deadline),
  ]);
  const extents = await array.extents(deadline);
  const [zvols, dataset] = await Promise.all([array.zvols(config.dataset, deadline), array.dataset(config.dataset, deadline)]);
  if (dataset === null) throw new StorageError('DATASET_MISSING', `dataset '${config.dataset}' does not exist on TrueNAS`);
  assertReadable(dataset);
  return {
    only,
    storage: config.id,
    now: clock.now(),
    dataset,
    target: targets.find((target) => target.iqn === config.target) ?? targets.find((target) => target.name === config.target) ?? null,
    subsystem: subsystemOf(context.section),
    zvols: direct(zvols, config.dataset),
    extents,
    mappings,
    targets,
    sessions,
    namespaces,
    references: referencesOf(guests, look.elsewhere),
    open,
  };
}

/** What a locked dataset holds is hidden: nothing in it is missing. */
function assertReadable(dataset: DatasetInfo): void {
  if (dataset.type !== 'FILESYSTEM') throw new StorageError('DATASET_UNUSABLE', `'${dataset.id}' is a zvol, not a dataset`);
  if (dataset.locked) throw new StorageError('DATASET_UNUSABLE', `dataset '${dataset.id}' is locked: what is in it cannot be seen`);
}

async function readNamespaces(context: StorageContext, deadline: Deadline): Promise<readonly Namespace[] | null> {
  try {
    return await context.array.namespaces(deadline);
  } catch (error) {
    if (error instanceof StorageError && error.code === 'NOT_AUTHORIZED') return null;
    throw error;
  }
}

function subsystemOf(section: Readonly<Record<string, unknown>>): string | null {
  const value = section['subsystem_nqn'] ?? section['tn_subsystem_nqn'];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Zvols of exports that the list of zvols does not have. */
function missingZvols(lists: Lists): readonly string[] {
  const wanted = new Set<string>();
  for (const extent of lists.extents) {
    const zvol = zvolOfDisk(extent.disk);
    if (zvol !== null && childName(lists.dataset.id, zvol) !== null && extentMaker(extent, zvol) !== null) wanted.add(zvol);
  }
  for (const namespace of lists.namespaces ?? []) {
    const zvol = zvolOfDisk(namespace.disk);
    const name = zvol === null ? null : childName(lists.dataset.id, zvol);
    if (zvol !== null && name !== null && isVolumeName(name)) wanted.add(zvol);
  }
  return [...wanted].filter((zvol) => !lists.zvols.has(zvol) && (lists.only === null || zvol === lists.only));
}

/**
 * Where something seems to be missing, its list is read twice, and everything counts that was seen once: a zvol that is missing may only have
 * another name, and one that seems to have no export may have one, in the part of a list that was cut off.
 */
async function withSecondSight(context: StorageContext, lists: Lists, deadline: Deadline): Promise<Lists> {
  const { array } = context;
  const again = unexported(lists).length > 0;
  const [zvols, extents, mappings, namespaces] = await Promise.all([
    missingZvols(lists).length > 0 ? array.zvols(lists.dataset.id, deadline) : [],
    again ? array.extents(deadline) : [],
    again ? array.mappings(deadline) : [],
    again ? readNamespaces(context, deadline) : [],
  ]);
  return {
    ...lists,
    zvols: new Map([...lists.zvols, ...direct(zvols, lists.dataset.id)]),
    extents: both(lists.extents, extents),
    mappings: both(lists.mappings, mappings),
    namespaces: namespaces === null || lists.namespaces === null ? null : both(lists.namespaces, namespaces),
  };
}

function both<T extends { readonly id: number }>(first: readonly T[], second: readonly T[]): readonly T[] {
  return [...new Map([...first, ...second].map((one) => [one.id, one])).values()];
}

function direct(zvols: readonly Zvol[], dataset: string): ReadonlyMap<string, Zvol> {
  return new Map(zvols.filter((zvol) => childName(dataset, zvol.id) !== null).map((zvol) => [zvol.id, zvol]));
}

/** Asks for each thing that seems to be missing once more by itself, and drops those that are gone together with what missed them. */
async function withoutVanished(context: StorageContext, lists: Lists, deadline: Deadline): Promise<Lists> {
  const { array, config } = context;
  const gone = { extents: new Set<number>(), mappings: new Set<number>() };
  const known = { extents: new Set(lists.extents.map((one) => one.id)), targets: new Set(lists.targets.map((one) => one.id)) };
  await eachOf(missingZvols(lists), async (zvol) => {
    // Parent and zvol in one answer: where the parent is not seen, nothing can be missing in it.
    const seen = await array.datasetAndZvol(config.dataset, zvol, deadline);
    assertReadable(seen.dataset);
    if (seen.zvol !== null) throw incomplete(`zvol '${zvol}' exists, but the list of zvols does not have it`);
    for (const extent of lists.extents.filter((one) => zvolOfDisk(one.disk) === zvol)) {
      const now = await array.extent(extent.id, deadline);
      if (now === null || now.naa !== extent.naa || now.disk !== extent.disk) gone.extents.add(extent.id);
    }
  });
  const dangling = lists.mappings.filter((mapping) => !known.extents.has(mapping.extent) || !known.targets.has(mapping.target));
  await eachOf(dangling, async (mapping) => {
    if ((await array.mapping(mapping.id, deadline)) === null) gone.mappings.add(mapping.id);
    else if (!known.extents.has(mapping.extent) && (await array.extent(mapping.extent, deadline)) !== null)
      throw incomplete(`extent ${mapping.extent} exists, but the list of extents does not have it`);
  });
  if (dangling.some((mapping) => !known.targets.has(mapping.target))) {
    const appeared = (await array.targets(deadline)).find((target) => !known.targets.has(target.id));
    if (appeared !== undefined) throw incomplete(`target '${appeared.iqn}' exists, but the list of targets did not have it`);
  }
  return {
    ...lists,
    extents: lists.extents.filter((extent) => !gone.extents.has(extent.id)),
    mappings: lists.mappings.filter((mapping) => !gone.mappings.has(mapping.id) && !gone.extents.has(mapping.extent)),
  };
}

/** ms: what is younger may be the work of another node that is between two steps; no operation of PVE's takes longer. */
export const SETTLED_MS = 15 * 60_000;

/** Whether the zvol is old enough to be judged. Unknown is young. */
export function isSettled(zvol: Zvol, now: number): boolean {
  return zvol.creation !== null && now - zvol.creation * 1000 >= SETTLED_MS;
}

/** Zvols with our mark and no LUN, and clones left by backups: what could be deleted with its data. */
function unexported(lists: Lists): readonly Zvol[] {
  const exported = exportedZvols(lists);
  return [...lists.zvols.values()].filter(
    (zvol) =>
      (lists.only === null || zvol.id === lists.only) &&
      ((ownerOf(zvol) !== null && !exported.has(zvol.id)) || backupOf(lists.dataset.id, zvol) !== null),
  );
}

/** Those of them that are looked at closely. */
function suspects(lists: Lists): readonly Zvol[] {
  return unexported(lists).filter((zvol) => isSettled(zvol, lists.now));
}

/** Zvols that have a LUN on any target or a namespace of any subsystem. */
export function exportedZvols(lists: Pick<StorageFacts, 'extents' | 'mappings' | 'namespaces'>): ReadonlySet<string> {
  const mapped = new Set(lists.mappings.map((mapping) => mapping.extent));
  const disks = [
    ...lists.extents.filter((extent) => mapped.has(extent.id)).map((extent) => extent.disk),
    ...(lists.namespaces ?? []).map((namespace) => namespace.disk),
  ];
  return new Set(disks.flatMap((disk) => zvolOfDisk(disk) ?? []));
}

async function readDetails(context: StorageContext, lists: Lists, deadline: Deadline): Promise<ReadonlyMap<string, ZvolDetails>> {
  const { array } = context;
  const details = new Map<string, ZvolDetails>();
  await eachOf(suspects(lists), async (zvol) => {
    const owner = ownerOf(zvol);
    const listed = lists.extents.filter((extent) => zvolOfDisk(extent.disk) === zvol.id);
    const own = owner === null ? null : await array.extentByName(extentName(owner), deadline);
    if (own !== null && !lists.extents.some((extent) => extent.id === own.id)) {
      throw incomplete(`extent '${own.name}' exists, but the list of extents does not have it`);
    }
    for (const extent of listed) {
      const mappings = await array.mappingsOfExtent(extent.id, deadline);
      const unlisted = mappings.find((mapping) => !lists.mappings.some((known) => known.id === mapping.id));
      if (unlisted !== undefined) throw incomplete(`mapping ${unlisted.id} exists, but the list of mappings does not have it`);
    }
    const [snapshots, held] = await Promise.all([array.snapshots(zvol.id, deadline), array.heldSnapshots(zvol.id, deadline)]);
    const clones: string[] = [];
    for (const snapshot of snapshots) clones.push(...(await array.clonesOf(snapshot.id, deadline)));
    details.set(zvol.id, { snapshots, held, clones });
  });
  return details;
}

function incomplete(what: string): StorageError {
  return new StorageError('LOOK_INCOMPLETE', `the array's answers do not fit together: ${what}`, { state: 'nothing was changed' });
}

/** Runs `work` for each item, at most AT_ONCE at a time; the first failure is the result. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}
