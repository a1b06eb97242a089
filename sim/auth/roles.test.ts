import { describe, expect, it } from 'vitest';
import { expandRoles } from './roles.ts';

describe('what roles include (truenas-api 4)', () => {
  it('gives SHARING_ISCSI_WRITE every iSCSI write and read', () => {
    const roles = expandRoles(['SHARING_ISCSI_WRITE']);
    expect(roles.has('SHARING_ISCSI_TARGETEXTENT_WRITE') && roles.has('SHARING_ISCSI_EXTENT_READ')).toBe(true);
    expect(roles.has('DATASET_READ')).toBe(false);
  });
  it('leaves DATASET_DELETE and SNAPSHOT_WRITE out of SHARING_ADMIN, and deletes out of DATASET_WRITE', () => {
    const roles = expandRoles(['SHARING_ADMIN']);
    expect(['DATASET_WRITE', 'POOL_READ'].every((role) => roles.has(role))).toBe(true);
    expect(['DATASET_DELETE', 'SNAPSHOT_WRITE', 'SNAPSHOT_DELETE'].some((role) => roles.has(role))).toBe(false);
    expect(expandRoles(['DATASET_WRITE']).has('DATASET_DELETE')).toBe(false);
  });
  it('gives an unknown role nothing but its name', () => expect([...expandRoles(['NO_SUCH'])]).toEqual(['NO_SUCH']));
});
