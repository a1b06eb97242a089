import type { Extent, Mapping, Zvol } from '../../core/array-port.ts';
import { parseVolumeName } from '../../core/volume-name.ts';
import { ownerOf, STORAGE_PROPERTY } from '../owner-mark.ts';
import { exportedZvols, isSettled, type StorageFacts, type ZvolDetails } from './facts.ts';
import { describeExport } from './find-exports.ts';
import { bearsMarkOf, childName, isPerlVolumeName, isVolumeName, zvolOfDisk } from './naming.ts';
import { type Orphan, orphanId } from './orphan.ts';

/** bytes: an empty zvol has some tens of KiB of its own; more means that somebody wrote to it. */
const EMPTY_BYTES = 128 * 1024;

/**
 * Zvols with our mark, or with the name of a Perl plugin's volume (F-507), that have no LUN on any target. One with our mark that is empty,
 * old enough and named by nobody is what an operation left that never ended, of a node that died; one with data lost its export otherwise
 * and is only reported, as is one without mark.
 */
export function findZvolsWithoutExport(facts: StorageFacts): readonly Orphan[] {
  const exported = exportedZvols(facts);
  return [...facts.zvols.values()].flatMap((zvol) => {
    const name = childName(facts.dataset.id, zvol.id);
    if (name === null || !isVolumeName(name) || exported.has(zvol.id)) return [];
    if (ownerOf(zvol) === null) return isPerlVolumeName(name) && facts.namespaces !== null ? [unmarked(facts, zvol, name)] : [];
    const signs = signsOfUse(facts, zvol, name);
    return [signs.length > 0 ? usedVolume(facts, zvol, name, signs) : unfinished(facts, zvol, name)];
  });
}

/** Why this was a finished volume once. */
function signsOfUse(facts: StorageFacts, zvol: Zvol, name: string): readonly string[] {
  const details = facts.details.get(zvol.id);
  const uses = facts.references.usesOf(name);
  return [
    ...(uses.length > 0 ? [`guest ${uses.map((use) => use.vmid).join(', ')} refers to it`] : []),
    ...(zvol.written !== undefined && zvol.written > EMPTY_BYTES ? ['data was written to it'] : []),
    ...((details?.snapshots.length ?? 0) > 0 ? ['it has snapshots'] : []),
    ...(zvol.origin === null ? [] : ['it is a clone']),
    ...facts.extents
      .filter((extent) => bearsMarkOf(extent, zvol) && zvolOfDisk(extent.disk) !== zvol.id)
      .map((extent) => `its extent '${extent.name}' is there, for ${extent.disk ?? 'a file'}: it was renamed`),
  ];
}

function usedVolume(facts: StorageFacts, zvol: Zvol, name: string, signs: readonly string[]): Orphan {
  const referenced = facts.references.usesOf(name).length > 0;
  return {
    ...common(facts, zvol, 'zvol-without-export', name),
    reason: `it has no LUN, but ${signs.join(', ')}`,
    certainty: referenced || facts.references.missing !== null || !isSettled(zvol, facts.now) ? 'unsure' : 'likely',
    action: referenced
      ? 'none; export it again: TrueNAS: Shares > Block (iSCSI) Shares Targets'
      : `none; pvesm free ${facts.storage}:${name}, when nobody needs it`,
    data: true,
    subject: { type: 'report' },
  };
}

/** What a failed allocation of a Perl plugin leaves (F-301, F-314); nothing proves that it is not somebody's own zvol. */
function unmarked(facts: StorageFacts, zvol: Zvol, name: string): Orphan {
  return {
    ...common(facts, zvol, 'zvol-without-export', name),
    reason: 'it has the name of a volume, but no mark and no LUN: a Perl plugin left it, or somebody made it by hand',
    certainty: 'unsure',
    action: 'none; TrueNAS: Datasets: delete it, when nobody needs it',
    data: true,
    subject: { type: 'report' },
  };
}

