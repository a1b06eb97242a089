import type { Target } from '../../core/array-port.ts';
import { asStorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import type { InspectContext } from './inspect-context.ts';
import { findTarget } from '../lookup.ts';
import { type Check, critical, failed, ok, warning } from './check.ts';

const GROUPS = 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets > Edit: add a group';

/** The target and whom it admits, read now: groups, their portals, CHAP. */
export async function inspectTarget(context: InspectContext, deadline: Deadline): Promise<readonly Check[]> {
  const { inventory } = context;
  let target: Target;
  try {
    await Promise.all([inventory.targets.reload(deadline), inventory.portals.reload(deadline)]);
    target = findTarget(context);
  } catch (thrown) {
    return [failed('target', asStorageError(thrown), 'target_iqn')];
  }
  if (target.groups.length === 0) {
    const message = `target '${target.iqn}' has no portal group and admits nobody`;
    return [critical('target', message, { setting: 'target_iqn', cure: GROUPS })];
  }
  return [ok('target', target.iqn), ...inspectGroups(context, target), await inspectChap(context, target)];
}

/** Portals of ours that TrueNAS listens on without serving this target there (F-018). */
function inspectGroups(context: InspectContext, target: Target): readonly Check[] {
  const served = new Set(target.groups.map((group) => group.portal));
  const portals = [...context.inventory.portals.entries.values()];
  const everywhere = portals.some((portal) => served.has(portal.id) && portal.listen.some(({ ip }) => ip === '0.0.0.0' || ip === '::'));
  if (everywhere) return [];
  const checks: Check[] = [];
  for (const { host } of context.config.portals) {
    const known = portals.filter((portal) => portal.listen.some(({ ip }) => ip === host));
    if (known.length === 0 || known.some((portal) => served.has(portal.id))) continue;
    const message = `target '${target.iqn}' is not served at ${host}: none of its groups has the portal ${known[0]?.id ?? ''}`;
    checks.push(critical('target groups', message, { setting: 'target_iqn', cure: GROUPS }));
  }
  return checks;
}

async function inspectChap(context: InspectContext, target: Target): Promise<Check> {
  const name = 'CHAP';
  const methods = new Set(target.groups.map((group) => group.authmethod));
  const { chapUser } = context.config;
  try {
    await context.chap();
  } catch (thrown) {
    return failed(name, asStorageError(thrown), 'chap_password');
  }
  if (chapUser === null) {
    if (methods.has('NONE')) return ok(name, 'the target asks for none');
    return critical(name, `target '${target.iqn}' demands CHAP, and no chap_user is set`, {
      setting: 'chap_user',
      cure: 'pvesm set STORAGE --chap_user USER --chap_password SECRET',
    });
  }
  if (methods.has('CHAP')) return ok(name, `as user ${chapUser}`);
  if (!methods.has('NONE')) {
    return critical(name, `target '${target.iqn}' demands mutual CHAP, which is not offered`, {
      setting: 'chap_user',
      cure: 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets > Edit: Authentication Method CHAP',
    });
  }
  return warning(name, `chap_user is set, but target '${target.iqn}' asks for no CHAP`, {
    setting: 'chap_user',
    cure: 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets > Edit: Authentication Method CHAP',
  });
}
