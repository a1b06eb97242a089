import type { ArrayPort } from '../core/array-port.ts';
import type { HostPort, PortalAddress } from '../core/host-port.ts';
import type { Journal } from '../core/journal-port.ts';
import type { KeyedLock } from '../core/keyed-lock.ts';
import type { Meter } from '../core/metrics.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import type { StorageConfig } from '../config/storage-config.ts';
import type { Inventory } from '../inventory/inventory.ts';
import type { LunAllocator } from './lun-allocator.ts';

/** All that a use case needs of one storage. Made by daemon/storages.ts. */
export interface StorageContext {
  readonly config: StorageConfig;
  /** The section as PVE gave it, without secrets; goes into the journal. */
  readonly section: Readonly<Record<string, unknown>>;
  readonly array: ArrayPort;
  readonly inventory: Inventory;
  /** The initiator that the storage's `truenas-initiator` chose. */
  readonly host: HostPort;
  /** The kernel's initiator, for what must be a block device (containers, TPM state). */
  readonly kernel: HostPort;
  readonly journal: Journal;
  /** Serialises changes of one volume: keys are made by `volumeKey`. */
  readonly locks: KeyedLock;
  readonly luns: LunAllocator;
  /** Names promised to allocations under way, by dataset, so that two never try the same. */
  readonly reservedNames: Set<string>;
  readonly chap: () => Promise<{ user: string; password: string } | null>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  readonly node: string;
  /** A new owner mark, RFC 9562 UUID. */
  readonly newOwner: () => string;
  /** A TCP connection to a portal of this storage, to see that somebody listens. Rejects when nobody does. */
  readonly probePortal: (portal: PortalAddress, deadline: Deadline) => Promise<void>;
}

/** The lock of one volume of one array. */
export function volumeKey(context: StorageContext, zvol: string): string {
  return `${context.config.apiHost}:${context.config.apiPort}/${zvol}`;
}
