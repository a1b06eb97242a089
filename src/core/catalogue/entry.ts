/**
 * What kind of failure this is. The kind alone drives retry, exit status and JSON-RPC code.
 * - `invalid`: the request or a setting is wrong; repeating it changes nothing.
 * - `conflict`: the state of the world forbids it now (exists already, in use, LUN taken).
 * - `not-found`: the object asked for is positively absent.
 * - `refused`: the array or the node said no (authorisation, space, a rule of its own).
 * - `unavailable`: nobody could be asked; nothing was changed.
 * - `unknown-outcome`: a change was sent and no answer came.
 * - `bug`: a fault of this program.
 */
export type ErrorKind = 'invalid' | 'conflict' | 'not-found' | 'refused' | 'unavailable' | 'unknown-outcome' | 'bug';

export interface CatalogueEntry {
  readonly kind: ErrorKind;
  /** What it means, in one sentence without its full stop. */
  readonly title: string;
  /** Likely reasons, most likely first. */
  readonly causes: readonly string[];
  /** What to look at or do: a menu path in TrueNAS, a command on the node, a file. */
  readonly hints: readonly string[];
  /** What state an operation that failed so leaves, unless the error itself says it more exactly. */
  readonly leaves: string;
}

/** What a failure of a kind leaves, where its code says nothing better. */
const LEAVES: Readonly<Record<ErrorKind, string>> = {
  invalid: 'nothing was changed',
  conflict: 'nothing was changed',
  'not-found': 'nothing was changed',
  refused: 'nothing was changed',
  unavailable: 'nothing was changed',
  'unknown-outcome': 'not known at first: the daemon looks whether the change was made and goes on from there',
  bug: 'not known: what an unfinished operation made is taken back by the daemon, also after its restart',
};

export function entry(
  kind: ErrorKind,
  title: string,
  causes: readonly string[],
  hints: readonly string[],
  leaves: string = LEAVES[kind],
): CatalogueEntry {
  return { kind, title, causes, hints, leaves };
}

export const DAEMON_LOG = 'journalctl -u pve-truenasd';
