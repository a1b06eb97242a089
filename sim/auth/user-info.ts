import type { Accounts } from './accounts.ts';
import type { Credentials } from './credentials.ts';
import { homeOf } from './user-methods.ts';
import { FULL_ADMIN } from './roles.ts';

/** auth.me, and `user_info` of a login. */
export function userInfo(credentials: Credentials, accounts: Accounts): Record<string, unknown> {
  const { user, roles } = credentials;
  const full = roles.has(FULL_ADMIN);
  return {
    pw_name: user.username,
    pw_gecos: user.fullName,
    pw_dir: homeOf(user),
    pw_shell: user.shell,
    pw_uid: user.uid,
    pw_gid: user.gid,
    grouplist: accounts.gidsOf(user),
    sid: null,
    source: 'LOCAL',
    local: true,
    attributes: user.attributes,
    two_factor_config: { provisioning_uri: null, secret_configured: false, interval: 30, otp_digits: 6 },
    privilege: {
      roles: { $set: [...roles].sort() },
      allowlist: full ? [{ method: '*', resource: '*' }] : [],
      web_shell: accounts.webShell(user),
      webui_access: full || roles.has('READONLY_ADMIN'),
    },
    account_attributes: ['LOCAL', ...(full ? ['SYS_ADMIN'] : []), ...(credentials.kind === 'API_KEY' ? ['API_KEY'] : [])],
  };
}
