import { z } from 'zod';
import { ERRNO, validationError, ValidationErrors, type Access, type SimMethod, type SimRelease } from '../api/contract.ts';
import type { Accounts, Privilege } from './accounts.ts';
import { allRoles, isRole } from './roles.ts';

const groups = z.array(z.union([z.int(), z.string()]));
const fields = {
  name: z.string().min(1).max(1024),
  local_groups: z.array(z.int()),
  ds_groups: groups,
  roles: z.array(z.string()),
  web_shell: z.boolean(),
};
const createModel = z.strictObject({
  ...fields,
  local_groups: fields.local_groups.default([]),
  ds_groups: groups.default([]),
  roles: fields.roles.default([]),
});
const updateModel = z.strictObject(fields).partial();
const id = z.int();
const read: Access = { roles: ['PRIVILEGE_READ'] };
const write: Access = { roles: ['PRIVILEGE_WRITE'] };

/** privilege.*: which group may do what (truenas-api 4). `local_groups` takes gids, not record ids. */
export function privilegeMethods(release: SimRelease, accounts: Accounts): readonly SimMethod[] {
  const group = (gid: number): Record<string, unknown> => {
    const user = accounts.users.find((other) => other.gid === gid);
    const name = user?.username ?? String(gid);
    return {
      id: user?.id ?? 0,
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
      roles: [],
      users: user === undefined ? [] : [user.id],
    };
  };
  const entry = (privilege: Privilege): Record<string, unknown> => ({
    id: privilege.id,
    builtin_name: privilege.builtinName,
    name: privilege.name,
    local_groups: privilege.gids.map(group),
    ds_groups: [],
    roles: privilege.roles,
    web_shell: privilege.webShell,
  });
  const existing = (wanted: number): Privilege => {
    const privilege = accounts.privileges.find((other) => other.id === wanted);
    if (privilege === undefined) throw new ValidationErrors([[null, `Privilege ${wanted} does not exist`, ERRNO.ENOENT]]);
    return privilege;
  };
  const check = (schema: string, data: { roles?: readonly string[] | undefined; local_groups?: readonly number[] | undefined }): void => {
    for (const [index, role] of (data.roles ?? []).entries()) {
      if (!isRole(role)) throw validationError(`${schema}.roles.${index}`, 'Invalid role');
    }
    for (const [index, gid] of (data.local_groups ?? []).entries()) {
      if (!accounts.users.some((user) => user.gid === gid)) {
        throw validationError(`${schema}.local_groups.${index}`, `${gid}: local group does not exist`);
      }
    }
  };
  return [
    { name: 'privilege.query', access: () => read, query: true, params: () => [], run: () => accounts.privileges.map(entry) },
    {
      name: 'privilege.get_instance',
      access: () => read,
      params: () => [
        { name: 'id', schema: id },
        { name: 'options', schema: z.looseObject({}), fallback: {} },
      ],
      run: (args) => entry(existing(id.parse(args[0]))),
    },
    {
      name: 'privilege.roles',
      access: () => 'any-login',
      query: true,
      params: () => [],
      run: () =>
        allRoles().map((role) => ({ name: role.name, title: role.name, includes: role.includes, builtin: role.builtin, stig: null })),
    },
    {
      name: 'privilege.create',
      access: () => write,
      params: () => [{ name: 'privilege_create', schema: createModel }],
      run: (args) => {
        const data = createModel.parse(args[0]);
        check('privilege_create', data);
        const privilege: Privilege = {
          id: Math.max(0, ...accounts.privileges.map((other) => other.id)) + 1,
          builtinName: null,
          name: data.name,
          gids: data.local_groups,
          roles: data.roles,
          webShell: data.web_shell,
        };
        accounts.privileges.push(privilege);
        accounts.touch();
        return entry(privilege);
      },
    },
    {
      name: 'privilege.update',
      access: () => write,
      params: () => [
        { name: 'id', schema: id },
        { name: 'privilege_update', schema: updateModel },
      ],
      run: (args) => {
        const privilege = existing(id.parse(args[0]));
        const data = updateModel.parse(args[1]);
        check('privilege_update', data);
        privilege.name = data.name ?? privilege.name;
        privilege.gids = data.local_groups ?? privilege.gids;
        privilege.roles = data.roles ?? privilege.roles;
        privilege.webShell = data.web_shell ?? privilege.webShell;
        accounts.touch();
        return entry(privilege);
      },
    },
    {
      name: 'privilege.delete',
      access: () => write,
      params: () => [{ name: 'id', schema: id }],
      run: (args) => {
        const privilege = existing(id.parse(args[0]));
        if (privilege.builtinName !== null) throw validationError('privilege_delete.id', 'Unable to delete built-in privilege', 'EPERM');
        accounts.privileges = accounts.privileges.filter((other) => other !== privilege);
        accounts.touch();
        return true;
      },
    },
  ];
}
