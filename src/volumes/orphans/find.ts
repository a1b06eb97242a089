import type { StorageFacts } from './facts.ts';
import { findDanglingMappings, findExtentsWithoutZvol } from './find-exports.ts';
import { findNamespacesWithoutZvol } from './find-namespaces.ts';
import { findBackupClones, findUnreferenced } from './find-volumes.ts';
import { findZvolsWithoutExport } from './find-zvols.ts';
import type { Orphan } from './orphan.ts';

/** All orphans of one storage, by kind and name. Pure: the same facts give the same answer. */
export function findOrphans(facts: StorageFacts): readonly Orphan[] {
  return [
    ...findExtentsWithoutZvol(facts),
    ...findDanglingMappings(facts),
    ...findNamespacesWithoutZvol(facts),
    ...findZvolsWithoutExport(facts),
    ...findBackupClones(facts),
    ...findUnreferenced(facts),
  ];
}

/** What could not be looked for, in words. */
export function notesOf(facts: StorageFacts): readonly string[] {
  return [
    ...(facts.references.missing === null
      ? []
      : [`volumes that no guest refers to were not looked for, and no zvol is deleted: ${facts.references.missing}`]),
    ...(facts.namespaces === null
      ? ['the API key may not read the NVMe-oF namespaces (SHARING_NVME_TARGET_READ): none were looked at']
      : []),
    ...(facts.target === null ? ['the target of the storage does not exist: mappings without an extent were not looked for'] : []),
  ];
}
