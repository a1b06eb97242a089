import type { Look } from './look.ts';

/** User property of datasets that setup made. */
export const SETUP_PROPERTY = 'pve-truenas:setup';
/** Comment of portals that setup made: several storages use one. */
export const PORTAL_MARK = 'pve-truenas setup';

/** What tells objects of one set-up from those of others. */
export interface Owner {
  readonly storage: string;
  /** Name of the PVE cluster, or of its only node, with something that another of the same name does not have. */
  readonly cluster: string;
}

/** Alias, comment or name of what belongs to one storage. No colon: users' full names may not hold one. */
export function markOf({ storage, cluster }: Owner): string {
  return `pve-truenas setup ${storage}@${cluster}`;
}

/** Name of the NVMe subsystem of one storage; it becomes a part of its NQN. */
export function subsystemName({ storage, cluster }: Owner): string {
  return `pve-truenas.${storage}.${cluster}`;
}

/** Full name of the user, and name of the privilege, that all storages of a cluster share. */
export function accountMark(user: string, cluster: string): string {
  return `pve-truenas setup ${user} of ${cluster}`;
}

/** Value of SETUP_PROPERTY; it names the dataset, since ZFS hands user properties down to datasets that others make below. */
export function datasetMark({ storage, cluster }: Owner, dataset: string): string {
  return `${storage}@${cluster} ${dataset}`;
}

/** The mark of a dataset that setup made itself, null for all others. */
export function madeBy({ id, user_properties }: Look['datasets'][number]): string | null {
  const property = user_properties?.[SETUP_PROPERTY];
  const found = typeof property === 'string' ? property : (property?.rawvalue ?? property?.value);
  return found?.endsWith(` ${id}`) === true ? found : null;
}
