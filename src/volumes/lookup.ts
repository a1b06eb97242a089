import type { Extent, Mapping, Target, Zvol } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import type { LunSpec } from '../core/host-port.ts';
import type { Deadline } from '../core/ports.ts';
import { parseVolumeName, type VolumeName } from '../core/volume-name.ts';
import type { StorageContext } from './context.ts';
import { extentDisk, isPerlPluginExtent, ownerOf } from './owner-mark.ts';

/** A volume with its export, as far as there is one. */
export interface Volume {
  readonly name: string;
  readonly zvol: Zvol;
  readonly extent: Extent | null;
  /** Its mapping on the storage's target. */
  readonly mapping: Mapping | null;
  /** `ours` bears our mark, `perl` was made by one of the Perl plugins, `foreign` is neither. */
  readonly made: 'ours' | 'perl' | 'foreign';
}

/** Full name of the zvol of a volume. */
export function zvolId(context: StorageContext, name: string): string {
  return `${context.config.dataset}/${name}`;
}

/**
 * The storage's target. Matched by its whole IQN or its whole name, never by a part of it (F-101).
 * Errors: TARGET_MISSING.
 */
export function findTarget(context: Pick<StorageContext, 'config' | 'inventory'>): Target {
  const wanted = context.config.target;
  const targets = [...context.inventory.targets.entries.values()];
  const found = targets.find((target) => target.iqn === wanted) ?? targets.find((target) => target.name === wanted);
  if (found === undefined) throw targetMissing(context, targets);
  return found;
}

/** TrueNAS's base name where no other is known (truenas-api 11). */
const DEFAULT_BASENAME = 'iqn.2005-10.org.freenas.ctl';
const SHOWN_TARGETS = 10;

/** Says how many targets there are, which, what was expected and what storage.cfg says. */
function targetMissing(context: Pick<StorageContext, 'config' | 'inventory'>, targets: readonly Target[]): StorageError {
  const { config } = context;
  const wanted = config.target;
  const [any] = targets;
  const basename = any === undefined ? DEFAULT_BASENAME : any.iqn.slice(0, any.iqn.length - any.name.length - 1);
  const expected = /^(?:iqn|naa|eui)\./.test(wanted) ? wanted : `${basename}:${wanted}`;
  const iqns = targets.map((target) => target.iqn);
  const shown = iqns.length > SHOWN_TARGETS ? `${iqns.slice(0, SHOWN_TARGETS).join(', ')}, ...` : iqns.join(', ');
  const found = iqns.length === 0 ? 'TrueNAS has no target at all' : `${iqns.length} found: ${shown}`;
  const inConfig = expected === wanted ? '' : `; storage.cfg says '${wanted}'`;
  return new StorageError(
    'TARGET_MISSING',
    `target '${wanted}' (setting target_iqn) does not exist on ${config.apiHost}: expected '${expected}', ${found}${inConfig}`,
    {
      causes: [
        'target_iqn is mistyped, or names a target of another TrueNAS',
        'the target was renamed or deleted',
        `the base name of TrueNAS was changed (it is '${basename}' now)`,
      ],
      hints: [
        'TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets',
        'TrueNAS: Shares > Block (iSCSI) Shares Targets > Global Configuration: Base Name',
        `grep -A 20 'truenasplugin: ${config.id}' /etc/pve/storage.cfg: target_iqn is the full IQN or the name alone`,
      ],
      facts: { wanted, expected, found: iqns },
    },
  );
}

/** Extents by disk and mappings of the storage's target by extent, built once for a whole list. */
export interface ExportIndex {
  readonly extents: ReadonlyMap<string, readonly Extent[]>;
  readonly mappings: ReadonlyMap<number, Mapping>;
}

/** Errors: TARGET_MISSING. */
export function exportIndex(context: StorageContext): ExportIndex {
  const target = findTarget(context);
  const extents = new Map<string, Extent[]>();
  for (const extent of context.inventory.extents.entries.values()) {
    if (extent.disk === null) continue;
    const same = extents.get(extent.disk);
    if (same === undefined) extents.set(extent.disk, [extent]);
    else same.push(extent);
  }
  const mappings = new Map<number, Mapping>();
  for (const mapping of context.inventory.mappings.entries.values())
    if (mapping.target === target.id) mappings.set(mapping.extent, mapping);
  return { extents, mappings };
}

/** Puts zvol, extent and mapping together from what the inventory knows. Null when there is no such zvol. */
export function knownVolume(context: StorageContext, name: string): Volume | null {
  const zvol = context.inventory.zvols(context.config.dataset).get(zvolId(context, name));
  return zvol === undefined ? null : withExport(exportIndex(context), name, zvol);
}

