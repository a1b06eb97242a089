import { StorageError } from './errors.ts';

/**
 * A volume name as PVE hands it to us, taken apart. `name` is also the last part of the zvol's id.
 * Rules: pve-storage-api 5 (PVE's RBD and ZFS plugins), legacy forms F-501..F-505.
 */
export interface VolumeName {
  /** What was parsed, unchanged. */
  readonly volname: string;
  /** `vm-101-disk-0`, `base-100-disk-0`, `vm-100-cloudinit`, … */
  readonly name: string;
  readonly vmid: number;
  readonly isBase: boolean;
  /** Set for `base-100-disk-0/vm-101-disk-0`. */
  readonly base: { readonly name: string; readonly vmid: number } | null;
  /** `lun`: `vol-<name>-lun<N>`, `ns`: `vol-<name>-ns<uuid>`: ids of the Perl plugins; the number is never believed. */
  readonly legacy: 'lun' | 'ns' | null;
}

// ZFS itself allows 255 for the whole dataset name; PVE's own names stay far below. No comma (drive strings), no '@' or '/'.
const NAME = /^(vm|base)-([1-9][0-9]{2,8})-([A-Za-z0-9][A-Za-z0-9_.-]{0,79})$/;
const LEGACY_LUN = /^vol-([A-Za-z0-9:_.-]+)-lun([0-9]{1,5})$/;
const LEGACY_NS = /^vol-([A-Za-z0-9:_.-]+)-ns([a-f0-9-]{1,64})$/;
const MAX_VOLNAME = 300;

interface Part {
  readonly name: string;
  readonly vmid: number;
  readonly isBase: boolean;
  readonly legacy: 'lun' | 'ns' | null;
}

function parsePart(text: string): Part | null {
  const lun = LEGACY_LUN.exec(text);
  const legacy = lun ?? LEGACY_NS.exec(text);
  const stem = legacy?.[1] ?? text;
  const match = NAME.exec(stem);
  if (match === null) return null;
  const [, prefix, vmid] = match;
  return {
    name: stem,
    vmid: Number(vmid),
    isBase: prefix === 'base',
    legacy: legacy === null ? null : lun === null ? 'ns' : 'lun',
  };
}

/** Parses a volume name. Errors: NAME_INVALID. */
export function parseVolumeName(volname: string): VolumeName {
  const parsed = tryParseVolumeName(volname);
  if (parsed === null) {
    throw new StorageError('NAME_INVALID', `unable to parse volume name '${printable(volname)}'`, {
      causes: ['names are vm-<VMID>-<name>, base-<VMID>-<name> or base-<VMID>-<name>/vm-<VMID>-<name>'],
    });
  }
  return parsed;
}

/** As parseVolumeName, null instead of an error. */
export function tryParseVolumeName(volname: string): VolumeName | null {
  if (volname.length > MAX_VOLNAME) return null;
  const parts = volname.split('/');
  if (parts.length > 2) return null;
  const own = parsePart(parts[parts.length - 1] ?? '');
  if (own === null) return null;
  if (parts.length === 1) return { volname, ...own, base: null };
  const base = parsePart(parts[0] ?? '');
  if (base === null || !base.isBase || own.isBase) return null;
  return { volname, ...own, base: { name: base.name, vmid: base.vmid } };
}

/** PVE snapshot names: `[a-z][a-z0-9_-]+` in any case, at most 40 (pve-storage-api 5), and the two that PVE uses itself. */
const SNAPSHOT = /^(?:[A-Za-z][A-Za-z0-9_-]{1,39}|__base__|__replicate_[A-Za-z0-9_-]{1,60})$/;

/** Checks a snapshot name. Errors: NAME_INVALID. */
export function assertSnapshotName(name: string): void {
  if (!SNAPSHOT.test(name)) {
    throw new StorageError('NAME_INVALID', `invalid snapshot name '${printable(name)}'`, {
      causes: ['snapshot names start with a letter and have 2 to 40 letters, digits, - and _'],
    });
  }
}

/** A string from outside, made safe for messages: control characters replaced, at most 80 characters. */
export function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]/g, '?');
  return clean.length > 80 ? `${clean.slice(0, 77)}...` : clean;
}
