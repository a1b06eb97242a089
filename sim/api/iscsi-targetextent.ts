import * as z from 'zod';
import { type ArrayCore, pause } from '../state/array-core.ts';
import type { MappingRecord } from '../state/iscsi/records.ts';
import { activeSessions } from '../state/iscsi/sessions.ts';
import { foreignKeyError } from '../state/iscsi/table.ts';
import { lowestFreeLun, LUN_MAP_SIZE } from '../rules/lun-numbers.ts';
import { CallError, type SimMethod } from './contract.ts';
import { crudMethods, flag } from './crud.ts';
import { integer, notModelled, param, Problems } from './method.ts';

const createModel = z.strictObject({ target: integer, lunid: integer.nullable().default(null), extent: integer });
const updateModel = z.strictObject({ id: integer, target: integer, lunid: integer, extent: integer }).partial();

/** iscsi.targetextent.* (truenas-api 11). Which LUN is free is looked up unlocked: two requests at once can get the same. */
export function mappingMethods(core: ArrayCore): SimMethod[] {
  const mappings = core.iscsi.mappings;

  const validate = (schema: string, wanted: Omit<MappingRecord, 'id'>, old: MappingRecord | null): void => {
    const problems = new Problems();
    if (wanted.lunid < 0 || wanted.lunid > LUN_MAP_SIZE - 1) {
      problems.add(`${schema}.lunid`, `LUN ID must be a positive integer and lower than ${LUN_MAP_SIZE - 1}`);
    }
    const moved = old?.lunid !== wanted.lunid || old.target !== wanted.target;
    if (moved && mappings.find((one) => one.target === wanted.target && one.lunid === wanted.lunid) !== undefined) {
      problems.add(`${schema}.lunid`, 'LUN ID is already being used for this target.');
    }
    if (old?.extent !== wanted.extent && mappings.find((one) => one.extent === wanted.extent) !== undefined) {
      problems.add(`${schema}.extent`, 'Extent is already in use.');
    }
    problems.check();
    if (wanted.lunid < core.luns.firstLun) {
      throw notModelled(
        `a disk at LUN ${wanted.lunid}: the real target service of this simulator keeps it for itself, use ${core.luns.firstLun} or more`,
      );
    }
  };

  const checkReferences = (row: MappingRecord): void => {
    if (core.iscsi.targets.get(row.target) === undefined || core.iscsi.extents.get(row.extent) === undefined) throw foreignKeyError();
  };

  return crudMethods<MappingRecord>({
    core,
    namespace: 'iscsi.targetextent',
    verboseName: 'iSCSITargetToExtent',
    rolePrefix: 'SHARING_ISCSI_TARGETEXTENT',
    rows: () => mappings.all(),
    get: (id) => mappings.get(id),
    entry: (row) => ({ id: row.id, target: row.target, lunid: row.lunid, extent: row.extent }),
    createParam: () => param('iscsi_target_to_extent_create', createModel),
    updateParam: () => param('iscsi_target_to_extent_update', updateModel),
    deleteParams: [param('force', flag, false)],
    async create(data) {
      const wanted = createModel.parse(data);
      await pause();
      const used = mappings.filter((one) => one.target === wanted.target).map((one) => one.lunid);
      const lunid = wanted.lunid ?? lowestFreeLun(used, core.luns.firstLun);
      validate('iscsi_targetextent_create', { ...wanted, lunid }, null);
      await pause();
      const row: MappingRecord = { id: mappings.nextId(), target: wanted.target, extent: wanted.extent, lunid };
      checkReferences(row);
      mappings.insert(row);
      await core.reloadIscsi();
      return row;
    },
    async update(row, data) {
      const wanted = updateModel.parse(data);
      const next: MappingRecord = {
        id: row.id,
        target: wanted.target ?? row.target,
        extent: wanted.extent ?? row.extent,
        lunid: wanted.lunid ?? row.lunid,
      };
      validate('iscsi_targetextent_update', next, row);
      await pause();
      checkReferences(next);
      mappings.update(next);
      await core.reloadIscsi();
      return next;
    },
    async remove(row, [force]) {
      await removeMapping(core, row, force === true);
    },
  });
}

/** Errors: CallError EFAULT "Associated target iqn... is in use." (any session of the target, whatever its LUNs). */
export async function removeMapping(core: ArrayCore, row: MappingRecord, force: boolean): Promise<void> {
  const sessions = await activeSessions(core, [row.target]);
  const [first] = sessions;
  if (first !== undefined && !force) throw new CallError(`Associated target ${first} is in use.`);
  core.iscsi.mappings.remove(row.id);
  await core.reloadIscsi();
}
