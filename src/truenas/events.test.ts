import { describe, expect, it } from 'vitest';
import { collections, toChange } from './events.ts';

describe('events of TrueNAS (truenas-api 6)', () => {
  it.each([
    [
      { msg: 'added', collection: 'pool.dataset.query', id: 'tank/x', fields: {} },
      { kind: 'zvol', id: 'tank/x', change: 'added' },
    ],
    [
      { msg: 'removed', collection: 'pool.dataset.query', id: 'tank/x' },
      { kind: 'zvol', id: 'tank/x', change: 'removed' },
    ],
    [
      { msg: 'changed', collection: 'iscsi.extent.query', id: 3 },
      { kind: 'extent', id: 3, change: 'changed' },
    ],
    [
      { msg: 'added', collection: 'iscsi.targetextent.query', id: 3 },
      { kind: 'mapping', id: 3, change: 'added' },
    ],
    [
      { msg: 'added', collection: 'iscsi.target.query', id: 3 },
      { kind: 'target', id: 3, change: 'added' },
    ],
    [
      { msg: 'removed', collection: 'iscsi.portal.query', id: 3 },
      { kind: 'portal', id: 3, change: 'removed' },
    ],
    [
      { msg: 'added', collection: 'zfs.snapshot.query', id: 'a@b' },
      { kind: 'snapshot', id: 'a@b', change: 'added' },
    ],
    [
      { msg: 'removed', collection: 'pool.snapshot.query', id: 'a@b', extra: {} },
      { kind: 'snapshot', id: 'a@b', change: 'removed' },
    ],
    [
      { msg: 'changed', collection: 'service.query', fields: { service: 'iscsitarget', state: 'STOPPED' } },
      { kind: 'service', service: 'iscsitarget', running: false },
    ],
  ])('%j', (params, change) => {
    expect(toChange(params)).toEqual(change);
  });

  it.each([
    [null],
    [[]],
    ['text'],
    [{ msg: 'added' }],
    [{ msg: 'exploded', collection: 'iscsi.extent.query', id: 1 }],
    [{ msg: 'added', collection: 'toString', id: 1 }],
    [{ msg: 'added', collection: 'iscsi.extent.query' }],
    [{ msg: 'added', collection: 'iscsi.extent.query', id: 'x' }],
    [{ msg: 'added', collection: 'pool.dataset.query', id: 5 }],
    [{ msg: 'changed', collection: 'service.query', fields: null }],
  ])('passes over %j', (params) => {
    expect(toChange(params)).toBeNull();
  });

  it('asks for the snapshot events under the name of the release (F-317)', () => {
    expect(collections('25.04')).toContain('zfs.snapshot.query');
    expect(collections('25.10')).toContain('pool.snapshot.query');
    expect(collections('26.0')).not.toContain('zfs.snapshot.query');
  });
});
