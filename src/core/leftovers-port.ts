import type { Deadline } from './ports.ts';

/** Where this node keeps a volume: a link to its device, or the record of the URL that QEMU opens. */
export interface VolumePlace {
  readonly storage: string;
  readonly volume: string;
  /** 32 hex digits of the NAA that the link was set to; null for a record, or when the link tells none. */
  readonly naa: string | null;
  /** What stands in it. */
  readonly text: string;
}

/** A SCSI device of this node that says it is a LUN of TrueNAS. */
export interface TrueNasDevice {
  /** `3:0:0:1`, host:channel:target:lun */
  readonly address: string;
  /** `sda`, null while there is no block device */
  readonly block: string | null;
  /** 32 hex digits as the kernel read them when it found the device */
  readonly naa: string;
  /** bytes, null when unknown */
  readonly size: number | null;
  /** Target of its session, and `address:port` of the session's portals. */
  readonly iqn: string;
  readonly portals: readonly string[];
}

/** A record of open-iscsi about a target behind a portal. */
export interface InitiatorRecord {
  readonly iqn: string;
  /** IPv4 or IPv6 without brackets */
  readonly host: string;
  readonly port: number;
  /** It has the two settings that the daemon gives to records it makes (manual start, manual scan). */
  readonly likeOurs: boolean;
  readonly loggedIn: boolean;
}

export interface NodeState {
  readonly links: readonly VolumePlace[];
  readonly records: readonly VolumePlace[];
  readonly devices: readonly TrueNasDevice[];
  readonly initiatorRecords: readonly InitiatorRecord[];
}

/** What volumes leave behind on this node. */
export interface NodeLeftovers {
  /** Everything, read now. Fails when a part cannot be read. */
  read(deadline: Deadline): Promise<NodeState>;
  /** All addresses of a portal's host, canonical. */
  resolve(host: string, deadline: Deadline): Promise<readonly string[]>;
  /** Takes a link away with the devices of its identity, as deactivating the volume would. Errors: DEVICE_BUSY. */
  removeLink(place: VolumePlace, deadline: Deadline): Promise<void>;
  removeRecord(place: VolumePlace, deadline: Deadline): Promise<void>;
}
