/** What ZFS itself refuses; the API layer words it as its release does (truenas-api 9, 10; RP-06). */
export type ZfsErrorCode =
  | 'exists'
  | 'not-found'
  | 'busy'
  | 'has-children'
  | 'has-clones'
  | 'has-snapshots'
  | 'newer-snapshots'
  | 'newer-clones'
  | 'held'
  | 'no-space'
  | 'not-a-clone'
  | 'invalid-name'
  | 'invalid-property'
  | 'conflict'
  | 'suspended';

export class ZfsError extends Error {
  readonly code: ZfsErrorCode;
  /** full names (datasets or snapshots) that stand in the way */
  readonly names: readonly string[];
  constructor(code: ZfsErrorCode, message: string, names: readonly string[] = []) {
    super(message);
    this.name = 'ZfsError';
    this.code = code;
    this.names = names;
  }
}

/** The parent of `name` is not there: ZFS tells another pool from a dataset that is missing (libzfs check_parents). `refused`: `cannot create 'tank/a/b'`. */
export function noParent(refused: string, parent: string, pool: string): ZfsError {
  const [other = ''] = parent.split('/');
  return new ZfsError('not-found', `${refused}: ${other === pool ? 'parent does not exist' : `no such pool '${other}'`}`, [parent]);
}
