import { describe, expect, it } from 'vitest';
import { RELEASES } from '../core/array-port.ts';
import { expandRoles } from '../../sim/auth/roles.ts';
import { missingRoles } from './needed-roles.ts';

/** truenas-api 4: the least that a key of this plugin needs. */
const LEAST = [
  ...['DATASET_WRITE', 'DATASET_DELETE', 'SNAPSHOT_WRITE', 'SNAPSHOT_DELETE', 'POOL_READ', 'SERVICE_READ'],
  ...['GLOBAL_READ', 'TARGET_READ', 'PORTAL_READ', 'EXTENT_WRITE', 'TARGETEXTENT_WRITE'].map((part) => `SHARING_ISCSI_${part}`),
];
const missing = (held: readonly string[], release: (typeof RELEASES)[number] = '25.10'): string[] =>
  missingRoles(held, release).map(({ anyOf }) => anyOf.join('|'));

describe('missingRoles', () => {
  it.each(RELEASES)('%s: a full administrator lacks nothing', (release) => {
    expect(missing(['FULL_ADMIN'], release)).toEqual([]);
  });

  it('takes a right to write for the right to read, and READONLY_ADMIN for every right to read', () => {
    expect(missing(LEAST)).toEqual([]);
    expect(missing(['READONLY_ADMIN'])).toEqual([
      ...['DATASET_WRITE', 'DATASET_DELETE', 'SHARING_ISCSI_EXTENT_WRITE', 'SHARING_ISCSI_TARGETEXTENT_WRITE'],
      ...['SNAPSHOT_WRITE', 'SNAPSHOT_DELETE'],
    ]);
  });

  it('finds what SHARING_ADMIN lacks', () => {
    expect(missing([...expandRoles(['SHARING_ADMIN'])])).toEqual(['DATASET_DELETE', 'SNAPSHOT_WRITE', 'SNAPSHOT_DELETE']);
  });

  it('25.04 rolls back for full administrators only; the storage works without', () => {
    expect(missingRoles(LEAST, '25.04')).toMatchObject([{ anyOf: ['FULL_ADMIN'], needed: false }]);
  });

  it('each single role counts', () => {
    for (const role of LEAST) expect(missing(LEAST.filter((one) => one !== role))).not.toEqual([]);
  });
});
