import { z } from 'zod';
import type { RequestFor } from '../truenas/wire/request.ts';
import type { Answers } from './answers.ts';
import type { Look } from './look.ts';
import { accountMark, datasetMark, markOf, type Owner, PORTAL_MARK, SETUP_PROPERTY } from './marks.ts';
import { control, make } from './requests.ts';

/** Ids of objects by the name of their part; of one that is still to be made a placeholder, which only a dry run shows. */
export type Ids = Readonly<Record<string, number | string>>;

/** One call, and the one that takes it back. `answer` is what TrueNAS gave for it. */
export interface Change {
  readonly what: string;
  request(ids: Ids): RequestFor<unknown>;
  /** Ids to remember. */
  learn?(answer: unknown): Ids;
  undo(ids: Ids): RequestFor<unknown>;
}

/** One object that the storage needs. */
export interface Part {
  readonly name: string;
  readonly what: string;
  /** No changes: it is there as it is wanted. */
  readonly changes: readonly Change[];
}

export interface Plan {
  readonly parts: readonly Part[];
  /** Why it cannot be done without touching what belongs to others; then nothing is done. */
  readonly problems: readonly string[];
  /** Ids of what is there. */
  readonly ids: Ids;
}

/** Least privilege (truenas-api 4): what src/volumes/needed-roles.ts asks for, no more. */
export const ROLES = [
  'POOL_READ',
  'DATASET_WRITE',
  'DATASET_DELETE',
  'SNAPSHOT_WRITE',
  'SNAPSHOT_DELETE',
  'SERVICE_READ',
  'SHARING_ISCSI_GLOBAL_READ',
  'SHARING_ISCSI_TARGET_READ',
  'SHARING_ISCSI_PORTAL_READ',
  'SHARING_ISCSI_EXTENT_WRITE',
  'SHARING_ISCSI_TARGETEXTENT_WRITE',
] as const;

const ADMIN_ROLES = ['DATASET_WRITE', 'DATASET_DELETE', 'ACCOUNT_WRITE', 'PRIVILEGE_WRITE', 'API_KEY_WRITE', 'SERVICE_WRITE'] as const;
const withId = z.looseObject({ id: z.union([z.number(), z.string()]) });

function learnId(name: string): (answer: unknown) => Ids {
  return (answer) => ({ [name]: withId.parse(answer).id });
}

/** What is missing for these answers, decided from one look. Pure. */
export function planFor(answers: Answers, owner: Owner, look: Look): Plan {
  const problems: string[] = [];
  const ids: Record<string, number | string> = {};
  const context = { answers, owner, look, problems, ids };
  const lacking = ADMIN_ROLES.filter((role) => !look.roles.includes(role));
  if (!look.roles.includes('FULL_ADMIN') && lacking.length > 0) {
    problems.push(`the administrator ${answers.admin} lacks the role${lacking.length === 1 ? '' : 's'} ${lacking.join(', ')}`);
  }
  const parts = [
    datasetPart(context),
    servicePart(context),
    portalPart(context),
    initiatorPart(context),
    targetPart(context),
    userPart(context),
    privilegePart(context),
  ];
  return { parts, problems, ids };
}

interface Context {
  readonly answers: Answers;
  readonly owner: Owner;
  readonly look: Look;
  readonly problems: string[];
  readonly ids: Record<string, number | string>;
}

function datasetPart({ answers: { dataset }, owner, look, problems }: Context): Part {
  const words = dataset.split('/');
  const [pool = ''] = words;
  const found = look.pools.find(({ name }) => name === pool);
  if (found === undefined) problems.push(`there is no pool ${pool}; there are ${look.pools.map(({ name }) => name).join(', ') || 'none'}`);
  else if (!['ONLINE', 'DEGRADED'].includes(found.status)) problems.push(`the pool ${pool} is ${found.status}`);
  if (words.length === 1) problems.push(`the dataset must lie below the pool: ${pool}/proxmox`);
  const levels = words.slice(1).map((_, index) => words.slice(0, index + 2).join('/'));
  const volume = look.datasets.find(({ id, type }) => levels.includes(id) && type !== 'FILESYSTEM');
  if (volume !== undefined) problems.push(`${volume.id} is a volume, no dataset`);
  const missing = levels.filter((level) => !look.datasets.some(({ id }) => id === level));
  const changes = missing.map((name): Change => {
    const value = datasetMark(owner, name);
    const data = { name, type: 'FILESYSTEM', comments: markOf(owner), user_properties: [{ key: SETUP_PROPERTY, value }] };
    return {
      what: `make dataset ${name}`,
      request: () => make('pool.dataset.create', [data], `make dataset ${name}`, z.unknown()),
      undo: () => deletion('pool.dataset.delete', [name, { recursive: false }], `delete dataset ${name}`),
    };
  });
  return { name: 'dataset', what: `dataset ${dataset}`, changes };
}

