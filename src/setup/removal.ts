import { MIB } from '../core/sizes.ts';
import type { RequestFor } from '../truenas/wire/request.ts';
import type { Answers } from './answers.ts';
import type { Look } from './look.ts';
import { accountMark, datasetMark, madeBy, markOf, type Owner, PORTAL_MARK, subsystemName } from './marks.ts';
import { deletion } from './parts/part.ts';

export interface Removal {
  readonly what: string;
  readonly request: RequestFor<unknown>;
}

interface Sorting {
  readonly answers: Answers;
  readonly owner: Owner;
  readonly look: Look;
  readonly stays: string[];
  readonly take: (what: string, method: string, ...params: readonly unknown[]) => void;
}

/** A dataset that holds more than this (bytes) holds files of somebody; an empty one has some ten KiB. */
const EMPTY_BYTES = MIB;

/**
 * What setup made for this storage and nobody uses, in the order in which it can go, and what stays for which reason. Decided from one
 * look; what another storage or cluster uses stays.
 */
export function removalFor(
  answers: Answers,
  owner: Owner,
  look: Look,
): { readonly removals: readonly Removal[]; readonly stays: readonly string[] } {
  const removals: Removal[] = [];
  const stays: string[] = [];
  const take = (what: string, method: string, ...params: readonly unknown[]): void =>
    void removals.push({ what, request: deletion(method, params, `delete ${what}`) });
  const sorting = { answers, owner, look, stays, take };
  account(sorting);
  iscsi(sorting);
  nvme(sorting);
  datasets(sorting);
  stays.push(`${answers.transport === 'iscsi' ? 'iSCSI' : 'NVMe-oF'} service: it is not known who else wants it`);
  return { removals, stays };
}

function account({ answers: { user }, owner, look, take, stays }: Sorting): void {
  const mark = markOf(owner);
  for (const key of look.keys.filter((one) => one.name === mark)) take(`API key ${key.name}`, 'api_key.delete', key.id);
  const name = accountMark(user, owner.cluster);
  const ours = look.users.find((one) => one.username === user && one.full_name === name);
  const others = look.keys.filter((one) => one.username === user && one.name !== mark);
  if (others.length > 0) return void stays.push(`user ${user}: ${others.length} other API key(s) of it are there`);
  for (const one of look.privileges.filter((privilege) => privilege.name === name))
    take(`privilege ${one.name}`, 'privilege.delete', one.id);
  if (ours !== undefined) take(`user ${user}`, 'user.delete', ours.id, { delete_group: true });
}

function iscsi({ owner, look, take, stays }: Sorting): void {
  const mark = markOf(owner);
  const targets = look.targets.filter((one) => one.alias === mark);
  const used = targets.filter((one) => look.mappings.some(({ target }) => target === one.id));
  for (const one of used) stays.push(`target ${one.name}: volumes are exported by it`);
  const gone = targets.filter((one) => !used.includes(one));
  for (const one of gone) take(`target ${one.name}`, 'iscsi.target.delete', one.id, false, false);
  const left = look.targets.filter((one) => !gone.includes(one)).flatMap((one) => one.groups);
  for (const one of look.initiators.filter(({ comment }) => comment === mark)) {
    if (left.some(({ initiator }) => initiator === one.id)) stays.push('initiator group: a target uses it');
    else take('initiator group', 'iscsi.initiator.delete', one.id);
  }
  for (const one of look.portals.filter(({ comment }) => comment === PORTAL_MARK)) {
    const name = `portal ${one.listen.map(({ ip }) => ip).join(', ')}`;
    if (left.some(({ portal }) => portal === one.id)) stays.push(`${name}: a target uses it`);
    else take(name, 'iscsi.portal.delete', one.id);
  }
}

/** Links go with the subsystem; they are deleted one by one, so that no `force` is needed. */
function nvme({ owner, look, take, stays }: Sorting): void {
  if (look.nvme === null) return;
  const { subsystems, namespaces, portLinks, hostLinks } = look.nvme;
  const ours = subsystems.find(({ name }) => name === subsystemName(owner));
  stays.push('NVMe hosts and ports: they bear no mark that tells who made them');
  if (ours === undefined) return;
  if (namespaces.some(({ subsys }) => subsys.id === ours.id)) {
    return void stays.push(`NVMe subsystem ${ours.name}: volumes are exported by it`);
  }
  for (const { id } of portLinks.filter(({ subsys }) => subsys.id === ours.id)) {
    take(`port of ${ours.name}`, 'nvmet.port_subsys.delete', id);
  }
  for (const { id } of hostLinks.filter(({ subsys }) => subsys.id === ours.id)) {
    take(`host of ${ours.name}`, 'nvmet.host_subsys.delete', id);
  }
  take(`NVMe subsystem ${ours.name}`, 'nvmet.subsys.delete', ours.id, { force: false });
}

function datasets({ answers: { dataset }, owner, look, take, stays }: Sorting): void {
  const words = dataset.split('/');
  for (let length = words.length; length > 1; length -= 1) {
    const id = words.slice(0, length).join('/');
    const row = look.datasets.find((one) => one.id === id);
    if (row === undefined) continue;
    if (madeBy(row) !== datasetMark(owner, id)) return void stays.push(`dataset ${id}: setup did not make it for this storage`);
    if (length === words.length && look.datasets.some((one) => one.id.startsWith(`${id}/`))) {
      return void stays.push(`dataset ${id}: there is something in it`);
    }
    if (Number(row.usedbydataset?.rawvalue ?? 0) > EMPTY_BYTES) return void stays.push(`dataset ${id}: there are files in it`);
    take(`dataset ${id}`, 'pool.dataset.delete', id, { recursive: false });
  }
}
