import type { Zvol } from '../../core/array-port.ts';
import { parseVolumeName } from '../../core/volume-name.ts';
import { isPerlPluginExtent, ownerOf } from '../owner-mark.ts';
import { exportedZvols, type StorageFacts } from './facts.ts';
import { common, extentsOf, mappingsOf, zvolDoubts } from './find-zvols.ts';
import { backupOf, childName, extentMaker, isVolumeName, zvolOfDisk } from './naming.ts';
import type { Orphan } from './orphan.ts';

const HOUR_MS = 3_600_000;
/** ms: a backup of a large container may well run for hours. */
const BACKUP_MS = 24 * HOUR_MS;
/** ms: a disk that is moved or restored gets into the guest's configuration when all of it is copied. */
const COPYING_MS = 24 * HOUR_MS;

/** Clones that a Perl plugin made for a backup that did not end (F-315, F-513). */
export function findBackupClones(facts: StorageFacts): readonly Orphan[] {
  return [...facts.zvols.values()].flatMap((zvol) => {
    const made = backupOf(facts.dataset.id, zvol);
    const name = childName(facts.dataset.id, zvol.id);
    if (made === null || name === null) return [];
    const extents = extentsOf(facts, zvol);
    const mappings = mappingsOf(facts, extents);
    const doubts = [...zvolDoubts(facts, zvol, name, facts.details.get(zvol.id)), ...backupDoubts(facts, zvol, made.volume)];
    return [
      {
        ...common(facts, zvol, 'backup-clone', name),
        reason: `a backup made it of '${made.volume}@${made.snapshot}'${doubts.length === 0 ? ' and is over' : `; ${doubts.join('; ')}`}`,
        certainty: doubts.length === 0 ? 'certain' : isOlder(zvol, facts.now, BACKUP_MS) ? 'likely' : 'unsure',
        action: doubts.length === 0 ? 'delete the clone (with --include-volumes)' : 'none',
        data: true,
        subject: { type: 'zvol', zvol, extents, mappings },
      } satisfies Orphan,
    ];
  });
}

function backupDoubts(facts: StorageFacts, zvol: Zvol, volume: string): readonly string[] {
  const extents = extentsOf(facts, zvol);
  const busy = mappingsOf(facts, extents).flatMap((mapping) => {
    const iqn = facts.targets.find((target) => target.id === mapping.target)?.iqn;
    const users = facts.sessions.filter((session) => session.target === iqn);
    return iqn === undefined || users.length === 0 ? [] : [`nodes are logged in to its target ${iqn} and may use it`];
  });
  const lock = facts.references.guest(parseVolumeName(volume).vmid)?.lock ?? null;
  return [
    ...(isOlder(zvol, facts.now, BACKUP_MS) ? [] : ['it is younger than a day: the backup may still run']),
    ...(lock === null ? [] : [`the guest of '${volume}' is locked (${lock})`]),
    ...busy,
    ...(extents.every((extent) => extentMaker(extent, zvol.id)?.sure === true) ? [] : ['somebody else made an extent of it']),
    ...((facts.namespaces ?? []).some((one) => zvolOfDisk(one.disk) === zvol.id) ? ['a namespace exports it'] : []),
  ];
}

/** Volumes that no guest of the cluster names. Only when all guests are known, and never more than a report. */
export function findUnreferenced(facts: StorageFacts): readonly Orphan[] {
  if (facts.references.missing !== null) return [];
  const exported = exportedZvols(facts);
  return [...facts.zvols.values()].flatMap((zvol) => {
    const name = childName(facts.dataset.id, zvol.id);
    if (name === null || !isVolumeName(name) || !exported.has(zvol.id) || !isVolume(facts, zvol)) return [];
    if (facts.references.usesOf(name).length > 0 || facts.open.some((operation) => operation.zvol === zvol.id)) return [];
    const { vmid } = parseVolumeName(name);
    const guest = facts.references.guest(vmid);
    const old = isOlder(zvol, facts.now, COPYING_MS);
    const reason =
      guest === null ? `there is no guest ${vmid}, and no other guest refers to it` : `guest ${vmid} is there, but no guest refers to it`;
    return [
      {
        ...common(facts, zvol, 'unreferenced-volume', name),
        reason: old ? reason : `${reason}; it is younger than a day: it may still be copied to`,
        certainty: old && (guest?.lock ?? null) === null ? 'likely' : 'unsure',
        action: `none; qm rescan or pct rescan, or pvesm free ${facts.storage}:${name}, when nobody needs it`,
        data: true,
        subject: { type: 'report' },
      } satisfies Orphan,
    ];
  });
}

function isVolume(facts: StorageFacts, zvol: Zvol): boolean {
  return ownerOf(zvol) !== null || extentsOf(facts, zvol).some((extent) => isPerlPluginExtent(extent, zvol.id));
}

function isOlder(zvol: Zvol, now: number, ms: number): boolean {
  return zvol.creation !== null && now - zvol.creation * 1000 >= ms;
}
