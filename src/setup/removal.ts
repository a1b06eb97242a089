import type { Answers } from './answers.ts';
import type { Look } from './look.ts';
import { accountMark, datasetMark, markOf, type Owner, PORTAL_MARK, SETUP_PROPERTY } from './marks.ts';
import type { RequestFor } from '../truenas/wire/request.ts';
import { deletion } from './plan.ts';

export interface Removal {
  readonly what: string;
  readonly request: RequestFor<unknown>;
}

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
  const mark = markOf(owner);
  const take = (what: string, method: string, ...params: readonly unknown[]): void =>
    void removals.push({ what, request: deletion(method, params, `delete ${what}`) });

  for (const key of look.keys.filter((one) => one.name === mark)) take(`API key ${key.name}`, 'api_key.delete', key.id);
  const account = accountMark(answers.user, owner.cluster);
  const user = look.users.find((one) => one.full_name === account);
  const others = look.keys.filter((one) => one.username === answers.user && one.name !== mark);
  if (others.length > 0) stays.push(`user ${answers.user}: ${others.length} other API key(s) of it are there`);
  else {
    for (const one of look.privileges.filter(({ name }) => name === account)) take(`privilege ${one.name}`, 'privilege.delete', one.id);
    if (user !== undefined) take(`user ${answers.user}`, 'user.delete', user.id, { delete_group: true });
  }
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
  datasets(answers, owner, look, take, stays);
  stays.push('iSCSI service: it is not known who else wants it');
  return { removals, stays };
}

function datasets(
  { dataset }: Answers,
  owner: Owner,
  look: Look,
  take: (what: string, method: string, ...params: unknown[]) => void,
  stays: string[],
): void {
  const words = dataset.split('/');
  for (let length = words.length; length > 1; length -= 1) {
    const id = words.slice(0, length).join('/');
    const row = look.datasets.find((one) => one.id === id);
    if (row === undefined) continue;
    const property = row.user_properties?.[SETUP_PROPERTY];
    const found = typeof property === 'string' ? property : (property?.rawvalue ?? property?.value);
    if (found !== datasetMark(owner, id)) return void stays.push(`dataset ${id}: setup did not make it`);
    if (length === words.length && look.datasets.some((one) => one.id.startsWith(`${id}/`))) {
      return void stays.push(`dataset ${id}: there is something in it`);
    }
    take(`dataset ${id}`, 'pool.dataset.delete', id, { recursive: false });
  }
}
