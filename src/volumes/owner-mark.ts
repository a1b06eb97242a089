import { createHash } from 'node:crypto';
import type { Extent, Zvol } from '../core/array-port.ts';

/** ZFS user property that marks a zvol as ours; its value is the UUID of the operation that made it. */
export const OWNER_PROPERTY = 'pve-truenas:owner';
/** ZFS user property with the storage id, for people who look at the array. */
export const STORAGE_PROPERTY = 'pve-truenas:storage';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The owner mark of a zvol, or null when it is not ours. */
export function ownerOf(zvol: Zvol): string | null {
  const value = zvol.userProperties[OWNER_PROPERTY];
  return value !== undefined && UUID.test(value) ? value : null;
}

/** Whether two sights of one name are the same zvol: another one may have the name by now. */
export function isSameZvol(one: Zvol, other: Zvol): boolean {
  return one.id === other.id && ownerOf(one) === ownerOf(other) && one.creation === other.creation;
}

/**
 * Name of the extent of an owner mark: `pve-` and 32 hex digits. Not made of the VMID or the disk's name, so that it
 * stays unique when a volume is renamed (F-304), and valid flattened (truenas-api 11).
 */
export function extentName(owner: string): string {
  return `pve-${owner.replaceAll('-', '')}`;
}

/** Comment of an extent: says to people which volume it is. */
export function extentComment(zvol: string): string {
  return `pve-truenas ${zvol}`.slice(0, 120);
}

/** The `disk` of an extent on this zvol: spaces are `+` on TrueNAS (truenas-api 11). */
export function extentDisk(zvol: string): string {
  return `zvol/${zvol.replaceAll(' ', '+')}`;
}

/** Name of the extent that the Perl plugins give to a zvol (F-508). */
export function perlExtentName(zvol: string): string {
  const name = zvol.slice(zvol.lastIndexOf('/') + 1);
  const clean = name
    .toLowerCase()
    .replace(/[^a-z0-9.\-:]/g, '')
    .slice(0, 55);
  return `${clean}-${createHash('sha1').update(zvol).digest('hex').slice(0, 8)}`;
}

/** Was the extent made by one of the Perl plugins for this zvol (F-508), so that a volume of theirs may be served and freed? */
export function isPerlPluginExtent(extent: Extent, zvol: string): boolean {
  return extent.name === perlExtentName(zvol) || extent.name === zvol.slice(zvol.lastIndexOf('/') + 1);
}
