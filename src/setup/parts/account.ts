import * as z from 'zod';
import type { RequestFor } from '../../truenas/wire/request.ts';
import { accountMark } from '../marks.ts';
import { all, make, rows } from '../requests.ts';
import { type Change, type Context, deletion, type Ids, learnId, type Part } from './part.ts';

const COMMON = ['POOL_READ', 'DATASET_WRITE', 'DATASET_DELETE', 'SNAPSHOT_WRITE', 'SNAPSHOT_DELETE', 'SERVICE_READ'] as const;

/** Least privilege (truenas-api 4): what src/volumes/needed-roles.ts asks for, no more. */
export const ROLES = {
  iscsi: [
    ...COMMON,
    'SHARING_ISCSI_GLOBAL_READ',
    'SHARING_ISCSI_TARGET_READ',
    'SHARING_ISCSI_PORTAL_READ',
    'SHARING_ISCSI_EXTENT_WRITE',
    'SHARING_ISCSI_TARGETEXTENT_WRITE',
  ],
  'nvme-tcp': [...COMMON, 'SHARING_NVME_TARGET_WRITE'],
} as const;

const madeUser = z.union([z.number(), z.looseObject({ id: z.number() }).transform(({ id }) => id)]);

/** The user that owns the key: without password, shell and home. All storages of a cluster share it. */
export function userPart({ answers: { user }, owner, look, problems, ids }: Context): Part {
  const mark = accountMark(user, owner.cluster);
  const what = `user ${user}`;
  const there = look.users.find((one) => one.username === user);
  const group = look.groups.find((one) => one.name === user);
  if (there !== undefined) {
    if (there.full_name !== mark) problems.push(`the user ${user} was made by somebody else; name another one in the answers`);
    else if (group === undefined) problems.push(`the user ${user} has lost its group`);
    else if (there.locked) problems.push(`the user ${user} is locked`);
    ids['user'] = there.id;
    if (group !== undefined) ids['gid'] = group.gid;
    return { what, changes: [] };
  }
  if (group !== undefined) problems.push(`there is a group ${user} without its user; name another user in the answers`);
  ids['gid'] = '<gid of the new user>';
  const data = { username: user, full_name: mark, group_create: true, password_disabled: true, smb: false, shell: '/usr/sbin/nologin' };
  const made: Change = {
    what: `make ${what}`,
    request: () => make('user.create', [data], `make ${what}`, z.unknown()),
    learn: async (answer, array) => {
      // The releases tell of the new group in different ways, or not at all.
      const [row] = await array.call(all('group.query', rows.group, [['name', '=', user]]));
      return { user: madeUser.parse(answer), ...(row === undefined ? {} : { gid: row.gid }) };
    },
    undo: (known) => deletion('user.delete', [known['user'], { delete_group: true }], `delete ${what}`),
  };
  return { what, changes: [made] };
}

/** The privilege of that user's group: all roles that its storages need. */
export function privilegePart({ answers: { user, transport }, owner, look, ids, problems }: Context): Part {
  const name = accountMark(user, owner.cluster);
  const what = `privilege of ${user}`;
  const wanted: readonly string[] = ROLES[transport];
  const there = look.privileges.find((one) => one.name === name);
  if (there === undefined) {
    const data = (known: Ids) => ({ name, local_groups: [known['gid']], ds_groups: [], roles: [...wanted], web_shell: false });
    const made: Change = {
      what: `make the ${what}`,
      request: (known) => make('privilege.create', [data(known)], `make the ${what}`, z.unknown()),
      learn: learnId('privilege'),
      undo: (known) => deletion('privilege.delete', [known['privilege']], `delete the ${what}`),
    };
    return { what, changes: [made] };
  }
  ids['privilege'] = there.id;
  const held = there.local_groups.map(({ gid }) => gid);
  const gid = ids['gid'];
  if (held.some((one) => one !== gid)) problems.push(`the ${what} was given to other groups, too: take them out of it`);
  const together = [...new Set([...there.roles, ...wanted])];
  if (held.some((one) => one === gid) && together.length === there.roles.length) return { what, changes: [] };
  const set = (fields: object): RequestFor<unknown> => make('privilege.update', [there.id, fields], `set the ${what}`, z.unknown());
  const changed: Change = {
    what: `set the ${what}`,
    // Roles of another storage of this cluster stay.
    request: (known) => set({ local_groups: [known['gid']], roles: together }),
    undo: () => set({ local_groups: held, roles: there.roles }),
  };
  return { what, changes: [changed] };
}
