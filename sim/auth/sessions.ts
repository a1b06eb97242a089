import { randomUUID } from 'node:crypto';
import type { EventMessage, SimRelease } from '../api/contract.ts';
import type { Caller } from '../server/caller.ts';
import type { Accounts, ApiKey, User } from './accounts.ts';
import { credentialsEntry, SESSION_MAX_AGE_MS, type CredentialKind, type Credentials } from './credentials.ts';
import { Tokens } from './tokens.ts';

/** Who is logged in, and until when. */
export class Sessions {
  readonly #accounts: Accounts;
  readonly #now: () => number;
  readonly #emit: (event: EventMessage) => void;
  readonly #callers = new Map<string, { readonly caller: Caller; readonly createdAt: number }>();
  readonly tokens: Tokens;

  readonly #release: SimRelease;

  constructor(release: SimRelease, accounts: Accounts, now: () => number, emit: (event: EventMessage) => void) {
    this.#release = release;
    this.#accounts = accounts;
    this.#now = now;
    this.#emit = emit;
    this.tokens = new Tokens(now);
  }

  credentials(
    kind: CredentialKind,
    user: User,
    key: ApiKey | null = null,
    parent: Credentials | null = null,
    token: string | null = null,
  ): Credentials {
    const loginAt = this.#now();
    return {
      kind,
      user,
      roles: this.#accounts.rolesOf(user),
      loginId: randomUUID(),
      loginAt,
      // A token's session lives no longer than the one that made it.
      validUntil: Math.min(loginAt + SESSION_MAX_AGE_MS, parent?.validUntil ?? Number.POSITIVE_INFINITY),
      key: key === null ? null : { id: key.id, name: key.name },
      parent,
      token,
    };
  }

  login(caller: Caller, credentials: Credentials): void {
    if (caller.credentials !== null) this.logout(caller);
    caller.credentials = credentials;
    this.#callers.set(caller.session, { caller, createdAt: this.#now() });
    this.#emit({ msg: 'added', collection: 'auth.sessions', fields: this.#entry(caller, this.#now()) });
  }

  logout(caller: Caller): void {
    if (!this.#callers.delete(caller.session)) return;
    caller.credentials = null;
    this.tokens.sessionEnded(caller.session);
    this.#emit({ msg: 'removed', collection: 'auth.sessions', extra: { fields: { id: caller.session } } });
  }

  /** Run for every message of a connection: an expired session is noticed here (truenas-api 3.2). */
  touch(caller: Caller): void {
    const credentials = caller.credentials;
    if (credentials === null) return;
    const tokenGone = credentials.token !== null && this.tokens.use(credentials.token, caller.origin.address) === undefined;
    if (this.#now() >= credentials.validUntil || (tokenGone && !this.#singleUse.has(credentials.loginId))) this.logout(caller);
  }

  /** Sessions of single-use tokens outlive their token. */
  readonly #singleUse = new Set<string>();
  keepWithoutToken(credentials: Credentials): void {
    this.#singleUse.add(credentials.loginId);
  }

  caller(session: string): Caller | undefined {
    return this.#callers.get(session)?.caller;
  }

  callers(): readonly Caller[] {
    return [...this.#callers.values()].map((entry) => entry.caller);
  }

  /** Rows of auth.sessions. */
  rows(current: Caller): readonly Record<string, unknown>[] {
    return [...this.#callers.values()].map(({ caller, createdAt }) => {
      const { id, ...rest } = this.#entry(caller, createdAt);
      return { id, current: caller === current, internal: false, ...rest };
    });
  }

  #entry(caller: Caller, createdAt: number): Record<string, unknown> {
    return {
      id: caller.session,
      origin: `${caller.origin.address}:${caller.origin.port}`,
      ...(caller.credentials === null ? {} : credentialsEntry(caller.credentials, this.#release)),
      created_at: { $date: Math.floor(createdAt / 1000) * 1000 },
      secure_transport: caller.origin.secure,
    };
  }
}
