import type { Extent, Mapping, Namespace, Zvol } from '../../core/array-port.ts';
import type { VolumePlace } from '../../core/leftovers-port.ts';

/** What is looked for on an array. docs/features/orphans.md describes each. */
export const STORAGE_ORPHAN_KINDS = [
  'extent-without-zvol',
  'mapping-without-extent',
  'mapping-without-target',
  'namespace-without-zvol',
  'unfinished-operation',
  'zvol-without-export',
  'backup-clone',
  'unreferenced-volume',
] as const;
/** What is looked for on this node. */
export const NODE_ORPHAN_KINDS = ['open-operation', 'stale-link', 'stale-record', 'stale-device', 'initiator-record'] as const;
export const ORPHAN_KINDS = [...STORAGE_ORPHAN_KINDS, ...NODE_ORPHAN_KINDS] as const;
export type OrphanKind = (typeof ORPHAN_KINDS)[number];

/** `certain` alone is cleaned up; `likely` needs a person to look; `unsure` may well be in order. */
export const CERTAINTIES = ['certain', 'likely', 'unsure'] as const;
export type Certainty = (typeof CERTAINTIES)[number];

/** The objects that a clean-up would delete. */
export type Subject =
  | { readonly type: 'extent'; readonly extent: Extent; readonly mappings: readonly Mapping[] }
  | { readonly type: 'mapping'; readonly mapping: Mapping }
  | { readonly type: 'namespace'; readonly namespace: Namespace }
  | { readonly type: 'zvol'; readonly zvol: Zvol; readonly extents: readonly Extent[]; readonly mappings: readonly Mapping[] }
  | { readonly type: 'link' | 'record'; readonly place: VolumePlace }
  /** Never deleted by us. */
  | { readonly type: 'report' };

export interface Orphan {
  /**
   * `kind#what#identity`: names the one object that was seen, so that another one of the same name or number is never
   * taken for it. `what` is the zvol where there is one.
   */
  readonly id: string;
  readonly kind: OrphanKind;
  readonly name: string;
  /** Unix seconds, null when nobody tells. */
  readonly createdAt: number | null;
  /** bytes, null when it has none */
  readonly size: number | null;
  readonly reason: string;
  readonly certainty: Certainty;
  /** What a clean-up does, or what a person can do. */
  readonly action: string;
  /** Deleting it destroys a zvol. */
  readonly data: boolean;
  /** Enough to make it again; goes into the log. */
  readonly was: Readonly<Record<string, unknown>>;
  readonly subject: Subject;
}

export function orphanId(kind: OrphanKind, what: string, ...identity: readonly (string | number | null)[]): string {
  return [kind, what, ...identity.map((part) => String(part ?? '-'))].join('#');
}

/** The `what` of an id, for the lock of the volume; null when it is no id of ours. ZFS names have no `#`. */
export function whatOf(id: string): string | null {
  const [kind, what] = id.split('#');
  return ORPHAN_KINDS.some((known) => known === kind) && what !== undefined && what !== '' ? what : null;
}