function servicePart({ look: { service }, problems }: Context): Part {
  const changes: Change[] = [];
  if (service === null) problems.push('TrueNAS has no service iscsitarget');
  if (service !== null && !service.enable) {
    const set = (enable: boolean): RequestFor<unknown> =>
      make('service.update', ['iscsitarget', { enable }], `start iSCSI at boot: ${enable ? 'on' : 'off'}`, z.unknown());
    changes.push({ what: 'enable the iSCSI service', request: () => set(true), undo: () => set(false) });
  }
  if (service !== null && service.state !== 'RUNNING') {
    const run = (verb: 'START' | 'STOP'): RequestFor<unknown> => control(verb, 'iscsitarget');
    changes.push({ what: 'start the iSCSI service', request: () => run('START'), undo: () => run('STOP') });
  }
  return { name: 'service', what: 'iSCSI service', changes };
}

/** Others' portals are used as they are: one that listens on the address, or on all addresses of its family. */
function portalPart({ answers: { portals }, look, problems, ids }: Context): Part {
  const serves = (ip: string, wanted: string): boolean => ip === wanted || ip === (wanted.includes(':') ? '::' : '0.0.0.0');
  const missing: string[] = [];
  const used = new Set<number>();
  for (const address of portals) {
    const there = look.portals.find(({ listen }) => listen.some(({ ip }) => serves(ip, address)));
    if (there !== undefined) used.add(there.id);
    else if (look.addresses.includes(address)) missing.push(address);
    else problems.push(`TrueNAS has no address ${address}; it has ${look.addresses.join(', ')}`);
  }
  [...used].forEach((id, index) => (ids[`portal${index}`] = id));
  const what = `portal ${portals.join(', ')}`;
  if (missing.length === 0) return { name: 'portal', what, changes: [] };
  const data = { listen: missing.map((ip) => ({ ip })), comment: PORTAL_MARK };
  const made: Change = {
    what: `make a portal on ${missing.join(', ')}`,
    request: () => make('iscsi.portal.create', [data], `make a portal on ${missing.join(', ')}`, z.unknown()),
    learn: learnId('portal'),
    undo: (known) => deletion('iscsi.portal.delete', [known['portal']], 'delete the portal'),
  };
  ids['portal'] = '<id of the new portal>';
  return { name: 'portal', what, changes: [made] };
}

/** The group is our own, so nodes that came are added to it; a group of others is never taken. */
function initiatorPart({ answers, owner, look, ids }: Context): Part {
  const wanted = [...new Set(Object.values(answers.initiators))].sort();
  const comment = markOf(owner);
  const what = `initiator group of ${wanted.length} node${wanted.length === 1 ? '' : 's'}`;
  const ours = look.initiators.find((group) => group.comment === comment);
  if (ours === undefined) {
    ids['initiator'] = '<id of the new initiator group>';
    const made: Change = {
      what: 'make the initiator group',
      request: () => make('iscsi.initiator.create', [{ initiators: wanted, comment }], 'make the initiator group', z.unknown()),
      learn: learnId('initiator'),
      undo: (known) => deletion('iscsi.initiator.delete', [known['initiator']], 'delete the initiator group'),
    };
    return { name: 'initiator', what, changes: [made] };
  }
  ids['initiator'] = ours.id;
  const together = [...new Set([...ours.initiators, ...wanted])].sort();
  if (together.length === ours.initiators.length) return { name: 'initiator', what, changes: [] };
  const set = (initiators: readonly string[]): RequestFor<unknown> =>
    make('iscsi.initiator.update', [ours.id, { initiators }], 'set the nodes of the initiator group', z.unknown());
  const grown: Change = { what: 'add nodes to the initiator group', request: () => set(together), undo: () => set(ours.initiators) };
  return { name: 'initiator', what, changes: [grown] };
}

