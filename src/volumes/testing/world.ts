import { randomUUID } from 'node:crypto';
import type { StorageConfig } from '../../config/storage-config.ts';
import type { Journal, OpenOperation } from '../../core/journal-port.ts';
import { KeyedLock } from '../../core/keyed-lock.ts';
import { deadlineAfter } from '../../core/deadline.ts';
import type { HostPort } from '../../core/host-port.ts';
import { NO_METER } from '../../core/metrics.ts';
import type { Deadline } from '../../core/ports.ts';
import { ManualClock, RecordingLog, runOn } from '../../core/testing/manual-clock.ts';
import { Inventory } from '../../inventory/inventory.ts';
import type { StorageContext } from '../context.ts';
import { LunAllocator } from '../lun-allocator.ts';
import { FakeArray } from './fake-array.ts';

export const CONFIG: StorageConfig = {
  id: 'tn',
  disabled: false,
  nodes: null,
  apiHost: 'nas',
  apiPort: 443,
  apiScheme: 'wss',
  apiInsecure: false,
  fingerprint: null,
  caFile: null,
  apiUsername: null,
  preferIpv4: true,
  apiTimeoutMs: 30_000,
  apiRetryMax: 3,
  apiRetryDelayMs: 1_000,
  connectionMaxAgeMs: 3_600_000,
  dataset: 'tank/pve',
  volblocksize: 16_384,
  sparse: true,
  spaceOverheadPercent: 20,
  forceSize: false,
  compression: null,
  transport: 'iscsi',
  target: 'pve',
  portals: [{ host: '127.0.0.1', port: 3260 }],
  multipath: false,
  initiator: 'kernel',
  chapUser: null,
  lunRestMs: 3_600_000,
  deviceTimeoutMs: 60_000,
};

/** A journal in memory; `left` are the operations that a use case left open. */
export class MemoryJournal implements Journal {
  readonly open = new Map<string, OpenOperation>();
  readonly left: OpenOperation[] = [];
  begin(operation: OpenOperation): Promise<void> {
    this.open.set(operation.id, operation);
    return Promise.resolve();
  }
  end(id: string): Promise<void> {
    this.open.delete(id);
    return Promise.resolve();
  }
  list(): Promise<readonly OpenOperation[]> {
    return Promise.resolve([...this.open.values()]);
  }
  leave(operation: OpenOperation): void {
    this.left.push(operation);
  }
}

/** One node with one storage on an array in memory. Several worlds may share an array: several nodes. */
export class World {
  readonly clock = new ManualClock();
  readonly log = new RecordingLog();
  readonly journal = new MemoryJournal();
  readonly array: FakeArray;
  readonly context: StorageContext;

  constructor(host: HostPort, array = new FakeArray(), config: Partial<StorageConfig> = {}) {
    this.array = array;
    this.context = {
      config: { ...CONFIG, ...config },
      section: { api_host: 'nas' },
      array,
      inventory: new Inventory(array, this.clock, this.log),
      host,
      kernel: host,
      journal: this.journal,
      locks: new KeyedLock(),
      luns: new LunAllocator(this.clock, () => 0),
      reservedNames: new Set(),
      chap: () => Promise.resolve(null),
      clock: this.clock,
      log: this.log,
      meter: NO_METER,
      node: 'pve1',
      newOwner: randomUUID,
      probePortal: () => Promise.resolve(),
    };
  }

  /** Runs a use case with a minute's deadline on the manual clock. */
  run<T>(work: (context: StorageContext, deadline: Deadline) => Promise<T>): Promise<T> {
    const deadline = deadlineAfter(this.clock, 60_000, 'test');
    return runOn(this.clock, work(this.context, deadline)).finally(() => deadline.release());
  }

  /** Loads the inventory and forgets the calls that took. */
  async warm(): Promise<this> {
    await this.run((context, deadline) => context.inventory.ready(context.config.dataset, deadline));
    this.array.calls.length = 0;
    return this;
  }
}
