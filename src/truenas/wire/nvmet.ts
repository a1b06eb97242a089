import * as z from 'zod';
import type { Namespace } from '../../core/array-port.ts';
import { change, read, type RequestFor } from './request.ts';

const namespaceRow = z
  .looseObject({
    id: z.number().int(),
    nsid: z.number().int().nullish(),
    subsys: z.looseObject({ id: z.number().int(), name: z.string(), subnqn: z.string().nullish() }),
    device_type: z.enum(['ZVOL', 'FILE']).catch('FILE'),
    device_path: z.string(),
    device_uuid: z.string(),
    enabled: z.boolean(),
  })
  .transform(
    (row): Namespace => ({
      id: row.id,
      nsid: row.nsid ?? null,
      subsystem: { id: row.subsys.id, name: row.subsys.name, nqn: row.subsys.subnqn ?? null },
      disk: row.device_type === 'ZVOL' && row.device_path.startsWith('zvol/') ? row.device_path : null,
      uuid: row.device_uuid,
      enabled: row.enabled,
    }),
  );

/** All NVMe-oF namespaces (truenas-api 12); 25.04 has no such method. */
export function namespaceQuery(): RequestFor<readonly Namespace[]> {
  return () =>
    read('nvmet.namespace.query', [[], {}], 'list the NVMe-oF namespaces', z.array(namespaceRow), { roles: ['SHARING_NVME_TARGET_READ'] });
}

/** `remove: false`: only concerns files. The array does not look whether anybody uses it (truenas-api 12). */
export function namespaceDelete(id: number): RequestFor<unknown> {
  return () =>
    change('nvmet.namespace.delete', [id, { remove: false }], `delete namespace ${id}`, z.unknown(), {
      roles: ['SHARING_NVME_TARGET_WRITE'],
    });
}
