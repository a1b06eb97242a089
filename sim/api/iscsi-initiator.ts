import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { InitiatorRecord } from '../state/iscsi/records.ts';
import type { SimMethod } from './contract.ts';
import { crudMethods } from './crud.ts';
import { integer, param, str } from './method.ts';

const createModel = z.strictObject({ initiators: z.array(str).default([]), comment: str.default('') });
// built from the entry, hence `id`
const updateModel = z.strictObject({ id: integer.optional(), initiators: z.array(str).optional(), comment: str.optional() });

/** iscsi.initiator.* (truenas-api 11); an empty list admits everybody. */
export function initiatorMethods(core: ArrayCore): SimMethod[] {
  const initiators = core.iscsi.initiators;
  return crudMethods<InitiatorRecord>({
    core,
    namespace: 'iscsi.initiator',
    verboseName: 'iSCSITargetAuthorizedInitiator',
    rolePrefix: 'SHARING_ISCSI_INITIATOR',
    rows: () => initiators.all(),
    get: (id) => initiators.get(id),
    entry: (row) => ({ id: row.id, initiators: row.initiators, comment: row.comment }),
    createParam: () => param('iscsi_initiator_create', createModel),
    updateParam: () => param('iscsi_initiator_update', updateModel),
    deleteParams: [],
    async create(data) {
      const wanted = createModel.parse(data);
      // stored as lines and split at white space when read
      const row = initiators.insert({ id: initiators.nextId(), initiators: split(wanted.initiators), comment: wanted.comment });
      await core.reloadIscsi();
      return row;
    },
    async update(row, data) {
      const wanted = updateModel.parse(data);
      const next = initiators.update({
        ...row,
        initiators: wanted.initiators === undefined ? row.initiators : split(wanted.initiators),
        comment: wanted.comment ?? row.comment,
      });
      await core.reloadIscsi();
      return next;
    },
    async remove(row) {
      for (const target of core.iscsi.targets.all()) {
        if (target.groups.some((group) => group.initiator === row.id)) {
          const groups = target.groups.map((group) => (group.initiator === row.id ? { ...group, initiator: null } : group));
          core.iscsi.targets.update({ ...target, groups });
        }
      }
      initiators.remove(row.id);
      await core.reloadIscsi();
    },
  });
}

function split(names: readonly string[]): string[] {
  return names.flatMap((name) => name.split(/\s+/)).filter((name) => name !== '');
}
