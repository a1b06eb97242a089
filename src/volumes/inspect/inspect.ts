import type { Deadline } from '../../core/ports.ts';
import type { InspectContext } from './inspect-context.ts';
import type { Check } from './check.ts';
import { inspectDataset } from './dataset.ts';
import { inspectLuns } from './luns.ts';
import { inspectPool } from './pool.ts';
import { inspectPortals } from './portals.ts';
import { inspectRoles } from './roles.ts';
import { inspectService } from './service.ts';
import { inspectSession } from './session.ts';
import { inspectTarget } from './target.ts';

/**
 * Looks at everything a storage needs. Changes nothing on either side. Used by `health` and, as errors, before a storage
 * is added or changed. Costs eight calls (ping, roles, pool, dataset, targets with their base name, portals, service) and
 * a TCP connection a portal; the first time also those that fill the inventory.
 */
export async function inspect(context: InspectContext, deadline: Deadline): Promise<readonly Check[]> {
  const session = await inspectSession(context, deadline);
  if (session.state === 'critical') return [session];
  const looks = [inspectRoles, inspectPool, inspectDataset, inspectTarget, inspectService, inspectPortals, inspectLuns];
  const results = await Promise.all(looks.map((look) => look(context, deadline)));
  return [session, ...results.flat()];
}
