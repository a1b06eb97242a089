import type { SimRelease } from '../api/contract.ts';

/** Methods that 25.04 still serves by its older parameter schemas (truenas-api 1.1, 7); of these we model only some. */
const LEGACY_25_04 =
  /^(?:core\.(?:bulk|get_jobs|job_wait|job_abort)|interface\..*|pool\.(?:query|get_instance)|pool\.dataset\..*|replication\..*|service\..*|system\..*|zfs\.snapshot\..*)$/;

export function isLegacyMethod(release: SimRelease, name: string): boolean {
  return release === '25.04' && LEGACY_25_04.test(name);
}
