import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { SimMethod, SimRelease } from './contract.ts';
import { method, param, Problems, roles } from './method.ts';
import { NVMET_RELEASES, nqn, overlaid } from './nvmet-models.ts';
import { queryParams } from './query-params.ts';

const updateModel = z
  .strictObject({ basenqn: nqn, kernel: z.boolean(), ana: z.boolean(), rdma: z.boolean(), xport_referral: z.boolean() })
  .partial();

/** nvmet.global.* (truenas-api 12). A config service: its changes send no event. */
export function nvmetGlobalMethods(core: ArrayCore): SimMethod[] {
  const { nvmet } = core;
  const read = roles('SHARING_NVME_TARGET_READ');
  const options = { releases: NVMET_RELEASES };
  const config = (): Record<string, unknown> => ({ id: 1, ...nvmet.global });

  const validate = (next: typeof nvmet.global): void => {
    const problems = new Problems();
    const schema = 'nvmet_global_update';
    if (!next.kernel) {
      const text = core.release === '26.0' ? 'SPDK is limited to enterprise licensed systems only.' : 'Cannot disable kernel mode.';
      problems.add(`${schema}.kernel`, text);
    }
    if (next.rdma) problems.add(`${schema}.rdma`, 'This platform cannot support NVMe-oF(RDMA) or is missing a RDMA capable NIC.');
    if (next.ana) problems.add(`${schema}.ana`, 'This platform does not support Asymmetric Namespace Access(ANA).');
    problems.check();
  };

  return [
    method('nvmet.global.config', read, [], config, options),
    method(
      'nvmet.global.update',
      roles('SHARING_NVME_TARGET_WRITE'),
      (release: SimRelease) => [param('nvmet_update', updateModel, release === '26.0' ? {} : undefined)],
      async ([data]) => {
        const next = overlaid(nvmet.global, updateModel.parse(data));
        validate(next);
        nvmet.setGlobal(next);
        await core.reloadNvmet();
        return config();
      },
      options,
    ),
    method(
      'nvmet.global.sessions',
      read,
      (release) => queryParams(release, false),
      () => sessionRows(core),
      { ...options, query: true },
    ),
  ];
}

/** 25.10 looks only at `<basenqn>:<name>`, so subsystems with an NQN of their own show no session. */
function sessionRows(core: ArrayCore): Record<string, unknown>[] {
  const { nvmet } = core;
  return core.nvmeSessions.all().flatMap((session) => {
    const subsystem = nvmet.subsystems.get(session.subsystem);
    const shown = core.release === '26.0' || subsystem?.subnqn === `${nvmet.global.basenqn}:${subsystem?.name ?? ''}`;
    if (!shown) return [];
    return [
      {
        host_traddr: session.address,
        hostnqn: session.hostnqn,
        subsys_id: session.subsystem,
        port_id: session.port,
        ctrl: session.ctrl,
      },
    ];
  });
}
