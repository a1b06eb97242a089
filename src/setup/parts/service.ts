import * as z from 'zod';
import type { RequestFor } from '../../truenas/wire/request.ts';
import { control, make } from '../requests.ts';
import type { Change, Context, Part } from './part.ts';

/** The service of the transport: it runs, and starts at boot. */
export function servicePart({ answers: { transport }, look: { services }, problems }: Context): Part {
  const [name, title] = transport === 'iscsi' ? (['iscsitarget', 'iSCSI service'] as const) : (['nvmet', 'NVMe-oF service'] as const);
  const service = services.find((one) => one.service === name);
  const changes: Change[] = [];
  if (service === undefined) problems.push(`TrueNAS has no service ${name}`);
  if (service?.enable === false) {
    const set = (enable: boolean): RequestFor<unknown> =>
      make('service.update', [name, { enable }], `${enable ? 'enable' : 'disable'} the ${title}`, z.unknown());
    changes.push({ what: `enable the ${title}`, request: () => set(true), undo: () => set(false) });
  }
  if (service !== undefined && service.state !== 'RUNNING') {
    const run = (verb: 'START' | 'STOP'): RequestFor<unknown> => control(verb, name);
    changes.push({ what: `start the ${title}`, request: () => run('START'), undo: () => run('STOP') });
  }
  return { what: title, changes };
}
