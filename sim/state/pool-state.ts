import * as z from 'zod';

/** States of a pool that zpool(8) knows and pool.query shows. */
export const POOL_STATUSES = ['ONLINE', 'DEGRADED', 'FAULTED', 'SUSPENDED', 'UNAVAIL', 'OFFLINE', 'REMOVED'] as const;
export type PoolStatus = (typeof POOL_STATUSES)[number];

const poolRecord = z.strictObject({ status: z.enum(POOL_STATUSES), detail: z.string().nullable() });

/** What `zpool status` says of each state when nothing else was given. */
const DETAILS: Readonly<Record<PoolStatus, string | null>> = {
  ONLINE: null,
  DEGRADED: 'One or more devices could not be opened.  Sufficient replicas exist for the pool to continue functioning in a degraded state.',
  FAULTED: 'One or more devices could not be opened.  There are insufficient replicas for the pool to continue functioning.',
  SUSPENDED: 'One or more devices are faulted in response to IO failures.',
  UNAVAIL: 'One or more devices could not be opened.  There are insufficient replicas for the pool to continue functioning.',
  OFFLINE: null,
  REMOVED: 'One or more devices were removed.',
};

const CODES: Readonly<Record<PoolStatus, string>> = {
  ONLINE: 'OK',
  DEGRADED: 'MISSING_DEV_R',
  FAULTED: 'MISSING_DEV_NR',
  SUSPENDED: 'IO_FAILURE_WAIT',
  UNAVAIL: 'MISSING_DEV_NR',
  OFFLINE: 'OK',
  REMOVED: 'REMOVED_DEV',
};

/** Health of the one pool. A pool that is neither ONLINE nor DEGRADED takes no changes: its I/O is suspended. */
export class PoolState {
  status: PoolStatus = 'ONLINE';
  detail: string | null = null;
  private readonly changed: () => void;

  constructor(changed: () => void) {
    this.changed = changed;
  }

  /** `detail` undefined: what zpool says of this state. */
  set(status: PoolStatus, detail?: string | null): void {
    this.status = status;
    this.detail = detail === undefined ? DETAILS[status] : detail;
    this.changed();
  }

  get code(): string {
    return CODES[this.status];
  }

  get healthy(): boolean {
    return this.status === 'ONLINE';
  }

  get suspended(): boolean {
    return this.status !== 'ONLINE' && this.status !== 'DEGRADED';
  }

  dump(): unknown {
    return { status: this.status, detail: this.detail };
  }

  load(data: unknown): void {
    const stored = poolRecord.parse(data);
    this.status = stored.status;
    this.detail = stored.detail;
  }
}
