import { ZfsError, type ZfsErrorCode } from '../../../state/zfs/zfs-error.ts';

/** What zfs(8) says, by the sentence that tells one refusal from the others; the first that fits (RP-01, RP-05, RP-06). */
const SENTENCES: readonly (readonly [sentence: RegExp, code: ZfsErrorCode])[] = [
  [/tag already exists on this dataset/, 'held'],
  [/no such tag on this dataset/, 'not-found'],
  [/dataset already exists/, 'exists'],
  [/cannot destroy snapshot .*: (?:it's being held|dataset is busy)/, 'held'],
  [/cannot destroy '[^']*@[^']*': (?:it's being held|dataset is busy)/, 'held'],
  [/dataset is busy/, 'busy'],
  [/not a cloned filesystem/, 'not-a-clone'],
  [/conflicts with|conflicting snapshots/, 'conflict'],
  [/more recent snapshots or bookmarks exist/, 'newer-snapshots'],
  [/clones of previous snapshots exist/, 'newer-clones'],
  [/has dependent clones/, 'has-clones'],
  [/has children/, 'has-children'],
  [/out of space|greater than available space|quota exceeded/, 'no-space'],
  [/does not exist|could not find any snapshots|no such pool/, 'not-found'],
  [/invalid property|bad property|must be|is readonly|invalid option|'volsize'|'refreservation'/, 'invalid-property'],
  [/invalid|too long|missing|empty component|descendant|does not apply|not a filesystem|within the same dataset/, 'invalid-name'],
];

/** The refusal in the kinds of the API layer. `names`: what the sentence lists below itself, else what it quotes first. */
export function refusalOf(said: string): ZfsError {
  const code = SENTENCES.find(([sentence]) => sentence.test(said))?.[1] ?? 'invalid-property';
  const [, ...listed] = said.split(/\nuse '-[rR]' to .*\n/);
  const names = listed.join('\n').split('\n').filter(Boolean);
  const quoted = /'([^']+)'/.exec(said)?.[1];
  const ofSnapshots = code === 'has-children' && names.length > 0 && names.every((name) => name.includes('@'));
  return new ZfsError(ofSnapshots ? 'has-snapshots' : code, said, names.length > 0 || quoted === undefined ? names : [quoted]);
}
