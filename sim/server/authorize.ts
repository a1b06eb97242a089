import { CallError, type Access, type SimMethod, type SimRelease } from '../api/contract.ts';
import { FULL_ADMIN } from '../auth/roles.ts';
import type { Credentials } from '../auth/credentials.ts';

/** True when these credentials may use something with this access. */
export function mayUse(access: Access, credentials: Credentials | null): boolean {
  if (access === 'no-auth') return true;
  if (credentials === null) return false;
  if (access === 'any-login' || credentials.roles.has(FULL_ADMIN)) return true;
  return access !== 'full-admin' && access.roles.some((role) => credentials.roles.has(role));
}

/** Authentication, then authorisation. Errors: CallError 207 ENOTAUTHENTICATED, 13 EACCES (truenas-api 3.2). */
export function authorize(method: SimMethod, release: SimRelease, credentials: Credentials | null): void {
  const access = method.access(release);
  if (access === 'no-auth') return;
  if (credentials === null) throw new CallError('Not authenticated', 'ENOTAUTHENTICATED');
  if (!mayUse(access, credentials)) throw new CallError('Not authorized', 'EACCES');
}

/** Event sources and collections that no query method stands behind (truenas-api 6). */
const COLLECTIONS: Readonly<Record<string, Access>> = {
  'core.get_jobs': 'any-login',
  'alert.list': { roles: ['ALERT_LIST_READ'] },
  'auth.sessions': { roles: ['AUTH_SESSIONS_READ'] },
  'zfs.pool.scan': { roles: ['POOL_SCRUB_READ'] },
  'pool.scan': { roles: ['POOL_SCRUB_READ'] },
  'reporting.realtime': { roles: ['REPORTING_READ'] },
};

/** May this user listen to the collection? Unknown names and `*` are for full administrators. */
export function maySubscribe(
  collection: string,
  credentials: Credentials | null,
  release: SimRelease,
  method: SimMethod | undefined,
): boolean {
  return mayUse(COLLECTIONS[collection] ?? method?.access(release) ?? 'full-admin', credentials);
}
