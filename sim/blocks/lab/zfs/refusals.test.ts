import { describe, expect, it } from 'vitest';
import { refusalOf } from './refusals.ts';

/** What zfs(8) and libzfs of OpenZFS 2.3.9 print. */
const SAID = [
  ["cannot create 'tank/a': dataset already exists", 'exists', ['tank/a']],
  ["cannot open 'tank/a': dataset does not exist", 'not-found', ['tank/a']],
  ["cannot destroy 'tank/a': dataset is busy", 'busy', ['tank/a']],
  ['cannot destroy snapshot tank/a@s: dataset is busy', 'held', []],
  ["cannot hold snapshot 'tank/a@s': tag already exists on this dataset", 'held', ['tank/a@s']],
  ["cannot release hold from snapshot 'tank/a@s': no such tag on this dataset", 'not-found', ['tank/a@s']],
  ["cannot promote 'tank/a': not a cloned filesystem", 'not-a-clone', ['tank/a']],
  ["cannot create 'tank/a': out of space", 'no-space', ['tank/a']],
  ["cannot set property for 'tank/a': size is greater than available space", 'no-space', ['tank/a']],
  ["cannot create 'tank/a': volume size cannot be zero", 'invalid-property', ['tank/a']],
  [
    "cannot destroy 'tank/a@s': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\ntank/b\ntank/c",
    'has-clones',
    ['tank/b', 'tank/c'],
  ],
  [
    "cannot destroy 'tank/a': volume has children\nuse '-r' to destroy the following datasets:\ntank/a@s1\ntank/a@s2",
    'has-snapshots',
    ['tank/a@s1', 'tank/a@s2'],
  ],
  ["cannot destroy 'tank/f': filesystem has children\nuse '-r' to destroy the following datasets:\ntank/f/v", 'has-children', ['tank/f/v']],
  [
    "cannot rollback to 'tank/a@s1': more recent snapshots or bookmarks exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\ntank/a@s2",
    'newer-snapshots',
    ['tank/a@s2'],
  ],
  [
    "cannot rollback to 'tank/a@s1': clones of previous snapshots exist\nuse '-R' to force deletion of the following clones and dependents:\ntank/b",
    'newer-clones',
    ['tank/b'],
  ],
] as const;

describe('RP-01, RP-05, RP-06: what ZFS says when it refuses', () => {
  it.each(SAID)('%s', (said, code, names) => {
    expect(refusalOf(said)).toMatchObject({ code, names, message: said });
  });

  it('is an invalid property when nothing of it is known', () => {
    expect(refusalOf('cannot do this')).toMatchObject({ code: 'invalid-property', names: [] });
  });
});
