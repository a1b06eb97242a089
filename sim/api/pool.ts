import type { ArrayCore } from '../state/array-core.ts';
import type { SimMethod } from './contract.ts';
import { instanceNotFound, integer, method, roles } from './method.ts';
import { instanceParams, queryParams } from './query-params.ts';

/** pool.query: raw bytes of the disks (truenas-api 8); usable space is the root dataset's `available`. */
export function poolMethods(core: ArrayCore): SimMethod[] {
  const read = roles('POOL_READ');
  const entry = (): Record<string, unknown> => {
    const { size, allocated, free } = core.space.pool();
    const root = core.zfs.mustDataset(core.zfs.pool);
    const { pool } = core;
    return {
      id: 1,
      name: core.zfs.pool,
      guid: root.guid,
      ...(core.release === '26.0' ? { all_sed: false } : {}),
      status: pool.status,
      path: `/mnt/${core.zfs.pool}`,
      scan: null,
      expand: null,
      is_upgraded: true,
      healthy: pool.healthy,
      warning: false,
      status_code: pool.code,
      status_detail: pool.detail,
      size,
      allocated,
      free,
      freeing: 0,
      dedup_table_size: 0,
      dedup_table_quota: 'auto',
      fragmentation: '0',
      size_str: String(size),
      allocated_str: String(allocated),
      free_str: String(free),
      freeing_str: '0',
      autotrim: { parsed: 'off', rawvalue: 'off', value: 'off', source: 'DEFAULT' },
      topology: { data: [dataVdev(pool.status, size, allocated)], log: [], cache: [], spare: [], special: [], dedup: [] },
    };
  };
  return [
    method(
      'pool.query',
      read,
      (release) => queryParams(release, true),
      () => [entry()],
      { query: true },
    ),
    method(
      'pool.get_instance',
      read,
      (release) => instanceParams(release, integer, true),
      ([id]) => {
        if (id !== 1) throw instanceNotFound('Pool', id);
        return entry();
      },
    ),
  ];
}

function dataVdev(status: string, size: number, allocated: number): Record<string, unknown> {
  return {
    name: 'sda',
    type: 'DISK',
    path: '/dev/sda1',
    guid: '1000000001',
    status,
    stats: { timestamp: 0, read_errors: 0, write_errors: 0, checksum_errors: 0, size, allocated, fragmentation: 0 },
    children: [],
    device: 'sda1',
    disk: 'sda',
    unavail_disk: null,
  };
}
