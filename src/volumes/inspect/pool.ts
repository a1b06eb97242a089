import type { Pool } from '../../core/array-port.ts';
import { asStorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import { poolName } from '../../inventory/inventory.ts';
import type { InspectContext } from './inspect-context.ts';
import { type Check, critical, failed, ok, warning } from './check.ts';

/** States in which a pool takes no I/O (zpool(8), zpoolconcepts(7)). */
const UNUSABLE: ReadonlySet<string> = new Set(['FAULTED', 'OFFLINE', 'UNAVAIL', 'REMOVED', 'SUSPENDED']);

export function isUnusable(pool: Pool): boolean {
  return UNUSABLE.has(pool.status);
}

/** `pool 'tank' is DEGRADED: One or more devices …`, with zpool's own sentence. */
export function poolText(pool: Pool): string {
  const detail = pool.detail === null || pool.detail === '' ? '' : `: ${pool.detail}`;
  return `pool '${pool.name}' is ${pool.status}${detail}`;
}

/** The pool that the dataset lies on, read now. A degraded pool works on and is a warning (F-370). */
export async function inspectPool(context: InspectContext, deadline: Deadline): Promise<readonly Check[]> {
  const name = poolName(context.config.dataset);
  const cure = 'TrueNAS: Storage > the pool > Manage Devices; zpool status in the shell';
  try {
    const pool = await context.inventory.refreshPool(name, deadline);
    if (pool === null) return [critical('pool', `pool '${name}' does not exist or is not imported`, { setting: 'dataset', cure })];
    if (isUnusable(pool)) return [critical('pool', poolText(pool), { cure })];
    return [pool.status === 'ONLINE' && pool.healthy ? ok('pool', poolText(pool)) : warning('pool', poolText(pool), { cure })];
  } catch (thrown) {
    const error = asStorageError(thrown);
    if (error.code !== 'NOT_AUTHORIZED') return [failed('pool', error, 'dataset')];
    return [
      warning('pool', `the state of pool '${name}' is not known: the API key lacks the role POOL_READ`, {
        cure: 'TrueNAS: Credentials > Groups > Privileges: add POOL_READ',
      }),
    ];
  }
}
