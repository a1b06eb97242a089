import * as z from 'zod';
import type { SimRelease } from '../api/contract.ts';

export const serviceRecord = z.strictObject({
  id: z.int().min(1),
  service: z.string(),
  enable: z.boolean(),
  running: z.boolean(),
});
export type ServiceRecord = z.infer<typeof serviceRecord>;

/** The services that the simulator has; `iscsitarget` and, from 25.10 on, `nvmet` alone do something. */
const NAMES = ['cifs', 'ftp', 'iscsitarget', 'nfs', 'snmp', 'ssh', 'ups'] as const;

export class ServicesState {
  private readonly rows: ServiceRecord[];
  private readonly changed: () => void;

  constructor(release: SimRelease, changed: () => void) {
    this.changed = changed;
    const names = release === '25.04' ? NAMES : [...NAMES, 'nvmet'];
    this.rows = names.map((service, index) => ({ id: index + 4, service, enable: false, running: false }));
  }

  all(): readonly ServiceRecord[] {
    return this.rows;
  }

  find(idOrName: number | string): ServiceRecord | undefined {
    const wanted = typeof idOrName === 'string' && /^\d+$/.test(idOrName) ? Number(idOrName) : idOrName;
    return this.rows.find((row) => row.id === wanted || row.service === wanted);
  }

  running(service: string): boolean {
    return this.find(service)?.running ?? false;
  }

  set(service: string, change: { readonly enable?: boolean; readonly running?: boolean }): void {
    const row = this.find(service);
    if (row === undefined) throw new Error(`unknown service ${service}`);
    Object.assign(row, change);
    this.changed();
  }

  dump(): unknown {
    return structuredClone(this.rows);
  }

  load(data: unknown): void {
    for (const stored of z.array(serviceRecord).parse(data)) {
      const row = this.find(stored.service);
      if (row !== undefined) Object.assign(row, { enable: stored.enable, running: stored.running });
    }
  }
}
