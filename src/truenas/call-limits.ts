interface SlowMethod {
  readonly seconds: number;
  readonly why: string;
}

const RELOAD = 'writes the configuration of the iSCSI target and reloads it';
const TAKES_ALL = 'waits for the pool to free or roll back the data';

/**
 * Methods that TrueNAS does within the call and may need seconds to minutes for (truenas-api 5): they may take longer than
 * `api_timeout`, whatever that is. All others end with `api_timeout`. Either way the caller's own deadline comes first.
 * docs/features/timeouts.md shows this table.
 */
export const SLOW_METHODS: Readonly<Record<string, SlowMethod>> = {
  'pool.dataset.create': { seconds: 300, why: 'reserves space and waits for the device node of the volume' },
  'pool.dataset.update': { seconds: 300, why: 'grows the volume and tells the iSCSI target' },
  'pool.dataset.delete': { seconds: 300, why: TAKES_ALL },
  'iscsi.extent.create': { seconds: 300, why: RELOAD },
  'iscsi.extent.delete': { seconds: 300, why: RELOAD },
  'iscsi.targetextent.create': { seconds: 300, why: RELOAD },
  'iscsi.targetextent.delete': { seconds: 300, why: RELOAD },
  'nvmet.namespace.delete': { seconds: 300, why: 'writes the configuration of the NVMe-oF target' },
  'zfs.snapshot.create': { seconds: 300, why: 'waits for the pool to write what is under way' },
  'zfs.snapshot.delete': { seconds: 300, why: TAKES_ALL },
  'zfs.snapshot.rollback': { seconds: 300, why: TAKES_ALL },
  'pool.snapshot.create': { seconds: 300, why: 'waits for the pool to write what is under way' },
  'pool.snapshot.delete': { seconds: 300, why: TAKES_ALL },
  'pool.snapshot.rollback': { seconds: 300, why: TAKES_ALL },
};

/** ms that one call may take by itself. */
export function callLimitMs(method: string, apiTimeoutMs: number): number {
  const slow = Object.hasOwn(SLOW_METHODS, method) ? SLOW_METHODS[method] : undefined;
  return slow === undefined ? apiTimeoutMs : Math.max(slow.seconds * 1000, apiTimeoutMs);
}

export function isSlow(method: string): boolean {
  return Object.hasOwn(SLOW_METHODS, method);
}
