import type { Extent, Mapping, Namespace } from '../../core/array-port.ts';
import { StorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import { type StorageContext, volumeKey } from '../context.ts';
import { destroyZvol } from '../destroy-zvol.ts';
import { deleteExtent, deleteMapping, deleteOnce } from '../export-zvol.ts';
import { isSameZvol } from '../owner-mark.ts';
import { type LookContext, readFacts, type StorageFacts } from './facts.ts';
import { findOrphans } from './find.ts';
import { type Orphan, type Subject, whatOf } from './orphan.ts';

export interface CleanResult {
  /** `gone`: somebody else was faster; `kept`: it is no longer certain, or needs a flag that was not given. */
  readonly outcome: 'deleted' | 'gone' | 'kept';
  readonly message: string;
  /** What was deleted, enough to make it again. */
  readonly was: Readonly<Record<string, unknown>>;
}

/**
 * Deletes one orphan that a look has found, and nothing else. Under the volume's lock everything is read from the array anew and judged
 * again: the same object must still be there and still be a certain orphan. Afterwards it is looked for (law 6). A crash between two steps
 * leaves an orphan that the next look finds.
 * Errors: BAD_REQUEST, LOOK_INCOMPLETE, DELETE_UNCONFIRMED, those of the array; nothing was deleted unless the error's state says so.
 */
export async function cleanOrphan(
  context: StorageContext,
  look: LookContext,
  id: string,
  includeVolumes: boolean,
  deadline: Deadline,
): Promise<CleanResult> {
  const what = whatOf(id);
  if (what === null) throw new StorageError('BAD_REQUEST', 'this is not the id of an orphan', { hints: ['pve-truenas orphans --json'] });
  return context.locks.run(volumeKey(context, what), deadline.signal, async () => {
    const facts = await readFacts(context, look, deadline, what);
    const orphan = findOrphans(facts).find((one) => one.id === id);
    if (orphan === undefined) return vanished(facts, id, what);
    if (orphan.certainty !== 'certain') return kept(`${orphan.name}: ${orphan.reason}`);
    if (orphan.data && !includeVolumes) return kept(`${orphan.name} holds data: only --include-volumes deletes it`);
    context.log.info('deleting an orphan', { kind: orphan.kind, reason: orphan.reason, ...orphan.was });
    const outcome = await remove(context, orphan, deadline);
    if (outcome !== null) return outcome;
    context.log.info('orphan deleted', { kind: orphan.kind, orphan: orphan.name });
    return { outcome: 'deleted', message: `${orphan.name} was deleted`, was: orphan.was };
  });
}

function kept(message: string): CleanResult {
  return { outcome: 'kept', message, was: {} };
}

/** The id is not among the orphans any more: because the object is gone, or because it is none. */
function vanished(facts: StorageFacts, id: string, what: string): CleanResult {
  const [, , ...identity] = id.split('#');
  const there =
    facts.zvols.has(what) ||
    facts.extents.some((extent) => identity.includes(extent.naa)) ||
    (facts.namespaces ?? []).some((namespace) => identity.includes(namespace.uuid));
  return there ? kept(`${what} is no orphan any more`) : { outcome: 'gone', message: `${what} is gone already`, was: {} };
}

/** Null when it was deleted and seen to be gone. */
async function remove(context: StorageContext, orphan: Orphan, deadline: Deadline): Promise<CleanResult | null> {
  const { subject } = orphan;
  switch (subject.type) {
    case 'extent':
      await removeExport(context, subject.extent, subject.mappings, deadline);
      return null;
    case 'mapping':
      await removeMapping(context, subject.mapping, deadline);
      return null;
    case 'namespace':
      await removeNamespace(context, subject.namespace, deadline);
      return null;
    case 'zvol':
      return removeZvol(context, subject, deadline);
    case 'link':
    case 'record':
    case 'report':
      return kept(`${orphan.name} is only reported`);
  }
}

async function removeMapping(context: StorageContext, mapping: Mapping, deadline: Deadline): Promise<void> {
  await deleteMapping(context, mapping, deadline);
  if ((await context.array.mapping(mapping.id, deadline)) !== null) throw unconfirmed(`mapping ${mapping.id}`);
}

async function removeExport(context: StorageContext, extent: Extent, mappings: readonly Mapping[], deadline: Deadline): Promise<void> {
  for (const mapping of mappings) await removeMapping(context, mapping, deadline);
  await deleteExtent(context, extent, deadline);
  if ((await context.array.extent(extent.id, deadline)) !== null) throw unconfirmed(`extent '${extent.name}'`);
}

async function removeNamespace(context: StorageContext, namespace: Namespace, deadline: Deadline): Promise<void> {
  const { array } = context;
  const gone = async (): Promise<boolean> => !(await array.namespaces(deadline)).some((one) => one.id === namespace.id);
  await deleteOnce(() => array.deleteNamespace(namespace.id, deadline), gone);
  if (!(await gone())) throw unconfirmed(`namespace ${namespace.id}`);
}

/** Its own exports first: TrueNAS would delete the whole target with its last LUN (truenas-api 9.3). Never recursive. */
async function removeZvol(
  context: StorageContext,
  subject: Extract<Subject, { type: 'zvol' }>,
  deadline: Deadline,
): Promise<CleanResult | null> {
  const { array } = context;
  const { zvol, extents, mappings } = subject;
  // The last thing before the first change: another volume may have this name by now.
  const now = await array.zvol(zvol.id, deadline);
  if (now === null) return { outcome: 'gone', message: `${zvol.id} is gone already`, was: {} };
  if (!isSameZvol(now, zvol)) return kept(`${zvol.id} is another volume by now`);
  for (const extent of extents) {
    await removeExport(
      context,
      extent,
      mappings.filter((mapping) => mapping.extent === extent.id),
      deadline,
    );
  }
  await destroyZvol(context, zvol, deadline);
  return null;
}

function unconfirmed(what: string): StorageError {
  return new StorageError('DELETE_UNCONFIRMED', `TrueNAS said that it deleted ${what}, but it is still there`, {
    hints: ['pve-truenas orphans', 'TrueNAS: Shares > Block (iSCSI) Shares Targets'],
  });
}
