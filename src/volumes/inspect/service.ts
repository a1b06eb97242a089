import { asStorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import type { InspectContext } from './inspect-context.ts';
import { type Check, critical, failed, ok } from './check.ts';

/** The iSCSI service, read now. While it is stopped TrueNAS accepts changes, and exports nothing (truenas-api 8). */
export async function inspectService(context: InspectContext, deadline: Deadline): Promise<readonly Check[]> {
  try {
    if (await context.inventory.refreshService(deadline)) return [ok('service', 'the iSCSI service is running')];
    return [
      critical('service', `the iSCSI service on ${context.config.apiHost} is not running`, {
        setting: 'transport_mode',
        cure: 'TrueNAS: System > Services > iSCSI: start it and enable Start Automatically',
      }),
    ];
  } catch (thrown) {
    return [failed('service', asStorageError(thrown), 'api_key')];
  }
}
