import type { StorageError } from './errors.ts';
import type { Deadline } from './ports.ts';

/** The releases whose API the plugin speaks. */
export const RELEASES = ['25.04', '25.10', '26.0'] as const;
export type Release = (typeof RELEASES)[number];

/** A ZFS volume as the inventory keeps it. Sizes in bytes. */
export interface Zvol {
  /** Full dataset name, `tank/proxmox/vm-100-disk-0`; TrueNAS's id. */
  readonly id: string;
  readonly volsize: number;
  readonly volblocksize: number;
  /** Space taken by the zvol with its snapshots and reservation. */
  readonly used: number;
  /** Bytes of its own data, without snapshots and reservation; absent when the array does not say. */
  readonly written?: number;
  /** `tank/proxmox/base-100-disk-0@__base__` for a clone, else null. */
  readonly origin: string | null;
  /** Unix time in seconds, null when the array does not say. */
  readonly creation: number | null;
  /** ZFS user properties (`pve-truenas:owner` is our mark); values as strings. */
  readonly userProperties: Readonly<Record<string, string>>;
}

/** The parent dataset of a storage. Bytes. */
export interface DatasetInfo {
  readonly id: string;
  readonly type: 'FILESYSTEM' | 'VOLUME';
  readonly used: number;
  readonly available: number;
  /** null: none */
  readonly quota: number | null;
  readonly readonly: boolean;
  readonly locked: boolean;
}

export interface Extent {
  readonly id: number;
  /** At most 64 characters, unique on the array. */
  readonly name: string;
  /** `zvol/tank/proxmox/vm-100-disk-0` (spaces are `+`); null for FILE extents. */
  readonly disk: string | null;
  /** `0x6589cfc000000…`, 34 characters, as the API gives it. */
  readonly naa: string;
  readonly serial: string;
  /** Logical sector size: 512, 1024, 2048 or 4096 bytes. */
  readonly blocksize: number;
  readonly comment: string;
  readonly enabled: boolean;
}

/** `iscsi.targetextent`: which extent has which LUN on which target. */
export interface Mapping {
  readonly id: number;
  readonly target: number;
  readonly extent: number;
  readonly lun: number;
}

export interface Target {
  readonly id: number;
  readonly name: string;
  /** basename:name */
  readonly iqn: string;
  /** Portal ids of its groups with the authentication asked for. */
  readonly groups: readonly { readonly portal: number; readonly authmethod: 'NONE' | 'CHAP' | 'CHAP_MUTUAL' }[];
}

/** A session on one of the array's iSCSI targets. */
export interface TargetSession {
  /** Full IQN of the target. */
  readonly target: string;
  /** IQN of the node's initiator. */
  readonly initiator: string;
  /** Address it comes from. */
  readonly address: string;
}

export interface Pool {
  readonly name: string;
  /** `ONLINE`, `DEGRADED`, `FAULTED`, `OFFLINE`, … (zpool(8)) */
  readonly status: string;
  readonly healthy: boolean;
  /** zpool's own sentence on what is wrong, or null. */
  readonly detail: string | null;
}

/** A namespace of an NVMe-oF subsystem (25.10 and newer). */
export interface Namespace {
  readonly id: number;
  readonly nsid: number | null;
  readonly subsystem: { readonly id: number; readonly name: string; readonly nqn: string | null };
  /** `zvol/tank/proxmox/vm-100-disk-0`; null for files. */
  readonly disk: string | null;
  readonly uuid: string;
  readonly enabled: boolean;
}

export interface Portal {
  readonly id: number;
  readonly listen: readonly { readonly ip: string; readonly port: number }[];
}

export interface Snapshot {
  /** `dataset@name` */
  readonly id: string;
  readonly dataset: string;
  readonly name: string;
  /** Position in the pool's history; orders snapshots of one volume reliably. */
  readonly createtxg: number;
  /** Unix time in seconds, null when the array does not say. */
  readonly creation: number | null;
}