function targetPart({ answers, owner, look, problems, ids }: Context): Part {
  const name = answers.target.replace(`${look.basename}:`, '');
  const what = `target ${name}`;
  const portalNames = Object.keys(ids).filter((key) => key.startsWith('portal'));
  const groups = (known: Ids) =>
    portalNames.map((key) => ({ portal: known[key], initiator: known['initiator'], authmethod: 'NONE', auth: null }));
  const there = look.targets.find((target) => target.name === name);
  if (there === undefined) {
    const made: Change = {
      what: `make target ${name}`,
      request: (known) =>
        make('iscsi.target.create', [{ name, alias: markOf(owner), mode: 'ISCSI', groups: groups(known) }], `make ${what}`, z.unknown()),
      learn: learnId('target'),
      undo: (known) => deletion('iscsi.target.delete', [known['target'], false, false], `delete ${what}`),
    };
    return { name: 'target', what, changes: [made] };
  }
  ids['target'] = there.id;
  if (there.alias !== markOf(owner)) {
    const admits = there.groups.some((group) => group.authmethod === 'NONE' && admitsAll(answers, look, group.initiator));
    if (!admits) problems.push(`the target ${name} was made by somebody else and does not admit all nodes; it is not changed`);
    return { name: 'target', what: `${what} (of others, used as it is)`, changes: [] };
  }
  const wanted = groups(ids);
  const missing = wanted.filter((one) => !there.groups.some((two) => two.portal === one.portal && two.initiator === one.initiator));
  if (missing.length === 0) return { name: 'target', what, changes: [] };
  const set = (list: readonly unknown[]): RequestFor<unknown> =>
    make('iscsi.target.update', [there.id, { groups: list }], `set the groups of ${what}`, z.unknown());
  const old = there.groups.map(({ portal, initiator, authmethod, ['auth']: auth }) => ({
    portal,
    initiator,
    authmethod,
    auth: auth ?? null,
  }));
  const kept = old.filter((two) => !wanted.some((one) => one.portal === two.portal));
  const changed: Change = {
    what: `set the groups of ${what}`,
    request: (known) => set([...kept, ...groups(known)]),
    undo: () => set(old),
  };
  return { name: 'target', what, changes: [changed] };
}

function admitsAll(answers: Answers, look: Look, id: number | null): boolean {
  if (id === null) return true;
  const group = look.initiators.find((one) => one.id === id);
  if (group === undefined) return false;
  return group.initiators.length === 0 || Object.values(answers.initiators).every((name) => group.initiators.includes(name));
}

function userPart({ answers: { user }, owner, look, problems, ids }: Context): Part {
  const mark = accountMark(user, owner.cluster);
  const what = `user ${user}`;
  const there = look.users.find((one) => one.username === user);
  const group = look.groups.find((one) => one.name === user);
  if (there !== undefined) {
    if (there.full_name !== mark) problems.push(`the user ${user} was made by somebody else; name another one in the answers`);
    ids['user'] = there.id;
    if (group === undefined) problems.push(`the user ${user} has lost its group`);
    else ids['gid'] = group.gid;
    return { name: 'user', what, changes: [] };
  }
  if (group !== undefined) problems.push(`there is a group ${user} without its user; name another user in the answers`);
  ids['gid'] = '<gid of the new user>';
  const data = {
    username: user,
    full_name: mark,
    group_create: true,
    password_disabled: true,
    smb: false,
    shell: '/usr/sbin/nologin',
  };
  const made: Change = {
    what: `make ${what}`,
    request: () => make('user.create', [data], `make ${what}`, z.unknown()),
    learn: (answer) => {
      const row = z.looseObject({ id: z.number(), uid: z.number(), group: z.looseObject({ bsdgrp_gid: z.number() }) }).parse(answer);
      return { user: row.id, gid: row.group.bsdgrp_gid };
    },
    undo: (known) => deletion('user.delete', [known['user'], { delete_group: true }], `delete ${what}`),
  };
  return { name: 'user', what, changes: [made] };
}

function privilegePart({ answers: { user }, owner, look, ids }: Context): Part {
  const name = accountMark(user, owner.cluster);
  const what = `privilege of ${user}`;
  const there = look.privileges.find((one) => one.name === name);
  const data = (known: Ids) => ({ name, local_groups: [known['gid']], ds_groups: [], roles: [...ROLES], web_shell: false });
  if (there === undefined) {
    const made: Change = {
      what: `make the ${what}`,
      request: (known) => make('privilege.create', [data(known)], `make the ${what}`, z.unknown()),
      learn: learnId('privilege'),
      undo: (known) => deletion('privilege.delete', [known['privilege']], `delete the ${what}`),
    };
    return { name: 'privilege', what, changes: [made] };
  }
  ids['privilege'] = there.id;
  const held = there.local_groups.map(({ gid }) => gid);
  if (held.length === 1 && held[0] === ids['gid'] && ROLES.every((role) => there.roles.includes(role))) {
    return { name: 'privilege', what, changes: [] };
  }
  const set = (fields: object): RequestFor<unknown> => make('privilege.update', [there.id, fields], `set the ${what}`, z.unknown());
  const changed: Change = {
    what: `set the ${what}`,
    request: (known) => set({ local_groups: [known['gid']], roles: [...ROLES] }),
    undo: () => set({ local_groups: held, roles: there.roles }),
  };
  return { name: 'privilege', what, changes: [changed] };
}

export function deletion(method: string, params: readonly unknown[], what: string): RequestFor<unknown> {
  return make(method, params, what, z.unknown());
}
