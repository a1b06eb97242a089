import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import type { Persistent } from '../api/contract.ts';
import { expandRoles, FULL_ADMIN } from './roles.ts';
import { hashSecret, verifySecret, type StoredSecret } from './scram.ts';

const stored = z.strictObject({ salt: z.string(), iterations: z.int(), storedKey: z.string(), serverKey: z.string() });

const userModel = z.strictObject({
  id: z.int(),
  uid: z.int(),
  gid: z.int(),
  username: z.string(),
  fullName: z.string(),
  password: stored.nullable(),
  attributes: z.record(z.string(), z.unknown()),
  /** gids of further groups */
  moreGids: z.array(z.int()).default([]),
  locked: z.boolean().default(false),
  shell: z.string().default('/usr/bin/zsh'),
});
export type User = z.infer<typeof userModel>;

const groupModel = z.strictObject({ id: z.int(), gid: z.int(), name: z.string() });
export type Group = z.infer<typeof groupModel>;

const privilegeModel = z.strictObject({
  id: z.int(),
  builtinName: z.string().nullable(),
  name: z.string(),
  gids: z.array(z.int()),
  roles: z.array(z.string()),
  webShell: z.boolean(),
});
export type Privilege = z.infer<typeof privilegeModel>;

const keyModel = z.strictObject({
  id: z.int(),
  name: z.string(),
  username: z.string(),
  secret: stored,
  createdAt: z.number(),
  expiresAt: z.number().nullable(),
  revoked: z.boolean(),
  revokedReason: z.string().nullable(),
});
export type ApiKey = z.infer<typeof keyModel>;

const fileModel = z.strictObject({
  users: z.array(userModel),
  /** Absent in states of older simulators. */
  groups: z.array(groupModel).default([]),
  privileges: z.array(privilegeModel),
  keys: z.array(keyModel),
});

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const KEY_LENGTH = 64;

/** 64 letters and digits, unbiased. */
function randomKey(): string {
  let text = '';
  while (text.length < KEY_LENGTH) {
    for (const byte of randomBytes(KEY_LENGTH)) {
      if (byte < 4 * ALPHABET.length && text.length < KEY_LENGTH) text += ALPHABET.charAt(byte % ALPHABET.length);
    }
  }
  return text;
}

/** `<id>-<64 letters and digits>`, null when it is not that (truenas-api 3). */
export function splitKey(text: string): { readonly id: number; readonly material: string } | null {
  const match = /^(\d{1,9})-([A-Za-z0-9]{64})$/.exec(text);
  return match === null ? null : { id: Number(match[1]), material: match[2] ?? '' };
}

export type KeyCheck = { readonly kind: 'valid'; readonly key: ApiKey; readonly user: User } | { readonly kind: 'expired' | 'wrong' };

/** Users, privileges and API keys of the simulated array. Secrets are hashed at rest. */
export class Accounts implements Persistent {
  readonly name = 'accounts';
  readonly #changed: (part: string) => void;
  readonly #now: () => number;
  users: User[] = [];
  groups: Group[] = [];
  privileges: Privilege[] = [];
  keys: ApiKey[] = [];

  constructor(changed: (part: string) => void, now: () => number) {
    this.#changed = changed;
    this.#now = now;
  }

  dump(): unknown {
    return { users: this.users, groups: this.groups, privileges: this.privileges, keys: this.keys };
  }

  load(data: unknown): void {
    const parsed = fileModel.parse(data);
    this.users = parsed.users;
    this.groups = parsed.groups;
    for (const user of parsed.users) this.ensureGroup(user.username, user.gid);
    this.privileges = parsed.privileges;
    this.keys = parsed.keys;
  }

  touch(): void {
    this.#changed(this.name);
  }

  group(gid: number): Group | undefined {
    return this.groups.find((group) => group.gid === gid);
  }

  /** The group with this gid, made under this name where there is none. */
  ensureGroup(name: string, gid: number): Group {
    const there = this.group(gid);
    if (there !== undefined) return there;
    const group = { id: nextId(this.groups), gid, name };
    this.groups.push(group);
    return group;
  }

  /** The next uid and gid that nobody has; TrueNAS begins at 3000. */
  nextNumber(): number {
    return Math.max(2999, ...this.users.map((user) => user.uid), ...this.groups.map((group) => group.gid)) + 1;
  }

  /** gids of all groups of a user. */
  gidsOf(user: User): readonly number[] {
    return [user.gid, ...user.moreGids];
  }

  user(username: string): User | undefined {
    return this.users.find((user) => user.username === username);
  }

