import * as z from 'zod';
import { CallError, ERRNO, ValidationErrors, type Access, type SimMethod, type SimRelease } from '../api/contract.ts';
import { Problems } from '../api/method.ts';
import { nextId, type Accounts, type User } from './accounts.ts';
import { removeGroup } from './group-methods.ts';

const word = z.string().min(1).max(1024);
const accountFields = {
  home: word.default('/var/empty'),
  shell: word.default('/usr/bin/zsh'),
  smb: z.boolean().default(true),
  userns_idmap: z
    .union([z.literal('DIRECT'), z.int()])
    .nullable()
    .default(null),
  groups: z.array(z.int()).default([]),
  password_disabled: z.boolean().default(false),
  ssh_password_enabled: z.boolean().default(false),
  sshpubkey: z.string().nullable().default(null),
  locked: z.boolean().default(false),
  sudo_commands: z.array(word).default([]),
  sudo_commands_nopasswd: z.array(word).default([]),
  email: z.string().nullable().default(null),
  uid: z.int().min(1000).nullable().default(null),
  username: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?$/),
  full_name: word,
  group_create: z.boolean().default(false),
  group: z.int().nullable().default(null),
  home_create: z.boolean().default(false),
  home_mode: z.string().default('700'),
  password: z.string().nullable().default(null),
  random_password: z.boolean().default(false),
};
const createModel = z.strictObject(accountFields);
const createModel26 = z.strictObject({ ...accountFields, webshare: z.boolean().default(false) });
const deleteModel = z.strictObject({ delete_group: z.boolean().default(true) });
const read: Access = { roles: ['ACCOUNT_READ'] };
const write: Access = { roles: ['ACCOUNT_WRITE'] };
type Wanted = z.output<typeof createModel>;

export function homeOf(user: User): string {
  return user.username === 'root' ? '/root' : user.shell.endsWith('nologin') ? '/var/empty' : `/home/${user.username}`;
}

/** A user as user.query shows it; read in the models of the three releases. */
function userEntry(release: SimRelease, accounts: Accounts, user: User): Record<string, unknown> {
  const group = accounts.ensureGroup(user.username, user.gid);
  return {
    id: user.id,
    uid: user.uid,
    username: user.username,
    unixhash: user.password === null ? '*' : '********',
    smbhash: null,
    home: homeOf(user),
    shell: user.shell,
    full_name: user.fullName,
    builtin: user.uid < 1000,
    smb: false,
    ...(release === '26.0' ? { webshare: false } : {}),
    userns_idmap: null,
    // The raw row of the table: its names have the table's prefix.
    group: { id: group.id, bsdgrp_gid: group.gid, bsdgrp_group: group.name, bsdgrp_builtin: group.gid < 1000 },
    groups: accounts.groups.filter((other) => user.moreGids.includes(other.gid)).map((other) => other.id),
    password_disabled: user.password === null,
    ssh_password_enabled: false,
    sshpubkey: null,
    locked: user.locked,
    sudo_commands: [],
    sudo_commands_nopasswd: [],
    email: null,
    ...(release === '25.04' ? { id_type_both: false } : {}),
    local: true,
    immutable: user.uid < 1000,
    twofactor_auth_configured: false,
    sid: null,
    last_password_change: null,
    password_age: null,
    password_history: null,
    password_change_required: false,
    roles: [...accounts.rolesOf(user)].sort(),
    api_keys: accounts.keys.filter((key) => key.username === user.username).map((key) => key.id),
  };
}

