import { StorageError } from '../core/errors.ts';
import type { StorageContext } from './context.ts';
import { zvolId } from './lookup.ts';

/** PVE asks for disk numbers 0..1023 (pve-storage-api 5). */
const DISK_NUMBERS = 1024;

/** The lowest `vm-<vmid>-disk-<n>` that no volume, template (F-306) or allocation under way has; null when there is none. */
export function lowestFreeName(context: StorageContext, vmid: number, tried: ReadonlySet<string> = new Set()): string | null {
  const zvols = context.inventory.zvols(context.config.dataset);
  for (let n = 0; n < DISK_NUMBERS; n += 1) {
    const name = `vm-${vmid}-disk-${n}`;
    const id = zvolId(context, name);
    const free = !tried.has(name) && !context.reservedNames.has(id) && !zvols.has(id);
    if (free && !zvols.has(zvolId(context, `base-${vmid}-disk-${n}`))) return name;
  }
  return null;
}

export function noFreeName(context: StorageContext, vmid: number): StorageError {
  const { config } = context;
  return new StorageError(
    'NO_FREE_NAME',
    `no free disk name for guest ${vmid} on '${config.id}' after ${DISK_NUMBERS} attempts: ` +
      `vm-${vmid}-disk-0 to vm-${vmid}-disk-${DISK_NUMBERS - 1} are all taken on dataset '${config.dataset}'`,
    {
      causes: ['disks that no guest refers to any more were never deleted'],
      hints: [
        `pve-truenas list ${config.id} --vmid ${vmid}`,
        `qm rescan --vmid ${vmid}, then remove its unused disks`,
        `TrueNAS: Datasets > ${config.dataset}`,
      ],
      state: 'nothing was changed',
      facts: { vmid, attempts: DISK_NUMBERS, pattern: `vm-${vmid}-disk-<0..${DISK_NUMBERS - 1}>`, dataset: config.dataset },
    },
  );
}
