import type { Deadline } from './ports.ts';

/** One guest of the cluster, as far as it concerns volumes. */
export interface GuestConfig {
  readonly vmid: number;
  /** Node whose directory holds the configuration. */
  readonly node: string;
  /** PVE's `lock:` (`backup`, `create`, `migrate`, …), null when it has none. */
  readonly lock: string | null;
  /** Every `storage:volume` that stands anywhere in it: disks, unused entries, snapshots, pending changes. */
  readonly volids: readonly string[];
}

/** All guests, or why they are not known: what could not be read completely proves nothing (law 3). */
export type GuestReferences =
  | { readonly complete: true; readonly guests: readonly GuestConfig[] }
  | { readonly complete: false; readonly reason: string };

/** The configurations of every guest of the cluster. */
export interface GuestReferencesPort {
  /** Reads all of them now. Rejects only when the deadline ends. */
  read(deadline: Deadline): Promise<GuestReferences>;
}