/** user.*: local users for the API; no home directories, SMB, SSH, two-factor login. */
export function userMethods(release: SimRelease, accounts: Accounts): readonly SimMethod[] {
  return [
    {
      name: 'user.query',
      access: () => read,
      query: true,
      params: () => [],
      run: () => accounts.users.map((user) => userEntry(release, accounts, user)),
    },
    {
      name: 'user.create',
      access: () => write,
      params: () => [{ name: 'user_create', schema: release === '26.0' ? createModel26 : createModel }],
      run: async (args) => {
        const data = (release === '26.0' ? createModel26 : createModel).parse(args[0]);
        check(accounts, data);
        const uid = data.uid ?? accounts.nextNumber();
        const gid = groupFor(accounts, data);
        const moreGids = accounts.groups.filter((group) => data.groups.includes(group.id)).map((group) => group.gid);
        const user: User = {
          id: nextId(accounts.users),
          uid,
          gid,
          username: data.username,
          fullName: data.full_name,
          password: null,
          attributes: {},
          moreGids,
          locked: data.locked,
          shell: data.shell,
        };
        accounts.users.push(user);
        if (data.password !== null) await accounts.setPassword(user, data.password);
        accounts.touch();
        return { ...userEntry(release, accounts, user), password: data.password };
      },
    },
    {
      name: 'user.delete',
      access: () => write,
      params: () => [
        { name: 'id', schema: z.int() },
        { name: 'options', schema: deleteModel, fallback: {} },
      ],
      run: (args, context) => {
        const id = z.int().parse(args[0]);
        const user = accounts.users.find((other) => other.id === id);
        if (user === undefined) throw new ValidationErrors([[null, `User ${id} does not exist`, ERRNO.ENOENT]]);
        if (user.username === context.username) throw new CallError('Cannot delete the currently active user', 'EINVAL');
        if (user.uid < 1000) throw new CallError('Cannot delete a built-in user', 'EINVAL');
        const group = accounts.group(user.gid);
        const shared = accounts.users.some((other) => other !== user && accounts.gidsOf(other).includes(user.gid));
        // The group goes first: when a privilege names it, the user stays, too.
        if (deleteModel.parse(args[1]).delete_group && group !== undefined && !shared) removeGroup(accounts, group, false);
        accounts.users = accounts.users.filter((other) => other !== user);
        // Keys of a user go with it.
        accounts.keys = accounts.keys.filter((key) => key.username !== user.username);
        accounts.touch();
        return id;
      },
    },
  ];
}

/** gid of the primary group; group_create takes one that bears the user's name already. */
function groupFor(accounts: Accounts, data: Wanted): number {
  if (!data.group_create) return accounts.groups.find((group) => group.id === data.group)?.gid ?? 0;
  const named = accounts.groups.find((group) => group.name === data.username);
  return named?.gid ?? accounts.ensureGroup(data.username, accounts.nextNumber()).gid;
}

function check(accounts: Accounts, data: Wanted): void {
  const problems = new Problems();
  const at = (field: string): string => `user_create.${field}`;
  if ((data.group === null) !== data.group_create) {
    problems.add(at('group'), 'Enter either a group name or create a new group to continue.');
  } else if (data.group !== null && !accounts.groups.some((group) => group.id === data.group)) {
    problems.add(at('group'), `Group ${data.group} not found`, ERRNO.ENOENT);
  }
  if (accounts.user(data.username) !== undefined) {
    problems.add(at('username'), `The username "${data.username}" already exists.`, ERRNO.EEXIST);
  }
  if (data.smb && data.password_disabled) {
    problems.add(at('password_disabled'), 'Password authentication may not be disabled for SMB users.');
  }
  if (data.password === null && !data.password_disabled && !data.random_password) problems.add(at('password'), 'Password is required');
  if (data.password !== null && data.password_disabled) {
    problems.add(at('password_disabled'), 'Leave "Password" blank when "Disable password login" is checked.');
  }
  for (const character of [':', '\n'].filter((one) => data.full_name.includes(one))) {
    problems.add(at('full_name'), `The ${character === '\n' ? "'\\n'" : `'${character}'`} character is not allowed.`);
  }
  if (data.smb || data.random_password || data.home !== '/var/empty' || data.home_create || data.sshpubkey !== null) {
    problems.add('user_create', 'not modelled by the simulator: SMB, random passwords, home directories, SSH keys', ERRNO.EOPNOTSUPP);
  }
  problems.check();
}
