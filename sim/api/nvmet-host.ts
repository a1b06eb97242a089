import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { crc32 } from '../rules/crc32.ts';
import { type ArrayCore, pause } from '../state/array-core.ts';
import { DH_GROUPS, DH_HASHES, type HostRecord } from '../state/nvmet/records.ts';
import type { SimMethod, SimRelease } from './contract.ts';
import { crudMethods } from './crud.ts';
import { method, nonEmpty, param, Problems, roles, str } from './method.ts';
import { counted, forceOptions, hostEntry, NVMET_RELEASES, nqn, overlaid, ROLE_PREFIX } from './nvmet-models.ts';

const key = nonEmpty.nullable();
const group = z.enum(DH_GROUPS).nullable();
const hash = z.enum(DH_HASHES);
const fields = { hostnqn: nqn, dhchap_key: key, dhchap_ctrl_key: key, dhchap_dhgroup: group, dhchap_hash: hash };
const createFields = {
  hostnqn: nqn,
  dhchap_key: key.default(null),
  dhchap_ctrl_key: key.default(null),
  dhchap_dhgroup: group.default(null),
  dhchap_hash: hash.default('SHA-256'),
};
const create2510 = z.strictObject(createFields);
const create26 = z.strictObject({ ...createFields, description: str.default('') });
const update2510 = z.strictObject(fields).partial();
const update26 = z.strictObject({ ...fields, description: str }).partial();

interface Keys {
  readonly dhchap_key?: string | null | undefined;
  readonly dhchap_ctrl_key?: string | null | undefined;
}
const BOTH = 'Value error, Cannot configure bi-directional authentication without setting dhchap_key';
const hasBoth = (keys: Keys): boolean => !(typeof keys.dhchap_ctrl_key === 'string' && keys.dhchap_key === null);
const createModel = (release: SimRelease): z.ZodType => (release === '26.0' ? create26 : create2510).refine(hasBoth, BOTH);
const updateModel = (release: SimRelease): z.ZodType => (release === '26.0' ? update26 : update2510).refine(hasBoth, BOTH);

/** Bytes of the secret for each kind of key, with the four of its checksum: `DHHC-1:01:` and so on. */
const KEY_BYTES: Readonly<Record<string, number>> = { '01': 36, '02': 52, '03': 68 };
const GENERATE_HINT = 'Use "nvme gen-dhchap-key" to generate.';

/** nvmet.host.* (truenas-api 12). */
export function nvmetHostMethods(core: ArrayCore): SimMethod[] {
  const { nvmet } = core;
  const { hosts } = nvmet;

  const validate = (schema: string, wanted: Omit<HostRecord, 'id'>, old: HostRecord | null): void => {
    const problems = new Problems();
    if (hosts.find((one) => one.hostnqn === wanted.hostnqn && one.id !== old?.id) !== undefined)
      problems.add(`${schema}.hostnqn`, 'Object with this hostnqn already exists');
    for (const name of ['dhchap_key', 'dhchap_ctrl_key'] as const) {
      const fault = keyFault(wanted[name]);
      if (fault !== null) problems.add(`${schema}.${name}`, fault);
    }
    problems.check();
  };

  return [
    ...crudMethods<HostRecord>({
      core,
      namespace: 'nvmet.host',
      verboseName: 'NVMetHost',
      rolePrefix: ROLE_PREFIX,
      releases: NVMET_RELEASES,
      rows: () => hosts.all(),
      get: (id) => hosts.get(id),
      entry: (row, context) => hostEntry(core, row, context),
      createParam: (release) => param('nvmet_host_create', createModel(release)),
      updateParam: (release) => param('nvmet_host_update', updateModel(release)),
      deleteParams: [param('options', forceOptions, {})],
      async create(data) {
        const wanted = create26.parse(data);
        validate('nvmet_host_create', wanted, null);
        await pause();
        const row = hosts.insert({ id: hosts.nextId(), ...wanted });
        await core.reloadNvmet();
        return row;
      },
      async update(row, data) {
        const next = overlaid(row, update26.parse(data));
        validate('nvmet_host_update', next, row);
        await pause();
        hosts.update(next);
        await core.reloadNvmet();
        return next;
      },
      async remove(row, [options]) {
        const links = nvmet.hostSubsystems.filter((one) => one.host_id === row.id);
        if (links.length > 0 && !forceOptions.parse(options).force) {
          const problems = new Problems();
          const names = links.map((one) => nvmet.subsystems.get(one.subsys_id)?.name ?? '?');
          problems.add('nvmet_host_delete.id', `Host ${row.hostnqn} used by ${counted('subsystem', names)}`);
          problems.check();
        }
        for (const one of links) nvmet.hostSubsystems.remove(one.id);
        hosts.remove(row.id);
        await core.reloadNvmet();
      },
    }),
    ...keyMethods(),
  ];
}

/** What does not look like the output of `nvme gen-dhchap-key`. */
function keyFault(text: string | null): string | null {
  if (text === null) return null;
  const kind = /^DHHC-1:(0[0-3]):/.exec(text)?.[1];
  if (kind === undefined) return `Unexpected key format. ${GENERATE_HINT}`;
  if (kind === '00') return text.endsWith(':') ? null : `Unexpected key termination. ${GENERATE_HINT}`;
  const bytes = KEY_BYTES[kind] ?? 0;
  return Buffer.from(text.split(':')[2] ?? '', 'base64').length === bytes ? null : `Expected key length of ${bytes - 4}`;
}

function keyMethods(): SimMethod[] {
  const choices = roles('READONLY_ADMIN', `${ROLE_PREFIX}_READ`);
  const options = { releases: NVMET_RELEASES };
  return [
    method('nvmet.host.dhchap_dhgroup_choices', choices, [], () => [...DH_GROUPS], options),
    method('nvmet.host.dhchap_hash_choices', choices, [], () => [...DH_HASHES], options),
    method(
      'nvmet.host.generate_key',
      roles(`${ROLE_PREFIX}_WRITE`),
      [param('dhchap_hash', hash, 'SHA-256'), { name: 'nqn', schema: str.nullable(), fallback: null }],
      ([wanted]) => {
        const kind = `0${DH_HASHES.indexOf(hash.parse(wanted)) + 1}`;
        const secret = randomBytes((KEY_BYTES[kind] ?? 0) - 4);
        const checksum = Buffer.alloc(4);
        checksum.writeUInt32LE(crc32(secret));
        return `DHHC-1:${kind}:${Buffer.concat([secret, checksum]).toString('base64')}:`;
      },
      options,
    ),
  ];
}