/** As knownVolume, for a zvol at hand. */
export function withExport(index: ExportIndex, name: string, zvol: Zvol): Volume {
  const extents = index.extents.get(extentDisk(zvol.id)) ?? [];
  const extent = extents.find((one) => index.mappings.has(one.id)) ?? extents[0] ?? null;
  const mapping = extent === null ? null : (index.mappings.get(extent.id) ?? null);
  const made = ownerOf(zvol) !== null ? 'ours' : extent !== null && isPerlPluginExtent(extent, zvol.id) ? 'perl' : 'foreign';
  return { name, zvol, extent, mapping, made };
}

/**
 * The volume of a name: from the inventory, and read now when the inventory does not know it (another node may just
 * have made it). Errors: NAME_INVALID, VOLUME_MISSING, VOLUME_FOREIGN.
 */
export async function findVolume(context: StorageContext, volname: string, deadline: Deadline): Promise<Volume> {
  const parsed = parseVolumeName(volname);
  await context.inventory.ready(context.config.dataset, deadline);
  let volume = knownVolume(context, parsed.name);
  if (volume === null) {
    const zvol = await context.inventory.zvolCollection(context.config.dataset).refresh(zvolId(context, parsed.name), deadline);
    if (zvol === null) throw missing(context, parsed);
    await refreshExports(context, deadline);
    volume = withExport(exportIndex(context), parsed.name, zvol);
  }
  if (volume.made === 'foreign') {
    throw new StorageError('VOLUME_FOREIGN', `zvol '${volume.zvol.id}' was not made by this plugin`, {
      hints: ['volumes need the mark of pve-truenas or the extent of a Perl plugin; nothing else is touched'],
    });
  }
  return volume;
}

/** Reads extents and mappings again: for when an export seems to be missing or moved. */
export async function refreshExports(context: StorageContext, deadline: Deadline): Promise<void> {
  await Promise.all([context.inventory.extents.reload(deadline), context.inventory.mappings.reload(deadline)]);
}

export function missing(context: StorageContext, name: VolumeName): StorageError {
  return new StorageError(
    'VOLUME_MISSING',
    `volume '${context.config.id}:${name.volname}' does not exist (no zvol '${zvolId(context, name.name)}')`,
  );
}

/** A zvol with the name of the volume is there already. */
export function volumeExists(context: StorageContext, name: string): StorageError {
  const { config } = context;
  return new StorageError('VOLUME_EXISTS', `volume '${config.id}:${name}' exists already (zvol '${zvolId(context, name)}')`, {
    hints: [`pve-truenas list ${config.id}`, `TrueNAS: Datasets > ${zvolId(context, name)}`],
    state: 'nothing was changed',
  });
}

/** What the node needs to find the volume's device. Errors: EXPORT_MISSING. */
export async function lunSpec(context: StorageContext, volume: Volume): Promise<LunSpec> {
  const chap = await context.chap();
  return { ...knownLun(context, volume), ...(chap === null ? {} : { chap }) };
}

/** As lunSpec, without secrets. Errors: EXPORT_MISSING. */
export function knownLun(context: StorageContext, volume: Volume): LunSpec {
  const { extent, mapping } = volume;
  if (extent === null || mapping === null) {
    throw new StorageError(
      'EXPORT_MISSING',
      `volume '${context.config.id}:${volume.name}' has no ${extent === null ? 'extent' : `LUN on target '${context.config.target}'`}`,
      { state: `the zvol '${volume.zvol.id}' and its data are there` },
    );
  }
  return {
    storage: context.config.id,
    volume: volume.name,
    iqn: findTarget(context).iqn,
    portals: context.config.portals,
    lun: mapping.lun,
    naa: extent.naa,
    serial: extent.serial,
    size: volume.zvol.volsize,
    multipath: context.config.multipath,
  };
}

/** The volume id PVE knows the volume by: `base/…` before linked clones, the Perl plugins' form for volumes of theirs. */
export function volnameOf(context: StorageContext, volume: Volume): string {
  const own =
    volume.made === 'perl' && volume.mapping !== null && !volume.name.endsWith('-cloudinit')
      ? `vol-${volume.name}-lun${volume.mapping.lun}`
      : volume.name;
  const parent = parentBase(context, volume.zvol);
  return parent === null ? own : `${parent}/${own}`;
}

/** The base volume that a zvol is a linked clone of, or null. */
export function parentBase(context: StorageContext, zvol: Zvol): string | null {
  const match = zvol.origin === null ? null : /^(.+)\/(base-[^/@]+)@__base__$/.exec(zvol.origin);
  return match !== null && match[1] === context.config.dataset ? (match[2] ?? null) : null;
}
