import type { Accounts } from '../auth/accounts.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { Sessions } from '../auth/sessions.ts';

export type RestLogin =
  | { readonly kind: 'in'; readonly credentials: Credentials }
  | { readonly kind: 'none' }
  | { readonly kind: 'refused'; readonly status: 400 | 401 | 403; readonly text: string };

const refused = (status: 400 | 401 | 403, text: string): RestLogin => ({ kind: 'refused', status, text });

/**
 * `Authorization: Bearer <api key>`, `Basic`, `Token`, or `?auth_token=` (truenas-api 13). Unlike auth.login_ex there is no
 * check for encryption here (truenas-api 3.1).
 */
export async function restLogin(
  header: string | undefined,
  queryToken: string | undefined,
  address: string,
  accounts: Accounts,
  sessions: Sessions,
): Promise<RestLogin> {
  const given = header ?? (queryToken === undefined ? undefined : `Token ${queryToken}`);
  if (given === undefined) return { kind: 'none' };
  const space = given.indexOf(' ');
  const scheme = given.slice(0, space);
  const value = given.slice(space + 1);
  switch (scheme) {
    case 'Bearer': {
      const check = await accounts.checkKey(value, null);
      if (check.kind !== 'valid') return refused(401, 'Invalid API key');
      return { kind: 'in', credentials: sessions.credentials('API_KEY', check.user, check.key) };
    }
    case 'Token': {
      const token = sessions.tokens.use(value, address);
      if (token === undefined) return refused(403, 'Invalid token');
      if (token.singleUse) sessions.tokens.destroy(value);
      return { kind: 'in', credentials: sessions.credentials('TOKEN', token.parent.user, null, token.parent, value) };
    }
    case 'Basic': {
      const pair = Buffer.from(value, 'base64').toString('utf8');
      const colon = pair.indexOf(':');
      if (colon < 0) return refused(400, '400: Bad Request');
      const user = await accounts.checkPassword(pair.slice(0, colon), pair.slice(colon + 1));
      if (user === null) return refused(401, 'Bad username or password');
      return { kind: 'in', credentials: sessions.credentials('LOGIN_PASSWORD', user) };
    }
    default:
      return { kind: 'none' };
  }
}
