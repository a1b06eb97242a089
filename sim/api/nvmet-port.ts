import { isIP } from 'node:net';
import * as z from 'zod';
import { type ArrayCore, pause } from '../state/array-core.ts';
import type { NvmetPortRecord } from '../state/nvmet/records.ts';
import type { SimMethod } from './contract.ts';
import { crudMethods } from './crud.ts';
import { forwardIssues, integer, method, nonEmpty, notModelled, param, Problems, REPORT, roles, str } from './method.ts';
import { counted, forceOptions, NVMET_RELEASES, optionalFlag, overlaid, portEntry, ROLE_PREFIX } from './nvmet-models.ts';

const common = { inline_data_size: integer.nullable(), max_queue_size: integer.nullable(), pi_enable: optionalFlag, enabled: z.boolean() };
const withDefaults = {
  inline_data_size: common.inline_data_size.default(null),
  max_queue_size: common.max_queue_size.default(null),
  pi_enable: optionalFlag.default(null),
  enabled: z.boolean().default(true),
};
const address = str.superRefine((text, context) => {
  if (text === '') context.addIssue({ code: 'custom', message: 'Value error, addr_traddr is required' });
  else if (isIP(text) === 0) context.addIssue({ code: 'custom', message: 'value is not a valid IPv4 or IPv6 address' });
});
const service = integer.min(1024).max(65_535);
const createIp = z.strictObject({
  addr_trtype: z.enum(['TCP', 'RDMA']),
  addr_trsvcid: service.default(4420),
  addr_traddr: address,
  ...withDefaults,
});
const createFc = z.strictObject({ addr_trtype: z.literal('FC'), addr_traddr: nonEmpty, ...withDefaults });
const updateIp = z.strictObject({ addr_trtype: z.enum(['TCP', 'RDMA']), addr_trsvcid: service, addr_traddr: address, ...common }).partial();
const updateFc = z.strictObject({ addr_trtype: z.literal('FC'), addr_traddr: nonEmpty, ...common }).partial();

const kind = z.looseObject({ addr_trtype: z.enum(['TCP', 'RDMA', 'FC']) });
/** Discriminated by the transport: faults are reported below its name. */
const createModel = z.unknown().transform((value, context) => {
  const known = kind.safeParse(value, REPORT);
  if (!known.success) {
    context.issues.push(...known.error.issues.map((issue) => ({ ...issue, input: issue.input }) as z.core.$ZodRawIssue));
    return z.NEVER;
  }
  const type = known.data.addr_trtype;
  const parsed = (type === 'FC' ? createFc : createIp).safeParse(value, REPORT);
  if (parsed.success) return parsed.data;
  forwardIssues(context, type, parsed.error.issues);
  return z.NEVER;
});
/** Two models without discriminator: what fits neither is reported for each. */
const updateModel = z.unknown().transform((value, context) => {
  const ip = updateIp.safeParse(value, REPORT);
  if (ip.success) return ip.data;
  const fc = updateFc.safeParse(value, REPORT);
  if (fc.success) return fc.data;
  forwardIssues(context, 'NVMetPortUpdateRDMATCP', ip.error.issues);
  forwardIssues(context, 'NVMetPortUpdateFC', fc.error.issues);
  return z.NEVER;
});

const UNIQUE_TEXT = 'There already is a port using the same transport and address';
const NO_RDMA = 'This platform cannot support NVMe-oF(RDMA) or is missing an RDMA capable NIC.';

