import type { SimRelease } from '../api/contract.ts';
import type { ApiKey, User } from './accounts.ts';

const DAY = 24 * 60 * 60 * 1000;
/** LEVEL_1 sessions end 30 days after login whatever they do (truenas-api 3.2). */
export const SESSION_MAX_AGE_MS = 30 * DAY;

export type CredentialKind = 'LOGIN_PASSWORD' | 'API_KEY' | 'TOKEN';

/** Who is logged in on a connection or behind one REST request. */
export interface Credentials {
  readonly kind: CredentialKind;
  readonly user: User;
  readonly roles: ReadonlySet<string>;
  readonly loginId: string;
  /** ms since the epoch */
  readonly loginAt: number;
  /** ms since the epoch; later the session is dropped at its next message */
  readonly validUntil: number;
  readonly key: Pick<ApiKey, 'id' | 'name'> | null;
  /** Credentials that a token was made with. */
  readonly parent: Credentials | null;
  readonly token: string | null;
}

/** `credentials` and `credentials_data` of auth.sessions and jobs; 25.04 has no login ids. */
export function credentialsEntry(
  credentials: Credentials,
  release: SimRelease,
): { credentials: CredentialKind; credentials_data: Record<string, unknown> } {
  const username = credentials.user.username;
  const login = release === '25.04' ? {} : { login_id: credentials.loginId };
  if (credentials.kind === 'TOKEN' && credentials.parent !== null) {
    return {
      credentials: 'TOKEN',
      credentials_data: { parent: credentialsEntry(credentials.parent, release), ...login, username },
    };
  }
  const base = { username, ...login, login_at: { $date: credentials.loginAt } };
  return credentials.key === null
    ? { credentials: credentials.kind, credentials_data: base }
    : { credentials: credentials.kind, credentials_data: { ...base, api_key: { id: credentials.key.id, name: credentials.key.name } } };
}
