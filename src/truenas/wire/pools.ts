import * as z from 'zod';
import type { Pool } from '../../core/array-port.ts';
import { read, type RequestFor } from './request.ts';

const poolRow = z
  .looseObject({ name: z.string(), status: z.string(), healthy: z.boolean(), status_detail: z.string().nullish() })
  .transform((row): Pool => ({ name: row.name, status: row.status, healthy: row.healthy, detail: row.status_detail ?? null }));

/** One pool by name (truenas-api 8). */
export function poolQuery(name: string): RequestFor<readonly Pool[]> {
  const fields = ['name', 'status', 'healthy', 'status_detail'];
  return () =>
    read('pool.query', [[['name', '=', name]], { select: fields }], `read the state of pool ${name}`, z.array(poolRow), {
      roles: ['POOL_READ'],
    });
}