/** nvmet.port.* over TCP (truenas-api 12); RDMA is refused as on hardware without it, FC is not modelled. */
export function nvmetPortMethods(core: ArrayCore): SimMethod[] {
  const { nvmet } = core;
  const { ports } = nvmet;

  const checkUnique = (problems: Problems, schema: string, traddr: string, trsvcid: number, old: NvmetPortRecord | null): void => {
    const other = ports.find((one) => one.addr_traddr === traddr && one.addr_trsvcid === trsvcid && one.id !== old?.id);
    if (other !== undefined) problems.add(`${schema}.addr_traddr`, UNIQUE_TEXT);
  };
  const checkTransport = (problems: Problems, schema: string, type: 'TCP' | 'RDMA' | 'FC' | undefined): void => {
    if (type === 'FC') throw notModelled('NVMe-oF over Fibre Channel');
    if (type === 'RDMA') problems.add(`${schema}.addr_trtype`, NO_RDMA);
  };
  const checkActive = (problems: Problems, row: NvmetPortRecord, next: NvmetPortRecord): void => {
    const attached = nvmet.portSubsystems.find((one) => one.port_id === row.id) !== undefined;
    if (!attached || !row.enabled || !core.serviceStates.running('nvmet')) return;
    for (const name of ['addr_trsvcid', 'addr_traddr', 'inline_data_size', 'max_queue_size', 'pi_enable'] as const) {
      if (next[name] === row[name]) continue;
      problems.add(`nvmet_port_update.${name}`, `Cannot change ${name} on an active port.  Disable first to allow change.`);
    }
  };

  return [
    ...crudMethods<NvmetPortRecord>({
      core,
      namespace: 'nvmet.port',
      verboseName: 'NVMetPort',
      rolePrefix: ROLE_PREFIX,
      releases: NVMET_RELEASES,
      rows: () => ports.all(),
      get: (id) => ports.get(id),
      entry: (row) => portEntry(row),
      createParam: () => param('nvmet_port_create', createModel),
      updateParam: () => param('nvmet_port_update', updateModel),
      deleteParams: [param('options', forceOptions, {})],
      async create(data) {
        const wanted = z.union([createIp, createFc]).parse(data);
        const problems = new Problems();
        checkTransport(problems, 'nvmet_port_create', wanted.addr_trtype);
        const ip = createIp.parse(data);
        checkUnique(problems, 'nvmet_port_create', ip.addr_traddr, ip.addr_trsvcid, null);
        problems.check();
        await pause();
        const used = new Set(ports.all().map((one) => one.index));
        let index = 1;
        while (used.has(index)) index += 1;
        const row = ports.insert({ ...ip, id: ports.nextId(), index, addr_trtype: 'TCP' });
        await core.reloadNvmet();
        return row;
      },
      async update(row, data) {
        const sent = kind.partial().parse(data);
        const problems = new Problems();
        checkTransport(problems, 'nvmet_port_update', sent.addr_trtype);
        const { addr_trtype: _checked, ...wanted } = updateIp.parse(data);
        const next = overlaid(row, wanted);
        checkUnique(problems, 'nvmet_port_update', next.addr_traddr, next.addr_trsvcid, row);
        checkActive(problems, row, next);
        problems.check();
        await pause();
        ports.update(next);
        await core.reloadNvmet();
        return next;
      },
      async remove(row, [options]) {
        const links = nvmet.portSubsystems.filter((one) => one.port_id === row.id);
        if (links.length > 0 && !forceOptions.parse(options).force) {
          const problems = new Problems();
          const names = links.map((one) => nvmet.subsystems.get(one.subsys_id)?.name ?? '?');
          problems.add('nvmet_port_delete.id', `Port #${row.index} used by ${counted('subsystem', names)}`);
          problems.check();
        }
        for (const one of links) nvmet.portSubsystems.remove(one.id);
        ports.remove(row.id);
        await core.reloadNvmet();
      },
    }),
    method(
      'nvmet.port.transport_address_choices',
      roles('READONLY_ADMIN', `${ROLE_PREFIX}_READ`),
      [param('addr_trtype', z.enum(['TCP', 'RDMA', 'FC'])), param('force_ana', z.boolean(), false)],
      ([type]) => (type === 'TCP' ? Object.fromEntries(core.addresses.map((one) => [one, one])) : {}),
      { releases: NVMET_RELEASES },
    ),
  ];
}
