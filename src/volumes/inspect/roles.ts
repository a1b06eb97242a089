import { asStorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import type { InspectContext } from './inspect-context.ts';
import { missingRoles } from '../needed-roles.ts';
import { type Check, critical, failed, ok, warning } from './check.ts';

const PRIVILEGES = 'TrueNAS: Credentials > Groups > Privileges: add';

/** Whether the API key's user may do all that the plugin does on this release. */
export async function inspectRoles(context: InspectContext, deadline: Deadline): Promise<readonly Check[]> {
  try {
    const [{ release }, held] = await Promise.all([context.array.ready(deadline), context.array.roles(deadline)]);
    const missing = missingRoles(held, release);
    if (missing.length === 0) return [ok('roles', 'the API key may do all that is needed')];
    return missing.map(({ anyOf, needed, what }) => {
      const roles = anyOf.join(' or ');
      const message = `the API key lacks the role ${roles}: ${what}`;
      const advice = { setting: 'api_key', cure: `${PRIVILEGES} ${roles}` };
      return needed ? critical('roles', message, advice) : warning('roles', message, advice);
    });
  } catch (thrown) {
    return [failed('roles', asStorageError(thrown), 'api_key')];
  }
}