function unfinished(facts: StorageFacts, zvol: Zvol, name: string): Orphan {
  const extents = extentsOf(facts, zvol);
  const doubts = [
    ...(isSettled(zvol, facts.now) ? [] : ['it is younger than 15 minutes: another node may be at work on it']),
    ...zvolDoubts(facts, zvol, name, facts.details.get(zvol.id)),
    ...(extents.every((extent) => bearsMarkOf(extent, zvol)) ? [] : ['somebody else made an extent of it']),
    ...(zvol.written === undefined ? ['the array does not say whether anything was written to it'] : []),
  ];
  const [first] = doubts;
  return {
    ...common(facts, zvol, 'unfinished-operation', name),
    reason:
      first === undefined
        ? 'an operation began it and never ended: it is empty, has no LUN, and no guest refers to it'
        : `it is empty and has no LUN; ${doubts.join('; ')}`,
    certainty: first === undefined ? 'certain' : isSettled(zvol, facts.now) ? 'likely' : 'unsure',
    action: first === undefined ? 'delete the zvol (with --include-volumes)' : 'none',
    data: true,
    subject: { type: 'zvol', zvol, extents, mappings: [] },
  };
}

/** What forbids to delete a zvol, whatever it is. */
export function zvolDoubts(facts: StorageFacts, zvol: Zvol, name: string, details: ZvolDetails | undefined): readonly string[] {
  const marked = zvol.userProperties[STORAGE_PROPERTY];
  const guest = isVolumeName(name) ? facts.references.guest(parseVolumeName(name).vmid) : null;
  return [
    ...(facts.open.some((operation) => operation.zvol === zvol.id) ? ['an operation of this node on it is under way'] : []),
    ...(facts.references.missing === null ? [] : [`who refers to it is not known: ${facts.references.missing}`]),
    ...facts.references.usesOf(name).map((use) => `guest ${use.vmid} refers to it`),
    ...(guest?.lock === null || guest === null ? [] : [`its guest is locked (${guest.lock})`]),
    ...(facts.namespaces === null ? ['the API key may not read the NVMe-oF namespaces'] : []),
    ...(marked === undefined || marked === facts.storage ? [] : [`it is marked as a volume of storage '${marked}'`]),
    ...(details === undefined ? ['it was not looked at closely'] : []),
    ...((details?.held.length ?? 0) > 0 ? [`snapshots of it are held: ${String(details?.held.join(', '))}`] : []),
    ...((details?.clones.length ?? 0) > 0 ? [`it is the origin of ${String(details?.clones.join(', '))}`] : []),
    ...((details?.snapshots.length ?? 0) > 0 ? ['it has snapshots'] : []),
  ];
}

export function extentsOf(facts: StorageFacts, zvol: Zvol): readonly Extent[] {
  return facts.extents.filter((extent) => zvolOfDisk(extent.disk) === zvol.id);
}

export function mappingsOf(facts: StorageFacts, extents: readonly Extent[]): readonly Mapping[] {
  const ids = new Set(extents.map((extent) => extent.id));
  return facts.mappings.filter((mapping) => ids.has(mapping.extent));
}

/** What every orphan that is a zvol has in common. */
export function common<K extends 'unfinished-operation' | 'zvol-without-export' | 'backup-clone' | 'unreferenced-volume'>(
  facts: StorageFacts,
  zvol: Zvol,
  kind: K,
  name: string,
): { readonly kind: K } & Pick<Orphan, 'id' | 'name' | 'createdAt' | 'size' | 'was'> {
  const extents = extentsOf(facts, zvol);
  return {
    id: orphanId(kind, zvol.id, ownerOf(zvol), zvol.creation),
    kind,
    name,
    createdAt: zvol.creation,
    size: zvol.volsize,
    was: {
      zvol: zvol.id,
      volsize: zvol.volsize,
      volblocksize: zvol.volblocksize,
      used: zvol.used,
      origin: zvol.origin,
      creation: zvol.creation,
      properties: zvol.userProperties,
      exports: extents.map((extent) => describeExport(facts, extent, mappingsOf(facts, [extent]))),
    },
  };
}
