import * as z from 'zod';
import { ERRNO, validationError, ValidationErrors, type Access, type SimMethod, type SimRelease } from '../api/contract.ts';
import type { Accounts, Privilege } from './accounts.ts';
import { groupEntry } from './group-methods.ts';
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
  const group = (gid: number): Record<string, unknown> =>
    groupEntry(release, accounts, accounts.group(gid) ?? { id: 0, gid, name: String(gid) });
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
  const check = (schema: string, data: z.output<typeof updateModel>, own: number | null): void => {
    if (data.name !== undefined && accounts.privileges.some((other) => other.name === data.name && other.id !== own)) {
      throw validationError(`${schema}.name`, 'Object with this name already exists', 'EINVAL');
    }
    for (const [index, role] of (data.roles ?? []).entries()) {
      if (!isRole(role)) throw validationError(`${schema}.roles.${index}`, 'Invalid role');
    }
    for (const [index, gid] of (data.local_groups ?? []).entries()) {
      if (accounts.group(gid) === undefined) {
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
        check('privilege_create', data, null);
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
        check('privilege_update', data, privilege.id);
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
