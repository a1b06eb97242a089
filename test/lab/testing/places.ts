import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** The scripts that make VMs and their network. */
export const MACHINE = resolve(import.meta.dirname, '../machine');

const lab = process.env['LAB_DIR'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'pve-truenas-lab');

/** The snapshot that each VM starts from, and what it was made from. */
export const GOLDEN = join(lab, 'golden');
/** VMs that were stored after their preparation, by `<VM>-<kind>-<hash>`. */
export const PREPARED = join(lab, 'prepared');

/** What all workers of a run share; as the lab's scripts take it. */
export const RUN_OF_ALL = process.env['LAB_RUN'] ?? join(lab, 'run');
const NAMESPACE_OF_ALL = process.env['LAB_NS'] ?? 'pve-lab-tests';

/** The environment of one worker's VMs and network. */
export function placeOf(worker: string): { readonly LAB_RUN: string; readonly LAB_NS: string } {
  return { LAB_RUN: join(RUN_OF_ALL, `w${worker}`), LAB_NS: `${NAMESPACE_OF_ALL}-w${worker}` };
}
