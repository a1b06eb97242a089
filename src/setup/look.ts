import * as z from 'zod';
import type { Release } from '../core/array-port.ts';
import type { RequestFor } from '../truenas/wire/request.ts';
import { rolesOfUser } from '../truenas/wire/session.ts';
import type { Answers } from './answers.ts';
import { all, one, rows } from './requests.ts';

/** How setup reaches TrueNAS: the administrator's session, or a test's. */
export interface ArrayAdmin {
  readonly release: Release;
  call<T>(request: RequestFor<T>): Promise<T>;
}

type Row<Name extends keyof typeof rows> = z.output<(typeof rows)[Name]>;

/** What of TrueNAS concerns one set-up; read in full before anything is decided. */
export interface Look {
  readonly roles: readonly string[];
  readonly pools: readonly Row<'pool'>[];
  /** The dataset, those above it and those below it. */
  readonly datasets: readonly Row<'dataset'>[];
  readonly services: readonly Row<'service'>[];
  readonly basename: string;
  /** Addresses that portals may listen on. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly portals: readonly Row<'portal'>[];
  readonly initiators: readonly Row<'initiator'>[];
  readonly targets: readonly Row<'target'>[];
  readonly mappings: readonly Row<'mapping'>[];
  readonly users: readonly Row<'user'>[];
  readonly groups: readonly Row<'group'>[];
  readonly privileges: readonly Row<'privilege'>[];
  readonly keys: readonly Row<'key'>[];
  /** null: not wanted, or the release has none. */
  readonly nvme: NvmeLook | null;
}

export interface NvmeLook {
  readonly addresses: readonly string[];
  readonly subsystems: readonly Row<'subsystem'>[];
  readonly hosts: readonly Row<'host'>[];
  readonly ports: readonly Row<'port'>[];
  readonly hostLinks: readonly Row<'hostLink'>[];
  readonly portLinks: readonly Row<'portLink'>[];
  readonly namespaces: readonly Row<'namespace'>[];
}

const globalConfig = z.looseObject({ basename: z.string(), listen_port: z.number().int() });
const choices = z.record(z.string(), z.unknown());
const EXTRA = { flat: true, properties: ['usedbydataset'], retrieve_user_props: true } as const;

/** Reads it all; changes nothing. Errors: those of the session. */
export async function lookAt(array: ArrayAdmin, { dataset, transport }: Pick<Answers, 'dataset' | 'transport'>): Promise<Look> {
  const global = await array.call(one('iscsi.global.config', globalConfig));
  const extra = { ...EXTRA, retrieve_children: false };
  const above = dataset.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));
  return {
    roles: await array.call(() => rolesOfUser()),
    pools: await array.call(all('pool.query', rows.pool)),
    datasets: [
      ...(await array.call(all('pool.dataset.query', rows.dataset, [['id', 'in', above]], { extra }))),
      ...(await array.call(below(dataset))),
    ],
    services: await array.call(all('service.query', rows.service)),
    basename: global.basename,
    port: global.listen_port,
    addresses: await portalAddresses(array),
    portals: await array.call(all('iscsi.portal.query', rows.portal)),
    initiators: await array.call(all('iscsi.initiator.query', rows.initiator)),
    targets: await array.call(all('iscsi.target.query', rows.target)),
    mappings: await array.call(all('iscsi.targetextent.query', rows.mapping)),
    users: await array.call(all('user.query', rows.user)),
    groups: await array.call(all('group.query', rows.group)),
    privileges: await array.call(all('privilege.query', rows.privilege)),
    keys: await array.call(all('api_key.query', rows.key)),
    nvme: transport === 'iscsi' || array.release === '25.04' ? null : await lookAtNvme(array),
  };
}

async function lookAtNvme(array: ArrayAdmin): Promise<NvmeLook> {
  return {
    addresses: Object.keys(await array.call(one('nvmet.port.transport_address_choices', choices, ['TCP', false]))),
    subsystems: await array.call(all('nvmet.subsys.query', rows.subsystem)),
    hosts: await array.call(all('nvmet.host.query', rows.host)),
    ports: await array.call(all('nvmet.port.query', rows.port)),
    hostLinks: await array.call(all('nvmet.host_subsys.query', rows.hostLink)),
    portLinks: await array.call(all('nvmet.port_subsys.query', rows.portLink)),
    namespaces: await array.call(all('nvmet.namespace.query', rows.namespace)),
  };
}

/** Names of the pools, for a proposal. */
export async function poolNames(array: ArrayAdmin): Promise<readonly string[]> {
  return (await array.call(all('pool.query', rows.pool))).map(({ name }) => name);
}

/** Addresses on which a portal may listen, 0.0.0.0 and :: among them. */
export async function portalAddresses(array: ArrayAdmin): Promise<readonly string[]> {
  return Object.keys(await array.call(one('iscsi.portal.listen_ip_choices', choices)));
}

/** 25.04 sees nothing but the pools' root datasets unless children are asked for (truenas-api 7.2). */
function below(dataset: string): RequestFor<Row<'dataset'>[]> {
  return (release) => {
    const extra = { ...EXTRA, retrieve_children: release === '25.04' };
    const select = ['id', 'type', 'user_properties', 'usedbydataset'];
    return all('pool.dataset.query', rows.dataset, [['id', '^', `${dataset}/`]], { extra, select })(release);
  };
}
