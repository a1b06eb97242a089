import * as z from 'zod';
import { CallError, ERRNO, validationError, ValidationErrors, type Access, type SimMethod, type SimRelease } from '../api/contract.ts';
import { nextId, type Accounts, type Group } from './accounts.ts';
import { expandRoles } from './roles.ts';

const createModel = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/),
  gid: z.int().min(1000).nullable().default(null),
  sudo_commands: z.array(z.string()).default([]),
  sudo_commands_nopasswd: z.array(z.string()).default([]),
  smb: z.boolean().default(true),
  userns_idmap: z
    .union([z.literal('DIRECT'), z.int()])
    .nullable()
    .default(null),
  users: z.array(z.int()).default([]),
});
const deleteModel = z.strictObject({ delete_users: z.boolean().default(false) });
const read: Access = { roles: ['ACCOUNT_READ'] };
const write: Access = { roles: ['ACCOUNT_WRITE'] };

/** A group as group.query and the privileges show it; read in the models of the three releases. */
export function groupEntry(release: SimRelease, accounts: Accounts, { id, gid, name }: Group): Record<string, unknown> {
  const roles = accounts.privileges.filter((privilege) => privilege.gids.includes(gid)).flatMap((privilege) => privilege.roles);
  return {
    id,
    gid,
    name,
    builtin: gid < 1000,
    sudo_commands: [],
    sudo_commands_nopasswd: [],
    smb: false,
    userns_idmap: null,
    group: name,
    ...(release === '25.04' ? { id_type_both: false } : { immutable: gid < 1000 }),
    local: true,
    sid: null,
    roles: [...expandRoles(roles)].sort(),
    users: accounts.users.filter((user) => accounts.gidsOf(user).includes(gid)).map((user) => user.id),
  };
}

/** group.*: local groups, without sudo, SMB and id maps. */
export function groupMethods(release: SimRelease, accounts: Accounts): readonly SimMethod[] {
  const existing = (id: number): Group => {
    const group = accounts.groups.find((other) => other.id === id);
    if (group === undefined) throw new ValidationErrors([[null, `Group ${id} does not exist`, ERRNO.ENOENT]]);
    return group;
  };
  return [
    {
      name: 'group.query',
      access: () => read,
      query: true,
      params: () => [],
      run: () => accounts.groups.map((group) => groupEntry(release, accounts, group)),
    },
    {
      name: 'group.create',
      access: () => write,
      params: () => [{ name: 'group_create', schema: createModel }],
      run: (args) => {
        const data = createModel.parse(args[0]);
        if (accounts.groups.some((group) => group.name === data.name)) {
          throw validationError('group_create.name', `A Group with the name "${data.name}" already exists.`, 'EEXIST');
        }
        const group = { id: nextId(accounts.groups), gid: data.gid ?? accounts.nextNumber(), name: data.name };
        accounts.groups.push(group);
        for (const user of accounts.users) if (data.users.includes(user.id)) user.moreGids.push(group.gid);
        accounts.touch();
        return group.id;
      },
    },
    {
      name: 'group.delete',
      access: () => write,
      params: () => [
        { name: 'id', schema: z.int() },
        { name: 'options', schema: deleteModel, fallback: {} },
      ],
      run: (args) => {
        const group = existing(z.int().parse(args[0]));
        removeGroup(accounts, group, deleteModel.parse(args[1]).delete_users);
        return group.id;
      },
    },
  ];
}

/** Refused for built-in groups and for those that a privilege names. */
export function removeGroup(accounts: Accounts, group: Group, withUsers: boolean): void {
  if (group.gid < 1000) throw new CallError('A built-in group cannot be deleted.', 'EACCES');
  assertNoPrivilege(accounts, group);
  if (withUsers) accounts.users = accounts.users.filter((user) => user.gid !== group.gid);
  for (const user of accounts.users) user.moreGids = user.moreGids.filter((gid) => gid !== group.gid);
  accounts.groups = accounts.groups.filter((other) => other !== group);
  accounts.touch();
}

function assertNoPrivilege(accounts: Accounts, group: Group): void {
  const privilege = accounts.privileges.find((other) => other.gids.includes(group.gid));
  if (privilege === undefined) return;
  throw new CallError(
    `This group is used by privilege '${privilege.name}'. Please remove it from that privilege first, then delete the group.`,
    'EACCES',
  );
}
