import type { Deadline } from './ports.ts';

export interface PortalAddress {
  /** IPv4, IPv6 without brackets, or a name */
  readonly host: string;
  /** 1..65535 */
  readonly port: number;
}

export interface ChapSecrets {
  readonly user: string;
  readonly password: string;
  /** Mutual CHAP: what the target proves itself with. */
  readonly peer?: { readonly user: string; readonly password: string };
}

/** One LUN as TrueNAS describes it now: all that the node needs to find and verify the device. */
export interface LunSpec {
  readonly storage: string;
  /** Name without base prefix, `vm-100-disk-0`. */
  readonly volume: string;
  readonly iqn: string;
  readonly portals: readonly PortalAddress[];
  readonly lun: number;
  /** `0x6589cfc000000…` as the API gives it. */
  readonly naa: string;
  readonly serial: string;
  /** bytes */
  readonly size: number;
  readonly multipath: boolean;
  readonly chap?: ChapSecrets;
}

export interface AttachedDevice {
  /** What PVE opens: `/dev/pve-truenas/<storage>/<volume>` or `iscsi://portal/iqn/lun`. */
  readonly path: string;
  /** The device behind a link, for logs; equals `path` where there is none. */
  readonly device: string;
}

/**
 * This node's side of a LUN. Two implementations: the kernel's initiator (host/kernel), and QEMU's own (host/direct),
 * which has no device on the node at all. All operations are idempotent and touch only the one LUN at hand (law 4).
 */
export interface HostPort {
  /** Pure: where PVE will find the attached volume. */
  path(spec: LunSpec): string;
  /**
   * Makes the volume usable here: logs in where no session stands, scans this one LUN, waits for the device, asks the
   * device itself for identity and size (law 1), sets the link.
   * Errors: LOGIN_FAILED, DEVICE_MISSING, DEVICE_IDENTITY, DEVICE_SIZE, HOST_COMMAND.
   */
  attach(spec: LunSpec, deadline: Deadline): Promise<AttachedDevice>;
  /** Removes link, map and devices of this volume from this node; succeeds when nothing is there. Errors: DEVICE_BUSY. */
  detach(volume: { storage: string; volume: string; naa?: string }, deadline: Deadline): Promise<void>;
  /** After the volume grew: returns when the node's device shows `spec.size`; nothing to do where it is not attached. */
  grow(spec: LunSpec, deadline: Deadline): Promise<void>;
  /** Drops cached blocks of the device (before and after a rollback); DEVICE_BUSY when something holds it open. */
  flush(volume: { storage: string; volume: string; naa?: string }, deadline: Deadline): Promise<void>;
  /** Who on this node holds the device open; empty when nobody does or it is not attached. */
  holders(volume: { storage: string; volume: string; naa?: string }, deadline: Deadline): Promise<readonly string[]>;
}
