import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { type ArrayCore, pause } from '../state/array-core.ts';
import type { SubsystemRecord } from '../state/nvmet/records.ts';
import type { SimMethod } from './contract.ts';
import { crudMethods } from './crud.ts';
import { integer, nonEmpty, param, Problems } from './method.ts';
import {
  counted,
  forceOptions,
  NVMET_RELEASES,
  nqn,
  optionalFlag,
  optionalText,
  overlaid,
  ROLE_PREFIX,
  subsystemEntry,
} from './nvmet-models.ts';

const MAX_NQN = 223;
const fields = {
  name: nonEmpty,
  subnqn: nqn.nullable(),
  allow_any_host: z.boolean(),
  pi_enable: optionalFlag,
  qid_max: integer.nullable(),
  ieee_oui: optionalText,
  ana: optionalFlag,
};
const createModel = z.strictObject({
  ...fields,
  subnqn: fields.subnqn.default(null),
  allow_any_host: z.boolean().default(false),
  pi_enable: optionalFlag.default(null),
  qid_max: fields.qid_max.default(null),
  ieee_oui: optionalText.default(null),
  ana: optionalFlag.default(null),
});
const updateModel = z.strictObject(fields).partial();

/** nvmet.subsys.* (truenas-api 12). */
export function nvmetSubsystemMethods(core: ArrayCore): SimMethod[] {
  const { nvmet } = core;
  const { subsystems } = nvmet;

  const validate = (schema: string, name: string, ana: boolean | null, old: SubsystemRecord | null): void => {
    const problems = new Problems();
    if (subsystems.find((one) => one.name === name && one.id !== old?.id) !== undefined)
      problems.add(`${schema}.name`, 'Object with this name already exists');
    if (ana !== null) problems.add(`${schema}.ana`, 'This platform does not support Asymmetric Namespace Access(ANA).');
    problems.check();
  };
  const subnqn = (wanted: string | null, name: string): string => wanted ?? `${nvmet.global.basenqn}:${name}`.slice(0, MAX_NQN);

  return crudMethods<SubsystemRecord>({
    core,
    namespace: 'nvmet.subsys',
    verboseName: 'NVMetSubsys',
    rolePrefix: ROLE_PREFIX,
    releases: NVMET_RELEASES,
    rows: () => subsystems.all(),
    get: (id) => subsystems.get(id),
    entry: (row, _context, extra) => subsystemEntry(core, row, extra['verbose'] === true),
    createParam: () => param('nvmet_subsys_create', createModel),
    updateParam: () => param('nvmet_subsys_update', updateModel),
    deleteParams: [param('options', forceOptions, {})],
    async create(data) {
      const wanted = createModel.parse(data);
      validate('nvmet_subsys_create', wanted.name, wanted.ana, null);
      await pause();
      const serial = randomBytes(10).toString('hex');
      const row = subsystems.insert({ ...wanted, id: subsystems.nextId(), subnqn: subnqn(wanted.subnqn, wanted.name), serial });
      await core.reloadNvmet();
      return row;
    },
    async update(row, data) {
      const { subnqn: wantedNqn, ...wanted } = updateModel.parse(data);
      const merged = overlaid<Omit<SubsystemRecord, 'subnqn'>>(row, wanted);
      const next: SubsystemRecord = { ...merged, subnqn: wantedNqn === undefined ? row.subnqn : subnqn(wantedNqn, merged.name) };
      validate('nvmet_subsys_update', next.name, next.ana, row);
      await pause();
      subsystems.update(next);
      await core.reloadNvmet();
      return next;
    },
    async remove(row, [options]) {
      await removeSubsystem(core, row, forceOptions.parse(options).force);
    },
  });
}

/** Links to hosts go silently; namespaces and links to ports stand in the way unless forced. */
async function removeSubsystem(core: ArrayCore, row: SubsystemRecord, force: boolean): Promise<void> {
  const { nvmet } = core;
  const namespaces = nvmet.namespaces.filter((one) => one.subsys_id === row.id);
  const ports = nvmet.portSubsystems.filter((one) => one.subsys_id === row.id);
  const problems = new Problems();
  if (!force && namespaces.length > 0) {
    const numbers = namespaces.map((one) => one.nsid).sort((a, b) => a - b);
    problems.add('nvmet_subsys_delete.id', `Subsystem ${row.name} contains ${counted('namespace', numbers)}`);
  }
  if (!force && ports.length > 0) {
    problems.add('nvmet_subsys_delete.id', `Subsystem ${row.name} visible on ${ports.length} ${ports.length > 1 ? 'ports' : 'port'}`);
  }
  problems.check();
  for (const one of namespaces) nvmet.namespaces.remove(one.id);
  for (const one of ports) nvmet.portSubsystems.remove(one.id);
  for (const one of nvmet.hostSubsystems.filter((link) => link.subsys_id === row.id)) nvmet.hostSubsystems.remove(one.id);
  nvmet.subsystems.remove(row.id);
  await core.reloadNvmet();
}
