import { isIP } from 'node:net';
import * as z from 'zod';
import { type ArrayCore, pause } from '../state/array-core.ts';
import { authMethod, type TargetGroup, type TargetRecord } from '../state/iscsi/records.ts';
import { activeSessions } from '../state/iscsi/sessions.ts';
import { removeExtent } from './iscsi-extent.ts';
import { removeMapping } from './iscsi-targetextent.ts';
import { CallError, ERRNO, type SimMethod } from './contract.ts';
import { crudMethods, flag } from './crud.ts';
import { integer, method, param, Problems, roles, str } from './method.ts';

const NAME = /^[-a-z0-9.:]+$/;
const group = z.strictObject({
  portal: integer,
  initiator: integer.nullable().default(null),
  authmethod: authMethod.default('NONE'),
  auth: integer.nullable().default(null),
});
const parameters = z
  .strictObject({
    QueuedCommands: z
      .union([z.literal(32), z.literal(128)])
      .nullable()
      .default(null),
  })
  .nullable();
const name = z.string().min(1).max(120).regex(NAME);
const mode = z.enum(['ISCSI', 'FC', 'BOTH']);
const createModel = z.strictObject({
  name,
  alias: str.nullable().default(null),
  mode: mode.default('ISCSI'),
  groups: z.array(group).default([]),
  auth_networks: z.array(str).default([]),
  iscsi_parameters: parameters.default(null),
});
const updateModel = z
  .strictObject({ name, alias: str.nullable(), mode, groups: z.array(group), auth_networks: z.array(str), iscsi_parameters: parameters })
  .partial();

