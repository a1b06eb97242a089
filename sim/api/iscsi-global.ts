import { isIP } from 'node:net';
import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { GlobalRecord } from '../state/iscsi/records.ts';
import { sessionEntries } from '../state/iscsi/sessions.ts';
import type { SimMethod, SimRelease } from './contract.ts';
import { integer, method, notModelled, param, Problems, roles, str } from './method.ts';
import { queryParams } from './query-params.ts';

const fields = {
  basename: str,
  isns_servers: z.array(str),
  listen_port: integer.min(1025).max(65_535),
  pool_avail_threshold: integer.min(1).max(99).nullable(),
  alua: z.boolean(),
  iser: z.boolean(),
};
const update25 = z.strictObject(fields).partial();
const update26 = z.strictObject({ ...fields, direct_config: z.boolean().nullable(), mode: integer.min(0).max(1) }).partial();
const updateModel = (release: SimRelease): z.ZodType => (release === '26.0' ? update26 : update25);

/** iscsi.global.* (truenas-api 11). A config service: its changes send no event. */
export function globalMethods(core: ArrayCore): SimMethod[] {
  const read = roles('SHARING_ISCSI_GLOBAL_READ');
  const config = (): Record<string, unknown> => {
    const { direct_config, mode, ...common } = core.iscsi.global;
    return core.release === '26.0' ? { id: 1, ...common, direct_config, mode } : { id: 1, ...common };
  };

  const validate = (next: GlobalRecord): void => {
    const problems = new Problems();
    for (const server of next.isns_servers) {
      const [address] = server.split(':');
      if (address === undefined || (isIP(address) === 0 && isIP(server) === 0)) {
        problems.add('iscsiglobal_update.isns_servers', `Server "${server}" is not a valid IP(:PORT)? tuple.`);
      } else problems.add('iscsiglobal_update.isns_servers', `Server "${server}" could not be contacted.`);
    }
    if (next.iser && !core.iscsi.global.iser) {
      problems.add('iscsiglobal_update.iser', 'This platform cannot support iSER or is missing an RDMA capable NIC.');
    }
    problems.check();
  };

  const update = async (data: unknown): Promise<Record<string, unknown>> => {
    const wanted = update26.parse(data);
    const defined = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
    const next: GlobalRecord = { ...core.iscsi.global, ...defined };
    validate(next);
    if (next.mode !== 0 || next.alua) throw notModelled('LIO mode and ALUA');
    if (core.fixedPort !== null && next.listen_port !== core.fixedPort) {
      throw notModelled(`another listen_port: the real target service listens at ${core.fixedPort}`);
    }
    core.iscsi.setGlobal(next);
    await core.reloadIscsi();
    return config();
  };

  return [
    method('iscsi.global.config', read, [], config),
    method(
      'iscsi.global.update',
      roles('SHARING_ISCSI_GLOBAL_WRITE'),
      (release) => [param('iscsi_update', updateModel(release), release === '26.0' ? {} : undefined)],
      ([data]) => update(data),
    ),
    method(
      'iscsi.global.sessions',
      read,
      (release) => queryParams(release, false, release === '26.0' ? ['filters', 'options'] : ['query_filters', 'query_options']),
      () => sessionEntries(core),
      { query: true },
    ),
    method('iscsi.global.client_count', read, [], async () => new Set((await sessionEntries(core)).map((one) => one.initiator_addr)).size),
    method('iscsi.global.alua_enabled', read, [], () => core.iscsi.global.alua),
    method('iscsi.global.iser_enabled', read, [], () => core.iscsi.global.iser),
  ];
}
