import type { StorageConfig } from '../config/storage-config.ts';
import type { Release } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';

export interface RoleNeed {
  /** Any one of these is enough. */
  readonly anyOf: readonly string[];
  /** What does not work without it, as the end of "the API key lacks the role X: ...". */
  readonly what: string;
  /** False: the storage works without it, but something is missing. */
  readonly needed: boolean;
}

function need(role: string, what: string): RoleNeed {
  return { anyOf: [role], what, needed: true };
}

const EVERY_RELEASE: readonly RoleNeed[] = [
  need('DATASET_READ', 'dataset and volumes cannot be read'),
  need('DATASET_WRITE', 'volumes cannot be made or grown'),
  need('DATASET_DELETE', 'volumes cannot be deleted'),
  need('SHARING_ISCSI_GLOBAL_READ', 'the name of the target cannot be read'),
  need('SHARING_ISCSI_TARGET_READ', 'the target cannot be read'),
  need('SHARING_ISCSI_PORTAL_READ', 'the portals cannot be read'),
  need('SHARING_ISCSI_EXTENT_WRITE', 'volumes cannot be exported'),
  need('SHARING_ISCSI_TARGETEXTENT_WRITE', 'volumes cannot be given a LUN'),
  need('SERVICE_READ', 'the state of the iSCSI service cannot be read'),
  need('SNAPSHOT_READ', 'snapshots cannot be listed'),
  need('SNAPSHOT_WRITE', 'snapshots cannot be made'),
  need('SNAPSHOT_DELETE', 'snapshots cannot be deleted'),
  { anyOf: ['POOL_READ'], what: 'a degraded pool is not noticed', needed: false },
];

/** 25.04 declares no role for zfs.snapshot.rollback, so only a full administrator may call it (truenas-api 4). */
const ROLLBACK_25_04: RoleNeed = { anyOf: ['FULL_ADMIN'], what: 'TrueNAS 25.04 refuses to roll back to a snapshot', needed: false };

/** The roles that the plugin needs on a release (truenas-api 4). From 25.10 on SNAPSHOT_WRITE allows the rollback, too. */
export function neededRoles(release: Release): readonly RoleNeed[] {
  return release === '25.04' ? [...EVERY_RELEASE, ROLLBACK_25_04] : EVERY_RELEASE;
}

/** Those that `held` does not cover. TrueNAS lists roles with all that they include; FULL_ADMIN holds all. */
export function missingRoles(held: readonly string[], release: Release): readonly RoleNeed[] {
  const roles = new Set(held);
  if (roles.has('FULL_ADMIN')) return [];
  const covers = (role: string): boolean =>
    roles.has(role) || (role.endsWith('_READ') && (roles.has('READONLY_ADMIN') || roles.has(role.replace(/_READ$/, '_WRITE'))));
  return neededRoles(release).filter(({ anyOf }) => !anyOf.some(covers));
}

/** The refusal of an operation that TrueNAS would refuse halfway. `missing` is not empty. */
export function lacksRoles(config: Pick<StorageConfig, 'apiUsername'>, missing: readonly string[]): StorageError {
  const who = config.apiUsername === null ? "the API key's user" : `the API key's user '${config.apiUsername}'`;
  const roles = missing.join(', ');
  return new StorageError('NOT_AUTHORIZED', `${who} lacks the role${missing.length === 1 ? '' : 's'} ${roles}`, {
    hints: [`TrueNAS: Credentials > Groups > Privileges: add ${roles}`],
    facts: { missing },
  });
}