/** iscsi.target.* (truenas-api 11). */
export function targetMethods(core: ArrayCore): SimMethod[] {
  const targets = core.iscsi.targets;

  const nameError = (wanted: string, existing: number | null): string | null => {
    if (!NAME.test(wanted)) return 'Only lowercase alphanumeric characters plus dot (.), dash (-), and colon (:) are allowed.';
    return targets.find((one) => one.name === wanted && one.id !== existing) === undefined ? null : 'Target with this name already exists';
  };

  const validate = (schema: string, wanted: Omit<TargetRecord, 'id' | 'rel_tgt_id'>, old: TargetRecord | null): void => {
    const problems = new Problems();
    const error = nameError(wanted.name, old?.id ?? null);
    if (error !== null) problems.add(`${schema}.name`, error);
    const { alias } = wanted;
    if (alias !== null) {
      if (alias.includes('"')) problems.add(`${schema}.alias`, 'Double quotes are not allowed');
      else if (alias === 'target') problems.add(`${schema}.alias`, 'target is a reserved word');
      else if (targets.find((one) => one.alias === alias && one.id !== old?.id) !== undefined)
        problems.add(`${schema}.alias`, 'Alias already exists');
    }
    if (wanted.mode !== 'ISCSI') problems.add(`${schema}.mode`, 'Fibre Channel not enabled');
    validateGroups(problems, schema, wanted.groups);
    wanted.auth_networks.forEach((network, index) => {
      if (!isNetwork(network))
        problems.add(`${schema}.auth_networks.${index}`, `Auth network "${network}" is not a valid IPv4 or IPv6 network`);
    });
    problems.check();
  };

  const validateGroups = (problems: Problems, schema: string, groups: readonly TargetGroup[]): void => {
    const seen = new Set<number>();
    groups.forEach((one, index) => {
      const at = `${schema}.groups.${index}`;
      if (seen.has(one.portal)) problems.add(`${at}.portal`, `Portal ${one.portal} cannot be duplicated on a target`);
      else if (core.iscsi.portals.get(one.portal) === undefined) problems.add(`${at}.portal`, `${one.portal} Portal not found in database`);
      else seen.add(one.portal);
      if (one.initiator !== null && one.initiator !== 0 && core.iscsi.initiators.get(one.initiator) === undefined) {
        problems.add(`${at}.initiator`, `${one.initiator} Initiator not found in database`);
      }
      const noAuth = one.auth === null || one.auth === 0;
      if (noAuth && one.authmethod !== 'NONE') problems.add(`${at}.auth`, 'Authentication group is required for CHAP and CHAP Mutual');
      else if (!noAuth && one.authmethod === 'CHAP_MUTUAL') {
        const auth = core.iscsi.auths.find((row) => row.tag === one.auth);
        if (auth === undefined) problems.add(`${at}.auth`, 'Authentication group not found', ERRNO.ENOENT);
        else if (auth.peeruser === '') problems.add(`${at}.auth`, `Authentication group ${one.auth ?? ''} does not support CHAP Mutual`);
      }
    });
  };

  return [
    ...crudMethods<TargetRecord>({
      core,
      namespace: 'iscsi.target',
      verboseName: 'iSCSITarget',
      rolePrefix: 'SHARING_ISCSI_TARGET',
      rows: () => targets.all(),
      get: (id) => targets.get(id),
      entry: (row) => ({ ...structuredClone(row) }),
      createParam: () => param('iscsi_target_create', createModel),
      updateParam: () => param('iscsi_target_update', updateModel),
      deleteParams: [param('force', flag, false), param('delete_extents', flag, false)],
      async create(data) {
        const wanted = createModel.parse(data);
        validate('iscsi_target_create', wanted, null);
        await pause();
        const used = new Set(targets.all().map((one) => one.rel_tgt_id));
        let relative = 1;
        while (used.has(relative)) relative += 1;
        const row = targets.insert({ id: targets.nextId(), ...normal(wanted), rel_tgt_id: relative });
        await core.reloadIscsi();
        return row;
      },
      async update(row, data) {
        const wanted = updateModel.parse(data);
        const next: TargetRecord = {
          id: row.id,
          rel_tgt_id: row.rel_tgt_id,
          name: wanted.name ?? row.name,
          alias: wanted.alias === undefined ? row.alias : wanted.alias,
          mode: wanted.mode ?? row.mode,
          groups: wanted.groups ?? row.groups,
          auth_networks: wanted.auth_networks ?? row.auth_networks,
          iscsi_parameters: wanted.iscsi_parameters === undefined ? row.iscsi_parameters : wanted.iscsi_parameters,
        };
        // 25.04 labels the errors of an update with the create schema
        validate(core.release === '25.04' ? 'iscsi_target_create' : 'iscsi_target_update', next, row);
        await pause();
        targets.update({ ...next, ...normal(next) });
        await core.reloadIscsi();
        return next;
      },
      async remove(row, [force, deleteExtents]) {
        await removeTarget(core, row, force === true, deleteExtents === true);
      },
    }),
    method(
      'iscsi.target.validate_name',
      roles('SHARING_ISCSI_TARGET_WRITE'),
      [param('name', str), { name: 'existing_id', schema: integer.nullable(), fallback: null }],
      ([wanted, existing]) => nameError(String(wanted), typeof existing === 'number' ? existing : null),
    ),
  ];
}

/** Deletes a target with its mappings. Errors: CallError EFAULT "Target `<name>` is in use." */
export async function removeTarget(core: ArrayCore, row: TargetRecord, force: boolean, deleteExtents: boolean): Promise<void> {
  if ((await activeSessions(core, [row.id])).length > 0 && !force) throw new CallError(`Target ${row.name} is in use.`);
  for (const mapping of core.iscsi.mappings.filter((one) => one.target === row.id)) {
    await removeMapping(core, mapping, force);
    if (!deleteExtents) continue;
    const extent = core.iscsi.extents.get(mapping.extent);
    if (extent !== undefined) await removeExtent(core, extent, force);
  }
  core.iscsi.targets.remove(row.id);
  await core.reloadIscsi();
}

/** What the database stores: '' as alias is null. */
function normal<T extends { readonly alias: string | null }>(wanted: T): T {
  return wanted.alias === '' ? { ...wanted, alias: null } : wanted;
}

function isNetwork(text: string): boolean {
  const [address, prefix, ...rest] = text.split('/');
  if (address === undefined || rest.length > 0) return false;
  const version = isIP(address);
  if (version === 0) return false;
  return prefix === undefined || (/^\d+$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}