export interface CreateZvol {
  readonly id: string;
  readonly volsize: number;
  /** bytes, a power of two 512..131072 */
  readonly volblocksize: number;
  readonly sparse: boolean;
  /** Lift TrueNAS's rule that one volume may take at most 80 % of the available space (truenas-api 9.1). */
  readonly forceSize?: boolean;
  readonly compression?: string;
  readonly comments: string;
  readonly userProperties: Readonly<Record<string, string>>;
}

export interface CreateExtent {
  readonly name: string;
  /** zvol id, without the `zvol/` prefix */
  readonly zvol: string;
  readonly blocksize: 512 | 1024 | 2048 | 4096;
  readonly comment: string;
}

interface Changed<K extends string, Id, Entry> {
  readonly kind: K;
  readonly id: Id;
  readonly change: 'added' | 'changed' | 'removed';
  /** The object as the event carried it; absent where the release sends the id alone (25.04, truenas-api 6) and on removal. */
  readonly entry?: Entry;
}

/** What changed, as told by the array's events. Events are hints: some changes send none (truenas-api 6). */
export type ArrayChange =
  | Changed<'zvol', string, Zvol>
  | Changed<'extent', number, Extent>
  | Changed<'mapping', number, Mapping>
  | Changed<'target', number, Target>
  | Changed<'portal', number, Portal>
  | Changed<'snapshot', string, Snapshot>
  | { readonly kind: 'service'; readonly service: string; readonly running: boolean }
  /** A new session stands: events may have been missed, everything cached must be read again. */
  | { readonly kind: 'reconnected' };

/** Connection state for `status` and `health`. Times are ms since the epoch. */
export interface ArrayConnection {
  readonly state: 'idle' | 'connecting' | 'ready' | 'waiting' | 'refused' | 'closed';
  readonly since: number;
  /** Why it is not ready; null when it is. */
  readonly error: StorageError | null;
  readonly release: Release | null;
  /** e.g. "TrueNAS-25.10.6" */
  readonly version: string | null;
  readonly logins: number;
  readonly inFlight: number;
  /** ms that round trips of small reads take, the newest ones first of all; null before the first one. */
  readonly latencyMs: number | null;
  /** When the array was last heard on a logged-in session; 0: never. */
  readonly heardAt: number;
  /** Reads that had to be repeated within the last five minutes. */
  readonly recentRetries: number;
  /** Set while the array's login window or a rate limit holds callers back: until when (ms since the epoch) and why. */
  readonly limited: { readonly until: number; readonly reason: string } | null;
  /** What an attempt to connect waits for, with the time that took so far: `the TLS handshake with nas:443 (1.2 s)`; else null. */
  readonly step: string | null;
  /** When the session that stands was logged in; null without one. */
  readonly sessionSince: number | null;
  /** Why the session that stands could not be replaced by a new one (its key was revoked, for example); null when it could. */
  readonly renewalError: StorageError | null;
}

/**
 * TrueNAS as the use cases see it; one object per array and credential, for all its storages.
 *
 * Every method takes a deadline. Failures are `NotSentError`, `RefusedError` or `OutcomeUnknownError` (law 2):
 * reads are retried inside within the deadline and then fail as NotSentError; changes are sent at most once.
 * Refusals that users meet carry their own codes (VOLUME_EXISTS, NO_SPACE, SNAPSHOT_EXISTS, NOT_AUTHORIZED, ...).
 */
export interface ArrayPort {
  connection(): ArrayConnection;
  /** Waits until a logged-in session stands. */
  ready(deadline: Deadline): Promise<{ release: Release; version: string }>;
  /** Calls `listener` for each change that the array reports; returns the way to stop. */
  onChange(listener: (change: ArrayChange) => void): () => void;
  close(): Promise<void>;

