import type { GuestReferences } from '../../core/guest-references.ts';
import { tryParseVolumeName } from '../../core/volume-name.ts';

/** A guest that names a volume. */
export interface GuestUse {
  readonly vmid: number;
  readonly node: string;
}

/** What the guests of the cluster say about the volumes of one dataset. */
export interface References {
  /** Why nothing can be said, or null when every configuration was read. */
  readonly missing: string | null;
  /** Guests that name this volume under whatever storage may be the same dataset. */
  usesOf(name: string): readonly GuestUse[];
  /** Whether the guest exists, and what it is locked for. */
  guest(vmid: number): { readonly lock: string | null } | null;
}

/**
 * Indexes the guests' configurations by volume name. `elsewhere` are the storages that are known to be another place; any other one
 * counts, since two storages may share a dataset and a storage that was removed may still be named.
 */
export function referencesOf(read: GuestReferences, elsewhere: ReadonlySet<string>): References {
  if (!read.complete) return { missing: read.reason, usesOf: () => [], guest: () => null };
  const uses = new Map<string, GuestUse[]>();
  const guests = new Map<number, { lock: string | null }>();
  for (const guest of read.guests) {
    guests.set(guest.vmid, { lock: guest.lock });
    for (const volid of guest.volids) {
      const colon = volid.indexOf(':');
      if (elsewhere.has(volid.slice(0, colon))) continue;
      for (const name of namesIn(volid.slice(colon + 1))) {
        const known = uses.get(name) ?? [];
        if (!known.some((use) => use.vmid === guest.vmid)) known.push({ vmid: guest.vmid, node: guest.node });
        uses.set(name, known);
      }
    }
  }
  return { missing: null, usesOf: (name) => uses.get(name) ?? [], guest: (vmid) => guests.get(vmid) ?? null };
}

/** Volume names in the part after the storage: of a linked clone also its base, of the Perl plugins' ids the name inside (F-501..F-504). */
function namesIn(volname: string): readonly string[] {
  const names = new Set<string>();
  for (const part of volname.split('/')) {
    const parsed = tryParseVolumeName(part);
    names.add(parsed?.name ?? part.replace(/\.(?:raw|qcow2|vmdk)$/, ''));
  }
  return [...names];
}
