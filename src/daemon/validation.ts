import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { parseSection } from '../config/parse-section.ts';
import type { ConfigFault } from '../config/storage-config.ts';
import type { StorageContext } from '../volumes/context.ts';
import { inspect } from '../volumes/inspect/inspect.ts';

/**
 * Checks a storage against its array before storage.cfg is written; changes nothing. Returns warnings.
 * Errors: CONFIG_INVALID with every fault, or the one reason why TrueNAS could not be asked at all.
 */
export async function validationFaults(context: StorageContext, deadline: Deadline): Promise<ConfigFault[]> {
  const { config, section } = context;
  const warnings = parseSection(config.id, section).faults.filter((fault) => fault.severity === 'warning');
  const checks = await inspect(context, deadline);
  const errors: ConfigFault[] = [];
  for (const check of checks) {
    if (check.state === 'ok') continue;
    // Where no setting is to blame, no other setting would help: a conflict on the array must not forbid `pvesm set`.
    const severity = check.state === 'critical' && check.setting !== undefined ? 'error' : 'warning';
    const fault: ConfigFault = {
      setting: check.setting ?? check.name,
      severity,
      message: check.message,
      cure: check.cure ?? 'pve-truenas health',
    };
    (severity === 'error' ? errors : warnings).push(fault);
  }
  if (errors.length === 0) return [...warnings];
  throw new StorageError(
    'CONFIG_INVALID',
    `storage '${config.id}': ${errors.map((fault) => `${fault.setting}: ${fault.message}`).join('; ')}`,
    {
      hints: errors.map((fault) => `${fault.setting}: ${fault.cure}`),
      facts: { faults: errors },
      state: 'nothing was changed',
    },
  );
}