  // reads
  /** An authenticated round trip that proves the session works (F-002, F-053). */
  ping(deadline: Deadline): Promise<void>;
  /** The dataset, or null when the array positively says that it is absent. */
  dataset(id: string, deadline: Deadline): Promise<DatasetInfo | null>;
  /** Those of the datasets that are there, in ONE call and in any order. */
  datasets(ids: readonly string[], deadline: Deadline): Promise<readonly DatasetInfo[]>;
  /** All zvols directly below `dataset`. */
  zvols(dataset: string, deadline: Deadline): Promise<readonly Zvol[]>;
  zvol(id: string, deadline: Deadline): Promise<Zvol | null>;
  /** In ONE call: the parent dataset (must exist, else DATASET_MISSING) and the zvol or null. */
  datasetAndZvol(dataset: string, zvol: string, deadline: Deadline): Promise<{ dataset: DatasetInfo; zvol: Zvol | null }>;
  extents(deadline: Deadline): Promise<readonly Extent[]>;
  extent(id: number, deadline: Deadline): Promise<Extent | null>;
  extentByName(name: string, deadline: Deadline): Promise<Extent | null>;
  mappings(deadline: Deadline): Promise<readonly Mapping[]>;
  mapping(id: number, deadline: Deadline): Promise<Mapping | null>;
  /** Mappings of one target, read now: the guard against two nodes that took one LUN. */
  mappingsOfTarget(target: number, deadline: Deadline): Promise<readonly Mapping[]>;
  mappingsOfExtent(extent: number, deadline: Deadline): Promise<readonly Mapping[]>;
  targets(deadline: Deadline): Promise<readonly Target[]>;
  portals(deadline: Deadline): Promise<readonly Portal[]>;
  /** Who is logged in to the array's targets. */
  targetSessions(deadline: Deadline): Promise<readonly TargetSession[]>;
  /** The pool of this name, or null. */
  pool(name: string, deadline: Deadline): Promise<Pool | null>;
  /** Roles of the API key's user; `FULL_ADMIN` holds all others. */
  roles(deadline: Deadline): Promise<readonly string[]>;
  /** NVMe-oF namespaces; none on 25.04, which has no NVMe-oF. */
  namespaces(deadline: Deadline): Promise<readonly Namespace[]>;
  /** Names of the zvol's snapshots that are held. */
  heldSnapshots(zvol: string, deadline: Deadline): Promise<readonly string[]>;
  serviceRunning(service: 'iscsitarget', deadline: Deadline): Promise<boolean>;
  snapshots(zvol: string, deadline: Deadline): Promise<readonly Snapshot[]>;
  snapshot(id: string, deadline: Deadline): Promise<Snapshot | null>;
  /** Ids of datasets whose origin is this snapshot (used to refuse deletion). */
  clonesOf(snapshot: string, deadline: Deadline): Promise<readonly string[]>;

  // changes: never replayed
  createZvol(zvol: CreateZvol, deadline: Deadline): Promise<Zvol>;
  resizeZvol(id: string, volsize: number, forceSize: boolean, deadline: Deadline): Promise<void>;
  /** Reserves bytes for the volume's own data: its volsize makes it thick. TrueNAS refuses more than that. */
  reserveZvol(id: string, bytes: number, deadline: Deadline): Promise<void>;
  /** Non-recursive. "true" is not proof (law 6): look afterwards. */
  deleteZvol(id: string, deadline: Deadline): Promise<void>;
  createExtent(extent: CreateExtent, deadline: Deadline): Promise<Extent>;
  deleteExtent(id: number, deadline: Deadline): Promise<void>;
  createMapping(target: number, extent: number, lun: number | null, deadline: Deadline): Promise<Mapping>;
  deleteMapping(id: number, deadline: Deadline): Promise<void>;
  deleteNamespace(id: number, deadline: Deadline): Promise<void>;
  createSnapshot(zvol: string, name: string, deadline: Deadline): Promise<Snapshot>;
  /** Non-recursive, not deferred. */
  deleteSnapshot(id: string, deadline: Deadline): Promise<void>;
  /** Refuses (ROLLBACK_BLOCKED) when there are newer snapshots. */
  rollback(snapshotId: string, deadline: Deadline): Promise<void>;
}
