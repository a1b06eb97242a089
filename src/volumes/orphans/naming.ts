import { createHash } from 'node:crypto';
import type { Extent, Zvol } from '../../core/array-port.ts';
import { tryParseVolumeName } from '../../core/volume-name.ts';
import { extentName, ownerOf, perlExtentName } from '../owner-mark.ts';

const OUR_EXTENT = /^pve-[0-9a-f]{32}$/;
/** vzdump clones of the Perl plugins (F-513). */
const BACKUP_CLONE = /^vzdump-[a-z0-9.-]{1,47}-[0-9a-f]{8}$/;

/** The last part of a zvol that lies directly in `dataset`, else null: neither another dataset nor one inside it. */
export function childName(dataset: string, zvol: string): string | null {
  if (!zvol.startsWith(`${dataset}/`)) return null;
  const name = zvol.slice(dataset.length + 1);
  return name === '' || name.includes('/') ? null : name;
}

/** The zvol behind `zvol/tank/pve/x` of an extent or namespace; blanks are `+` there, and no zvol has a `+` in its name (truenas-api 11). */
export function zvolOfDisk(disk: string | null): string | null {
  return disk?.startsWith('zvol/') === true ? disk.slice('zvol/'.length).replaceAll('+', ' ') : null;
}

/** A name that a volume of PVE can have: nothing of weight zvols (F-511) or of other people. */
export function isVolumeName(name: string): boolean {
  const parsed = tryParseVolumeName(name);
  return parsed !== null && parsed.base === null && parsed.legacy === null;
}

/** A name that the Perl plugins give to the zvols of volumes (F-503, F-507). */
export function isPerlVolumeName(name: string): boolean {
  return /^(?:(?:vm|base)-[0-9]+-disk-[0-9]+|vm-[0-9]+-cloudinit)$/.test(name);
}

/** How sure it is that an extent of this zvol was made by us or by a Perl plugin; null: it is somebody else's (F-508). */
export function extentMaker(extent: Extent, zvol: string): { readonly who: 'ours' | 'perl'; readonly sure: boolean } | null {
  const name = zvol.slice(zvol.lastIndexOf('/') + 1);
  if (!isVolumeName(name) && !BACKUP_CLONE.test(name)) return null;
  if (OUR_EXTENT.test(extent.name)) return { who: 'ours', sure: true };
  if (extent.name === perlExtentName(zvol)) return { who: 'perl', sure: true };
  // The oldest Perl plugin named extents as their zvol: so may anybody else.
  return extent.name === name ? { who: 'perl', sure: false } : null;
}

/** Whether this extent was made together with this zvol, whatever the zvol is called now. */
export function bearsMarkOf(extent: Extent, zvol: Zvol): boolean {
  const owner = ownerOf(zvol);
  return owner !== null && extent.name === extentName(owner);
}

/** Name of the clone that the Perl plugins make of a snapshot for a backup (F-513). */
export function backupCloneName(volume: string, snapshot: string): string {
  const stem = `vzdump-${volume}-${snapshot}`
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '')
    .slice(0, 54);
  return `${stem}-${createHash('sha1').update(`${volume}@${snapshot}`).digest('hex').slice(0, 8)}`;
}

/** Volume and snapshot that a zvol of `dataset` was cloned from for a backup; null when it is no such clone. */
export function backupOf(dataset: string, zvol: Zvol): { readonly volume: string; readonly snapshot: string } | null {
  const name = childName(dataset, zvol.id);
  const at = zvol.origin?.indexOf('@') ?? -1;
  if (name === null || zvol.origin === null || at < 0) return null;
  const volume = childName(dataset, zvol.origin.slice(0, at));
  const snapshot = zvol.origin.slice(at + 1);
  return volume !== null && isVolumeName(volume) && name === backupCloneName(volume, snapshot) ? { volume, snapshot } : null;
}

/** `base-100-disk-0` for `vm-100-disk-0` and back: what a conversion into a template renames (F-304). */
export function otherName(name: string): string | null {
  if (name.startsWith('vm-')) return `base-${name.slice('vm-'.length)}`;
  return name.startsWith('base-') ? `vm-${name.slice('base-'.length)}` : null;
}
