import type { Deadline } from '../core/ports.ts';
import { parseVolumeName, tryParseVolumeName } from '../core/volume-name.ts';
import type { StorageContext } from './context.ts';
import { exportIndex, findVolume, knownVolume, parentBase, type Volume, volnameOf, withExport } from './lookup.ts';

export interface ListedVolume {
  readonly volname: string;
  /** bytes */
  readonly size: number;
  readonly vmid: number;
  /** bytes */
  readonly used: number;
  readonly parent?: string;
  /** Unix seconds */
  readonly ctime?: number;
  readonly volume: Volume;
}

export interface ListFilter {
  readonly vmid?: number;
  /** Exact volume names; wins over `vmid` (pve-storage-api 6.1). */
  readonly volumes?: readonly string[];
}

/** All volumes of a storage, from the inventory. Fails when the array cannot be asked, never lists less (law 3, F-013). */
export async function listVolumes(context: StorageContext, filter: ListFilter, deadline: Deadline): Promise<readonly ListedVolume[]> {
  await context.inventory.ready(context.config.dataset, deadline);
  return knownVolumes(context, filter);
}

/** As listVolumes, from what the inventory holds now: it is up to the caller to know that this is complete. Errors: TARGET_MISSING. */
export function knownVolumes(context: StorageContext, filter: ListFilter): readonly ListedVolume[] {
  const index = exportIndex(context);
  const wanted = filter.volumes === undefined ? null : new Set(filter.volumes);
  const prefix = `${context.config.dataset}/`;
  const listed: ListedVolume[] = [];
  for (const zvol of context.inventory.zvols(context.config.dataset).values()) {
    const name = zvol.id.slice(prefix.length);
    const parsed = tryParseVolumeName(name);
    if (parsed === null || parsed.base !== null || parsed.legacy !== null) continue;
    if (wanted === null && filter.vmid !== undefined && parsed.vmid !== filter.vmid) continue;
    const volume = withExport(index, name, zvol);
    if (volume.made === 'foreign') continue;
    const volname = volnameOf(context, volume);
    if (wanted !== null && !wanted.has(volname)) continue;
    listed.push({ volname, vmid: parsed.vmid, volume, ...sizeOf(context, volume) });
  }
  return listed.sort((a, b) => a.vmid - b.vmid || (a.volname < b.volname ? -1 : 1));
}

/** Size and provenance of one volume, from the inventory. Errors: VOLUME_MISSING. */
export async function volumeSize(context: StorageContext, volname: string, deadline: Deadline): Promise<ReturnType<typeof sizeOf>> {
  return sizeOf(context, await findVolume(context, volname, deadline));
}

function sizeOf(context: StorageContext, volume: Volume): { size: number; used: number; parent?: string; ctime?: number } {
  const parent = parentBase(context, volume.zvol);
  return {
    size: volume.zvol.volsize,
    used: volume.zvol.used,
    ...(parent === null ? {} : { parent }),
    ...(volume.zvol.creation === null ? {} : { ctime: volume.zvol.creation }),
  };
}

/** Where the volume is or will be found on this node; answers from what is known, never asks the array. Errors: NAME_INVALID, EXPORT_MISSING. */
export async function volumePath(
  context: StorageContext,
  volname: string,
  deadline: Deadline,
  pathOf: (volume: Volume) => string,
): Promise<string> {
  const { name } = parseVolumeName(volname);
  const volume = knownVolume(context, name) ?? (await findVolume(context, volname, deadline));
  return pathOf(volume);
}
