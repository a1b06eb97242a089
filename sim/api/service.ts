import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { ServiceRecord } from '../state/services-state.ts';
import { CallError, type CallContext, type SimMethod, type SimRelease } from './contract.ts';
import { instanceNotFound, integer, matchNotFound, method, param, roles, str } from './method.ts';
import { instanceParams, queryParams } from './query-params.ts';

const control2504 = z.strictObject({ ha_propagate: z.boolean().default(true), silent: z.boolean().default(true) });
const control2510 = z.strictObject({
  ha_propagate: z.boolean().default(true),
  silent: z.boolean().default(true),
  timeout: integer.nullable().default(120),
});
const optionsParam = (release: SimRelease) =>
  release === '25.04' ? param('service-control', control2504, {}) : param('options', control2510, {});
const updateModel = z.strictObject({ enable: z.boolean() });
const update2504 = z.strictObject({ enable: z.boolean().default(false) });
const silent = z.object({ silent: z.boolean().default(true) });

const WRITE_ROLES = ['SERVICE_WRITE', 'SHARING_NFS_WRITE', 'SHARING_SMB_WRITE', 'SHARING_ISCSI_WRITE', 'SHARING_FTP_WRITE'] as const;
const CONTROL_ROLES = [...WRITE_ROLES, 'SHARING_NVME_TARGET_WRITE'] as const;
const OWN_ROLE: Readonly<Record<string, string>> = {
  iscsitarget: 'SHARING_ISCSI_WRITE',
  nfs: 'SHARING_NFS_WRITE',
  cifs: 'SHARING_SMB_WRITE',
  ftp: 'SHARING_FTP_WRITE',
  nvmet: 'SHARING_NVME_TARGET_WRITE',
};
const UP_TO_2510: readonly SimRelease[] = ['25.04', '25.10'];
const FROM_2510: readonly SimRelease[] = ['25.10', '26.0'];

/** Targets inside the kernel have no process. */
const KERNEL_SERVICES: readonly string[] = ['iscsitarget', 'nvmet'];

type Verb = 'start' | 'stop' | 'restart' | 'reload';

/** service.* (truenas-api 8): 25.04 starts and stops synchronously, 25.10 both ways, 26.0 only by the job service.control. */
export function serviceMethods(core: ArrayCore): SimMethod[] {
  const states = core.serviceStates;
  const entry = (row: ServiceRecord): Record<string, unknown> => ({
    id: row.id,
    service: row.service,
    enable: row.enable,
    state: row.running ? 'RUNNING' : 'STOPPED',
    pids: row.running && !KERNEL_SERVICES.includes(row.service) ? [1000 + row.id] : [],
  });
  const must = (name: string): ServiceRecord => {
    const row = states.find(name);
    if (row === undefined) throw matchNotFound(name);
    return row;
  };

  const turn = async (service: string, running: boolean): Promise<void> => {
    states.set(service, { running });
    if (!KERNEL_SERVICES.includes(service)) return;
    if (running && core.reloadFails) states.set(service, { running: false });
    if (service === 'nvmet') await core.applyNvmet();
    else await core.applyExports();
  };

  const control = async (verb: Verb, service: string, options: unknown, context: CallContext): Promise<boolean> => {
    const row = must(service);
    if (!context.hasRole('SERVICE_WRITE', OWN_ROLE[service] ?? 'SERVICE_WRITE')) {
      throw new CallError(`${service}: authenticated session lacks privilege to ${verb} service`, verb === 'stop' ? 'EFAULT' : 'EPERM');
    }
    switch (verb) {
      case 'start':
        await turn(service, true);
        break;
      case 'stop':
        await turn(service, false);
        break;
      case 'restart':
        await turn(service, false);
        await turn(service, true);
        break;
      case 'reload':
        if (service === 'iscsitarget') await core.reloadIscsi();
        if (service === 'nvmet') await core.reloadNvmet();
        return row.running;
    }
    core.services.emit({ msg: 'changed', collection: 'service.query', fields: entry(row) });
    const done = row.running === (verb !== 'stop');
    if (!done && !silent.parse(options).silent) throw new CallError('Service not running after start');
    return done;
  };

  const verbs = (['start', 'stop', 'restart', 'reload'] as const).map((verb) =>
    method(
      `service.${verb}`,
      roles(...WRITE_ROLES),
      (release) => [param('service', str), optionsParam(release)],
      ([service, options], context) => control(verb, String(service), options, context),
      { releases: UP_TO_2510 },
    ),
  );
  const read = roles('SERVICE_READ');
  return [
    method(
      'service.query',
      read,
      (release) => queryParams(release, true),
      () => states.all().map(entry),
      { query: true },
    ),
    method(
      'service.get_instance',
      read,
      (release) => instanceParams(release, integer, true),
      ([id]) => {
        const row = typeof id === 'number' ? states.find(id) : undefined;
        if (row === undefined) throw instanceNotFound('Service', id);
        return entry(row);
      },
    ),
    method(
      'service.update',
      (release) => ({ roles: release === '25.04' ? WRITE_ROLES : CONTROL_ROLES }),
      (release) => [
        param('id_or_name', z.union([integer, str])),
        release === '25.04' ? param('service-update', update2504, {}) : param('service_update', updateModel),
      ],
      ([idOrName, data], context) => {
        const row = states.find(typeof idOrName === 'number' ? idOrName : String(idOrName));
        if (row === undefined) throw new CallError(`Service ${String(idOrName)} not found.`, 'ENOENT');
        if (!context.hasRole('SERVICE_WRITE', OWN_ROLE[row.service] ?? 'SERVICE_WRITE')) {
          throw new CallError(`${row.service}: authenticated session lacks privilege to update service`, 'EPERM');
        }
        states.set(row.service, { enable: update2504.parse(data).enable });
        core.services.emit({ msg: 'changed', collection: 'service.query', fields: entry(row) });
        return row.id;
      },
    ),
    method('service.started', read, [param('service', str)], ([service]) => must(String(service)).running),
    method('service.started_or_enabled', read, [param('service', str)], ([service]) => {
      const row = must(String(service));
      return row.running || row.enable;
    }),
    ...verbs,
    method(
      'service.control',
      roles(...CONTROL_ROLES),
      [param('verb', z.enum(['START', 'STOP', 'RESTART', 'RELOAD'])), param('service', str), param('options', control2510, {})],
      ([verb, service, options], context) => control(verbOf(verb), String(service), options, context),
      { releases: FROM_2510, job: true },
    ),
  ];
}

function verbOf(verb: unknown): Verb {
  return z.enum(['start', 'stop', 'restart', 'reload']).parse(String(verb).toLowerCase());
}
