import * as z from 'zod';
import type { RequestFor } from '../../truenas/wire/request.ts';
import type { Answers } from '../answers.ts';
import type { Look } from '../look.ts';
import { markOf, PORTAL_MARK } from '../marks.ts';
import { make } from '../requests.ts';
import { type Change, type Context, deletion, type Ids, learnId, type Part } from './part.ts';

/** Whether what listens on `ip` answers at `wanted`: the address itself, or all addresses of its family. */
export function serves(ip: string, wanted: string): boolean {
  return ip === wanted || ip === (wanted.includes(':') ? '::' : '0.0.0.0');
}

/** Others' portals are used as they are. */
export function portalPart({ answers: { portals }, look, problems, ids }: Context): Part {
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
  if (missing.length === 0) return { what, changes: [] };
  const data = { listen: missing.map((ip) => ({ ip })), comment: PORTAL_MARK };
  const made: Change = {
    what: `make a portal on ${missing.join(', ')}`,
    request: () => make('iscsi.portal.create', [data], `make a portal on ${missing.join(', ')}`, z.unknown()),
    learn: learnId('portal'),
    undo: (known) => deletion('iscsi.portal.delete', [known['portal']], 'delete the portal'),
  };
  ids['portal'] = '<id of the new portal>';
  return { what, changes: [made] };
}

/** The group is our own, so nodes that came are added to it; a group of others is never taken. */
export function initiatorPart({ answers, owner, look, ids }: Context): Part {
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
    return { what, changes: [made] };
  }
  ids['initiator'] = ours.id;
  const together = [...new Set([...ours.initiators, ...wanted])].sort();
  if (together.length === ours.initiators.length) return { what, changes: [] };
  const set = (initiators: readonly string[]): RequestFor<unknown> =>
    make('iscsi.initiator.update', [ours.id, { initiators }], 'set the nodes of the initiator group', z.unknown());
  const grown: Change = { what: 'add nodes to the initiator group', request: () => set(together), undo: () => set(ours.initiators) };
  return { what, changes: [grown] };
}

/** A target of others is used as it is where it admits all nodes. */
export function targetPart(context: Context): Part {
  const { answers, owner, look, problems, ids } = context;
  const name = answers.target.replace(`${look.basename}:`, '');
  const what = `target ${name}`;
  const there = look.targets.find((target) => target.name === name);
  if (there === undefined) return newTarget(context, name);
  ids['target'] = there.id;
  if (there.alias !== markOf(owner)) {
    const admits = there.groups.some((group) => group.authmethod === 'NONE' && admitsAll(answers, look, group.initiator));
    if (!admits)
      problems.push(`the target ${name} was made by somebody else and does not admit all nodes; name another one in the answers`);
    return { what: `${what} (of others, used as it is)`, changes: [] };
  }
  const wanted = groupsOf(ids)(ids);
  const missing = wanted.filter((one) => !there.groups.some((two) => two.portal === one.portal && two.initiator === one.initiator));
  return { what, changes: missing.length === 0 ? [] : [groupsChange(context, there)] };
}

function newTarget({ owner, ids }: Context, name: string): Part {
  const what = `target ${name}`;
  const groups = groupsOf(ids);
  const data = (known: Ids) => ({ name, alias: markOf(owner), mode: 'ISCSI', groups: groups(known) });
  const made: Change = {
    what: `make ${what}`,
    request: (known) => make('iscsi.target.create', [data(known)], `make ${what}`, z.unknown()),
    learn: learnId('target'),
    undo: (known) => deletion('iscsi.target.delete', [known['target'], false, false], `delete ${what}`),
  };
  return { what, changes: [made] };
}

/** Groups of our own target: those that it has, but for the portals of ours, which are set anew. */
function groupsChange({ ids }: Context, there: Look['targets'][number]): Change {
  const groups = groupsOf(ids);
  const wanted = groups(ids);
  const set = (list: readonly unknown[]): RequestFor<unknown> =>
    make('iscsi.target.update', [there.id, { groups: list }], `set the groups of target ${there.name}`, z.unknown());
  const old = there.groups.map(({ portal, initiator, authmethod, ['auth']: auth }) => ({
    portal,
    initiator,
    authmethod,
    auth: auth ?? null,
  }));
  const kept = old.filter((two) => !wanted.some((one) => one.portal === two.portal));
  return { what: `set the groups of target ${there.name}`, request: (known) => set([...kept, ...groups(known)]), undo: () => set(old) };
}

/** One group for each portal that was found or is to be made. */
function groupsOf(ids: Ids) {
  const names = Object.keys(ids).filter((key) => key.startsWith('portal'));
  return (known: Ids) => names.map((key) => ({ portal: known[key], initiator: known['initiator'], authmethod: 'NONE', auth: null }));
}

function admitsAll(answers: Answers, look: Look, id: number | null): boolean {
  if (id === null) return true;
  const group = look.initiators.find((one) => one.id === id);
  if (group === undefined) return false;
  return group.initiators.length === 0 || Object.values(answers.initiators).every((name) => group.initiators.includes(name));
}
