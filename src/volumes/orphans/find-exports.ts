import type { Extent, Mapping, Target } from '../../core/array-port.ts';
import { bearsMarkOf, childName, extentMaker, isVolumeName, otherName, zvolOfDisk } from './naming.ts';
import type { StorageFacts } from './facts.ts';
import { type Certainty, type Orphan, orphanId } from './orphan.ts';

const MENU = 'TrueNAS: Shares > Block (iSCSI) Shares Targets';

/** Extents of ours or of a Perl plugin whose zvol is gone from the storage's own dataset (F-314). */
export function findExtentsWithoutZvol(facts: StorageFacts): readonly Orphan[] {
  return facts.extents.flatMap((extent) => {
    const zvol = zvolOfDisk(extent.disk);
    const name = zvol === null ? null : childName(facts.dataset.id, zvol);
    if (zvol === null || name === null || facts.zvols.has(zvol)) return [];
    const maker = extentMaker(extent, zvol);
    if (maker === null) return [];
    const mappings = facts.mappings.filter((mapping) => mapping.extent === extent.id);
    const { certainty, why } = judgeExtent(facts, extent, zvol, name, maker);
    const luns = mappings.length === 0 ? '' : ` and LUN ${mappings.map((mapping) => mapping.lun).join(', ')}`;
    return [
      {
        id: orphanId('extent-without-zvol', zvol, extent.id, extent.naa),
        kind: 'extent-without-zvol',
        name: extent.name,
        createdAt: null,
        size: null,
        reason: `its zvol '${zvol}' does not exist, its dataset does; ${why}`,
        certainty,
        action: certainty === 'certain' ? `delete the extent${luns}` : `none; ${MENU} > Extents`,
        data: false,
        was: describeExport(facts, extent, mappings),
        subject: { type: 'extent', extent, mappings },
      },
    ];
  });
}

function judgeExtent(
  facts: StorageFacts,
  extent: Extent,
  zvol: string,
  name: string,
  maker: { readonly who: 'ours' | 'perl'; readonly sure: boolean },
): { readonly certainty: Certainty; readonly why: string } {
  if (facts.open.some((operation) => operation.zvol === zvol))
    return { certainty: 'unsure', why: 'an operation of this node on it is under way' };
  const renamed = renamedTo(facts, extent, name);
  if (renamed !== null) return { certainty: 'unsure', why: `it may be the extent of '${renamed}', renamed` };
  if (maker.who === 'ours') return { certainty: 'certain', why: 'the extent bears our mark' };
  if (maker.sure) return { certainty: 'certain', why: 'a Perl plugin made the extent, by its name' };
  return { certainty: 'likely', why: 'its name is what an early Perl plugin used, and what anybody may use' };
}

/** The zvol that the extent was made for under another name: found by its mark, or a template without an extent of its own (F-304). */
function renamedTo(facts: StorageFacts, extent: Extent, name: string): string | null {
  const marked = [...facts.zvols.values()].find((zvol) => bearsMarkOf(extent, zvol));
  return marked?.id ?? counterpartWithoutExport(facts, name);
}

/** `base-…` for `vm-…` and back, when that zvol is there and nothing exports it: a conversion into a template that stopped half way. */
export function counterpartWithoutExport(facts: StorageFacts, name: string): string | null {
  const other = otherName(name);
  if (other === null) return null;
  const id = `${facts.dataset.id}/${other}`;
  const exports = [...facts.extents, ...(facts.namespaces ?? [])];
  return facts.zvols.has(id) && !exports.some((one) => zvolOfDisk(one.disk) === id) ? id : null;
}

/**
 * Mappings whose extent or target is gone. One without an extent has nothing left that says whose it was, so it is only reported, and only on
 * the storage's own target.
 */
export function findDanglingMappings(facts: StorageFacts): readonly Orphan[] {
  const extents = new Map(facts.extents.map((extent) => [extent.id, extent]));
  const targets = new Map(facts.targets.map((target) => [target.id, target]));
  return facts.mappings.flatMap((mapping) => {
    const extent = extents.get(mapping.extent);
    const target = targets.get(mapping.target);
    if (extent === undefined) return mapping.target === facts.target?.id ? [withoutExtent(mapping, facts.target)] : [];
    return target === undefined ? withoutTarget(facts, mapping, extent) : [];
  });
}

function withoutExtent(mapping: Mapping, target: Target): Orphan {
  return {
    id: orphanId('mapping-without-extent', `mapping-${mapping.id}`, mapping.target, mapping.extent, mapping.lun),
    kind: 'mapping-without-extent',
    name: `LUN ${mapping.lun} of ${target.iqn}`,
    createdAt: null,
    size: null,
    reason: `its extent ${mapping.extent} does not exist; nothing says whose it was`,
    certainty: 'likely',
    action: `none; ${MENU} > Associated Targets`,
    data: false,
    was: { mapping: mapping.id, target: target.iqn, lun: mapping.lun, extent: mapping.extent },
    subject: { type: 'report' },
  };
}

function withoutTarget(facts: StorageFacts, mapping: Mapping, extent: Extent): readonly Orphan[] {
  const zvol = zvolOfDisk(extent.disk);
  const name = zvol === null ? null : childName(facts.dataset.id, zvol);
  const maker = zvol === null ? null : extentMaker(extent, zvol);
  if (zvol === null || name === null || maker === null) return [];
  // The extent goes with its mappings when its zvol is gone.
  if (!facts.zvols.has(zvol)) return [];
  const busy = facts.open.some((operation) => operation.zvol === zvol);
  const certainty: Certainty = busy ? 'unsure' : maker.sure && isVolumeName(name) ? 'certain' : 'likely';
  return [
    {
      id: orphanId('mapping-without-target', zvol, mapping.id, mapping.target, extent.naa),
      kind: 'mapping-without-target',
      name: `LUN ${mapping.lun} of extent ${extent.name}`,
      createdAt: null,
      size: null,
      reason: `its target ${mapping.target} does not exist${busy ? '; an operation of this node on it is under way' : ''}`,
      certainty,
      action: certainty === 'certain' ? 'delete the mapping; extent and zvol stay' : `none; ${MENU} > Associated Targets`,
      data: false,
      was: describeExport(facts, extent, [mapping]),
      subject: { type: 'mapping', mapping },
    },
  ];
}

/** All that is needed to make extent and mappings again. */
export function describeExport(facts: StorageFacts, extent: Extent, mappings: readonly Mapping[]): Readonly<Record<string, unknown>> {
  return {
    extent: extent.name,
    extent_id: extent.id,
    disk: extent.disk,
    naa: extent.naa,
    serial: extent.serial,
    blocksize: extent.blocksize,
    comment: extent.comment,
    enabled: extent.enabled,
    mappings: mappings.map((mapping) => ({
      id: mapping.id,
      target: facts.targets.find((target) => target.id === mapping.target)?.iqn ?? mapping.target,
      lun: mapping.lun,
    })),
  };
}