  /** Makes a user whose own group has a privilege with `roles`; an existing user gets these roles instead. */
  async ensureUser(username: string, roles: readonly string[], password?: string): Promise<User> {
    let user = this.user(username);
    if (user === undefined) {
      const id = Math.max(0, ...this.users.map((other) => other.id)) + 1;
      const uid = username === 'root' ? 0 : username === 'truenas_admin' ? 950 : 3000 + id;
      const common = { attributes: {}, moreGids: [], locked: false, shell: '/usr/bin/zsh' };
      user = { id, uid, gid: uid, username, fullName: username, password: null, ...common };
      this.users.push(user);
      this.ensureGroup(username, uid);
    }
    if (password !== undefined) await this.setPassword(user, password);
    const gid = user.gid;
    const own = this.privileges.find((privilege) => privilege.gids.length === 1 && privilege.gids[0] === gid);
    if (own === undefined) {
      const full = roles.includes(FULL_ADMIN);
      this.privileges.push({
        id: Math.max(0, ...this.privileges.map((other) => other.id)) + 1,
        builtinName: full && !this.privileges.some((other) => other.builtinName !== null) ? 'LOCAL_ADMINISTRATOR' : null,
        name: full ? 'Local Administrator' : `${username} privilege`,
        gids: [gid],
        roles: [...roles],
        webShell: full,
      });
    } else {
      own.roles = [...roles];
    }
    this.touch();
    return user;
  }

  async setPassword(user: User, password: string): Promise<void> {
    user.password = withoutClientKey(await hashSecret(password));
    this.touch();
  }

  /** All roles that the user's privileges grant; empty = no API access. */
  rolesOf(user: User): ReadonlySet<string> {
    return expandRoles(this.#privilegesOf(user).flatMap((privilege) => privilege.roles));
  }

  webShell(user: User): boolean {
    return this.#privilegesOf(user).some((privilege) => privilege.webShell);
  }

  #privilegesOf(user: User): readonly Privilege[] {
    const gids = this.gidsOf(user);
    return this.privileges.filter((privilege) => privilege.gids.some((gid) => gids.includes(gid)));
  }

  /** A new key; `text` is shown once. `wanted` sets id and material (`--api-key-file`). */
  async createKey(
    username: string,
    name: string,
    expiresAt: number | null = null,
    wanted?: string,
  ): Promise<{ key: ApiKey; text: string; clientKey: string }> {
    const given = wanted === undefined ? null : splitKey(wanted);
    const id = given?.id ?? Math.max(0, ...this.keys.map((key) => key.id)) + 1;
    const material = given?.material ?? randomKey();
    const derived = await hashSecret(material);
    const key: ApiKey = {
      id,
      name,
      username,
      secret: withoutClientKey(derived),
      createdAt: this.#now(),
      expiresAt,
      revoked: false,
      revokedReason: null,
    };
    this.keys = [...this.keys.filter((other) => other.id !== id), key];
    this.touch();
    return { key, text: `${id}-${material}`, clientKey: derived.clientKey };
  }

  /** New material for a key, which also lifts its revocation (api_key.update with reset). */
  async resetKey(key: ApiKey): Promise<{ key: ApiKey; text: string; clientKey: string }> {
    const material = randomKey();
    const derived = await hashSecret(material);
    key.secret = withoutClientKey(derived);
    key.revoked = false;
    key.revokedReason = null;
    this.touch();
    return { key, text: `${key.id}-${material}`, clientKey: derived.clientKey };
  }

  key(id: number): ApiKey | undefined {
    return this.keys.find((key) => key.id === id);
  }

  revokeKey(id: number, reason: string): boolean {
    const key = this.key(id);
    if (key === undefined) return false;
    key.revoked = true;
    key.revokedReason = reason;
    this.touch();
    return true;
  }

  /** Checks a key's text; `username` null = any owner (auth.login_with_api_key, REST). */
  async checkKey(text: string, username: string | null): Promise<KeyCheck> {
    const parts = splitKey(text);
    const key = parts === null ? undefined : this.key(parts.id);
    if (parts === null || key === undefined || key.revoked) return { kind: 'wrong' };
    if (username !== null && key.username !== username) return { kind: 'wrong' };
    const user = this.user(key.username);
    if (user === undefined || user.locked || !(await verifySecret(parts.material, key.secret))) return { kind: 'wrong' };
    return key.expiresAt !== null && key.expiresAt <= this.#now() ? { kind: 'expired' } : { kind: 'valid', key, user };
  }

  async checkPassword(username: string, password: string): Promise<User | null> {
    const user = this.user(username);
    if (user?.password == null || user.locked) return null;
    return (await verifySecret(password, user.password)) ? user : null;
  }
}

export function nextId(rows: readonly { readonly id: number }[]): number {
  return Math.max(0, ...rows.map((row) => row.id)) + 1;
}

function withoutClientKey(derived: StoredSecret): StoredSecret {
  return { salt: derived.salt, iterations: derived.iterations, storedKey: derived.storedKey, serverKey: derived.serverKey };
}
