import type { Answers } from './answers.ts';
import type { Look } from './look.ts';
import type { Owner } from './marks.ts';
import { privilegePart, userPart } from './parts/account.ts';
import { datasetPart } from './parts/dataset.ts';
import { initiatorPart, portalPart, targetPart } from './parts/iscsi.ts';
import { nvmeParts } from './parts/nvme.ts';
import type { Context, Ids, Part } from './parts/part.ts';
import { servicePart } from './parts/service.ts';

export interface Plan {
  readonly parts: readonly Part[];
  /** Why it cannot be done without touching what belongs to others; then nothing is done. */
  readonly problems: readonly string[];
  /** Ids of what is there. */
  readonly ids: Ids;
}

const ADMIN_ROLES = ['DATASET_WRITE', 'DATASET_DELETE', 'ACCOUNT_WRITE', 'PRIVILEGE_WRITE', 'API_KEY_WRITE', 'SERVICE_WRITE'] as const;

const TRANSPORT_ROLES = {
  iscsi: ['SHARING_ISCSI_PORTAL_WRITE', 'SHARING_ISCSI_INITIATOR_WRITE', 'SHARING_ISCSI_TARGET_WRITE'],
  'nvme-tcp': ['SHARING_NVME_TARGET_WRITE'],
} as const;

/** What is missing for these answers, in the order in which it is made; decided from one look. Pure. */
export function planFor(answers: Answers, owner: Owner, look: Look): Plan {
  const context: Context = { answers, owner, look, problems: [], ids: {} };
  const needed = [...ADMIN_ROLES, ...TRANSPORT_ROLES[answers.transport]];
  const lacking = needed.filter((role) => !look.roles.includes(role));
  if (!look.roles.includes('FULL_ADMIN') && lacking.length > 0) {
    context.problems.push(`the administrator ${answers.admin} lacks the role${lacking.length === 1 ? '' : 's'} ${lacking.join(', ')}`);
  }
  const base = [datasetPart(context), servicePart(context)];
  const transport = answers.transport === 'iscsi' ? [portalPart(context), initiatorPart(context), targetPart(context)] : nvmeParts(context);
  const parts = [...base, ...transport, userPart(context), privilegePart(context)];
  return { parts, problems: context.problems, ids: context.ids };
}
