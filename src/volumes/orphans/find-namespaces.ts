import type { Namespace } from '../../core/array-port.ts';
import type { StorageFacts } from './facts.ts';
import { counterpartWithoutExport } from './find-exports.ts';
import { childName, isVolumeName, zvolOfDisk } from './naming.ts';
import { type Certainty, type Orphan, orphanId } from './orphan.ts';

/**
 * NVMe namespaces of the Perl plugins whose zvol is gone (F-207). A namespace has neither name nor mark: it is theirs when it exported a zvol
 * with a volume's name in the storage's own dataset, for certain when its subsystem is the storage's.
 */
export function findNamespacesWithoutZvol(facts: StorageFacts): readonly Orphan[] {
  return (facts.namespaces ?? []).flatMap((namespace) => {
    const zvol = zvolOfDisk(namespace.disk);
    const name = zvol === null ? null : childName(facts.dataset.id, zvol);
    if (zvol === null || name === null || !isVolumeName(name) || facts.zvols.has(zvol)) return [];
    const { certainty, why } = judge(facts, namespace, zvol, name);
    return [
      {
        id: orphanId('namespace-without-zvol', zvol, namespace.id, namespace.uuid),
        kind: 'namespace-without-zvol',
        name: `namespace ${namespace.nsid ?? namespace.id} of ${namespace.subsystem.name}`,
        createdAt: null,
        size: null,
        reason: `its zvol '${zvol}' does not exist, its dataset does; ${why}`,
        certainty,
        action: certainty === 'certain' ? 'delete the namespace' : 'none; TrueNAS: Shares > NVMe-oF Subsystems',
        data: false,
        was: {
          namespace_id: namespace.id,
          nsid: namespace.nsid,
          subsystem: namespace.subsystem.nqn ?? namespace.subsystem.name,
          disk: namespace.disk,
          uuid: namespace.uuid,
          enabled: namespace.enabled,
        },
        subject: { type: 'namespace', namespace },
      },
    ];
  });
}

function judge(facts: StorageFacts, namespace: Namespace, zvol: string, name: string): { certainty: Certainty; why: string } {
  const { subsystem } = namespace;
  if (facts.open.some((operation) => operation.zvol === zvol))
    return { certainty: 'unsure', why: 'an operation of this node on it is under way' };
  const renamed = counterpartWithoutExport(facts, name);
  if (renamed !== null) return { certainty: 'unsure', why: `it may be the namespace of '${renamed}', renamed` };
  if (facts.subsystem !== null && (facts.subsystem === subsystem.nqn || facts.subsystem === subsystem.name))
    return { certainty: 'certain', why: 'it is in the subsystem of the storage' };
  return { certainty: 'likely', why: `the settings of the storage do not name the subsystem '${subsystem.nqn ?? subsystem.name}'` };
}
