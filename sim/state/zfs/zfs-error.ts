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

/** `name` cannot be made: its parent is not there. ZFS tells another pool from a dataset that is missing (libzfs check_parents). */
export function noParent(name: string, parent: string, pool: string): ZfsError {
  const [other = ''] = parent.split('/');
  const missing = other === pool ? 'parent does not exist' : `no such pool '${other}'`;
  return new ZfsError('not-found', `cannot create '${name}': ${missing}`, [name]);
}
