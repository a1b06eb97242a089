import type { Mapping } from '../../core/array-port.ts';
import { asStorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import type { InspectContext } from './inspect-context.ts';
import { findTarget } from '../lookup.ts';
import { type Check, critical, failed, ok } from './check.ts';

/**
 * Conflicts that exist already. Two mappings at one LUN of the target: one of the volumes is served as the other (F-103).
 * Two extents on one zvol, which 25.04 does not refuse (truenas-api 11): two guests may write to one disk.
 */
export async function inspectLuns(context: InspectContext, deadline: Deadline): Promise<readonly Check[]> {
  try {
    await context.inventory.ready(context.config.dataset, deadline);
    const checks = [...doubleLuns(context), ...doubleExtents(context)];
    return checks.length > 0 ? checks : [ok('LUNs', 'no LUN is mapped twice, no volume is exported twice')];
  } catch (thrown) {
    const error = asStorageError(thrown);
    // Dataset and target have checks of their own.
    if (error.code === 'TARGET_MISSING' || error.code === 'DATASET_MISSING') return [];
    return [failed('LUNs', error, 'api_host')];
  }
}

function doubleLuns(context: InspectContext): readonly Check[] {
  const target = findTarget(context);
  const byLun = new Map<number, Mapping[]>();
  for (const mapping of context.inventory.mappings.entries.values()) {
    if (mapping.target !== target.id) continue;
    byLun.set(mapping.lun, [...(byLun.get(mapping.lun) ?? []), mapping]);
  }
  return [...byLun].flatMap(([lun, mappings]) => {
    if (mappings.length < 2) return [];
    const served = mappings.map((mapping) => `mapping ${mapping.id}: ${extentName(context, mapping.extent)}`).join(', ');
    return [
      critical('LUNs', `LUN ${lun} of target '${target.iqn}' is mapped ${mappings.length} times (${served})`, {
        cure: 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Associated Targets: remove the wrong one',
      }),
    ];
  });
}

function doubleExtents(context: InspectContext): readonly Check[] {
  const prefix = `zvol/${context.config.dataset.replaceAll(' ', '+')}/`;
  const byDisk = new Map<string, string[]>();
  for (const extent of context.inventory.extents.entries.values()) {
    if (extent.disk === null || !extent.disk.startsWith(prefix) || !extent.enabled) continue;
    byDisk.set(extent.disk, [...(byDisk.get(extent.disk) ?? []), extent.name]);
  }
  return [...byDisk].flatMap(([disk, extents]) => {
    if (extents.length < 2) return [];
    return [
      critical('LUNs', `'${disk}' is exported by ${extents.length} extents (${extents.join(', ')}): two guests may write to one disk`, {
        cure: 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Extents: delete the one that no guest uses',
      }),
    ];
  });
}

function extentName(context: InspectContext, id: number): string {
  const extent = context.inventory.extents.entries.get(id);
  return extent === undefined ? `extent ${id}` : (extent.disk ?? extent.name);
}
