import type { GuestConfig, GuestReferences, GuestReferencesPort } from '../../../core/guest-references.ts';

/** The guests of a cluster in memory. */
export class MemoryGuests implements GuestReferencesPort {
  guests: GuestConfig[] = [];
  /** Set: they cannot be read, for this reason. */
  missing: string | null = null;

  read(): Promise<GuestReferences> {
    const { guests, missing } = this;
    return Promise.resolve(missing === null ? { complete: true, guests } : { complete: false, reason: missing });
  }

  /** A guest that names these `storage:volume`s. */
  add(vmid: number, volids: readonly string[], lock: string | null = null): void {
    this.guests.push({ vmid, node: 'pve1', lock, volids });
  }
}
