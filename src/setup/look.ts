import { z } from 'zod';
import type { RequestFor } from '../truenas/wire/request.ts';
import { rolesOfUser } from '../truenas/wire/session.ts';
import type { Answers } from './answers.ts';
import { all, one, rows } from './requests.ts';

/** How setup reaches TrueNAS: the administrator's session, or a test's. */
export interface ArrayAdmin {
  call<T>(request: RequestFor<T>): Promise<T>;
}

/** What of TrueNAS concerns one set-up; read in full before anything is decided. */
export interface Look {
  readonly roles: readonly string[];
  readonly pools: readonly z.output<typeof rows.pool>[];
  /** The dataset, those above it and those below it. */
  readonly datasets: readonly z.output<typeof rows.dataset>[];
  readonly service: z.output<typeof rows.service> | null;
  readonly basename: string;
  /** Addresses that portals may listen on. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly portals: readonly z.output<typeof rows.portal>[];
  readonly initiators: readonly z.output<typeof rows.initiator>[];
  readonly targets: readonly z.output<typeof rows.target>[];
  readonly mappings: readonly z.output<typeof rows.mapping>[];
  readonly users: readonly z.output<typeof rows.user>[];
  readonly groups: readonly z.output<typeof rows.group>[];
  readonly privileges: readonly z.output<typeof rows.privilege>[];
  readonly keys: readonly z.output<typeof rows.key>[];
}

const globalConfig = z.looseObject({ basename: z.string(), listen_port: z.number().int() });

/** Reads it all; changes nothing. Errors: those of the session. */
export async function lookAt(array: ArrayAdmin, { dataset }: Pick<Answers, 'dataset'>): Promise<Look> {
  const global = await array.call(one('iscsi.global.config', globalConfig));
  const services = await array.call(all('service.query', rows.service, [['service', '=', 'iscsitarget']]));
  const flat = { extra: { flat: true, retrieve_children: false, properties: [], retrieve_user_props: true } };
  const above = dataset.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));
  const choices = await array.call(one('iscsi.portal.listen_ip_choices', z.record(z.string(), z.unknown())));
  return {
    roles: await array.call(() => rolesOfUser()),
    pools: await array.call(all('pool.query', rows.pool)),
    datasets: [
      ...(await array.call(all('pool.dataset.query', rows.dataset, [['id', 'in', above]], flat))),
      ...(await array.call(below(dataset))),
    ],
    service: services[0] ?? null,
    basename: global.basename,
    port: global.listen_port,
    addresses: Object.keys(choices),
    portals: await array.call(all('iscsi.portal.query', rows.portal)),
    initiators: await array.call(all('iscsi.initiator.query', rows.initiator)),
    targets: await array.call(all('iscsi.target.query', rows.target)),
    mappings: await array.call(all('iscsi.targetextent.query', rows.mapping)),
    users: await array.call(all('user.query', rows.user)),
    groups: await array.call(all('group.query', rows.group)),
    privileges: await array.call(all('privilege.query', rows.privilege)),
    keys: await array.call(all('api_key.query', rows.key)),
  };
}

/** 25.04 sees nothing but the pools' root datasets unless children are asked for (truenas-api 7.2). */
function below(dataset: string): RequestFor<z.output<typeof rows.dataset>[]> {
  return (release) => {
    const extra = { flat: true, retrieve_children: release === '25.04', properties: [], retrieve_user_props: true };
    return all('pool.dataset.query', rows.dataset, [['id', '^', `${dataset}/`]], {
      extra,
      select: ['id', 'type', 'user_properties'],
    })(release);
  };
}
