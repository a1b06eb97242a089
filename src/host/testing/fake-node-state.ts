import type { MemoryFiles } from './memory-files.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface FakeDisk {
  naa: string;
  size: number;
}

/** What a device answers with; `naa` null: LIO's virtual LUN 0, which has none (RP-14). */
export interface ServedDisk {
  readonly naa: string | null;
  readonly size: number;
}

/** A target as the array serves it now. */
export interface FakeTarget {
  readonly iqn: string;
  /** `address:port` */
  readonly portals: readonly string[];
  readonly luns: Map<number, FakeDisk>;
  /** iscsiadm's exit code for a login to a portal that is not 0: 24 refused, 8 nobody answers */
  readonly refusals: Map<string, number>;
}

export interface ScsiDevice {
  readonly address: string;
  readonly block: string;
  readonly target: FakeTarget;
  readonly lun: number;
  /** What the kernel read when it found the device, and never again (RP-13). */
  readonly cachedNaa: string;
}

export interface DmMap {
  readonly block: string;
  readonly name: string;
  readonly naa: string;
}

/** What the programs of a fake node read and change. */
export interface FakeNodeState {
  readonly files: MemoryFiles;
  readonly clock: VirtualClock;
  readonly maps: ReadonlyMap<string, DmMap>;
  readonly wwids: Set<string>;
  /** How often `multipath -f` says "in use" before it works (RP-20). */
  busyFlushes: number;
  readonly multipathdRuns: boolean;
  /** Where this node's iscsiadm keeps its records. */
  readonly iscsiDatabase: string;
  targetAt(iqn: string, portal: string): FakeTarget | undefined;
  sessionOf(target: FakeTarget, portal: string): boolean;
  login(target: FakeTarget, portal: string): number;
  /** What a LUN serves now; null when nothing is mapped. */
  served(device: ScsiDevice): ServedDisk | null;
  deviceOf(block: string): ScsiDevice | undefined;
  addMap(naa: string): DmMap;
  resizeMap(naa: string): void;
  dropMap(map: DmMap): void;
}
