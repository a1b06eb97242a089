import { type Finding, ok, warning } from '../finding.ts';
import type { DoctorPorts } from '../ports.ts';
import { AS_ROOT } from '../reasons.ts';

/** Who looks: without root much cannot be seen, which must not read as "all is fine". */
export function checkAccount({ isRoot }: Pick<DoctorPorts, 'isRoot'>): Finding {
  if (isRoot) return ok('account', 'root: everything can be looked at');
  return warning(
    'account',
    'not root: what only root may see (the daemon, secrets, multipathd, LVM, iscsid.conf) is skipped below',
    AS_ROOT,
  );
}
