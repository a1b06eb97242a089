import { StorageError } from '../core/errors.ts';
import type { LunSpec } from '../core/host-port.ts';
import { printable } from '../core/volume-name.ts';

/** What names a volume on this node; `naa` as the API gives it, with `0x`. */
export interface VolumeRef {
  readonly storage: string;
  readonly volume: string;
  readonly naa?: string;
}

// Both become parts of paths and arguments: no slash, no leading dot or dash, nothing that is not printable.
const PART = /^[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,254}$/;
const IQN = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,222}$/;
const HOST = /^[A-Za-z0-9:][A-Za-z0-9_.:%-]{0,253}$/;
/** `0x6` + 31 hex digits: an NAA of type 6 as TrueNAS makes them (truenas-api, iscsi.extent). */
const NAA = /^0x([0-9a-f]{32})$/;

/** The part of a path that names the volume: `<storage>/<volume>`. Errors: NAME_INVALID. */
export function volumeKey(volume: VolumeRef): string {
  for (const part of [volume.storage, volume.volume]) {
    if (!PART.test(part)) throw new StorageError('NAME_INVALID', `invalid name '${printable(part)}' of a storage or volume`);
  }
  return `${volume.storage}/${volume.volume}`;
}

/** 32 lower-case hex digits of an NAA. Errors: DEVICE_IDENTITY (nothing can be verified with what TrueNAS said). */
export function naaDigits(naa: string): string {
  const digits = NAA.exec(naa.toLowerCase())?.[1];
  if (digits === undefined) {
    throw new StorageError(
      'DEVICE_IDENTITY',
      `TrueNAS gave '${printable(naa)}' as NAA: not an identity that a device can be compared with`,
    );
  }
  return digits;
}

/** Checks all of a LunSpec that becomes part of a path, an argument or a URL. Errors: NAME_INVALID, CONFIG_INVALID, DEVICE_IDENTITY. */
export function assertLunSpec(spec: LunSpec): void {
  volumeKey(spec);
  naaDigits(spec.naa);
  if (!IQN.test(spec.iqn)) throw new StorageError('CONFIG_INVALID', `'${printable(spec.iqn)}' is not a target name`);
  // 14 bits: what SAM's flat addressing holds, and TrueNAS's own limit (truenas-api, iscsi.targetextent).
  if (!Number.isInteger(spec.lun) || spec.lun < 0 || spec.lun > 16383) {
    throw new StorageError('CONFIG_INVALID', `LUN ${String(spec.lun)} is out of range 0..16383`);
  }
  if (spec.portals.length === 0) throw new StorageError('CONFIG_INVALID', `storage '${spec.storage}' has no portal`);
  for (const portal of spec.portals) {
    if (!HOST.test(portal.host)) throw new StorageError('CONFIG_INVALID', `'${printable(portal.host)}' is not the host of a portal`);
    if (!Number.isInteger(portal.port) || portal.port < 1 || portal.port > 65535) {
      throw new StorageError('CONFIG_INVALID', `portal ${portal.host}: port ${String(portal.port)} is out of range 1..65535`);
    }
  }
}
