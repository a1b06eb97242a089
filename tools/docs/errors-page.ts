import { ERROR_CATALOGUE } from '../../src/core/error-catalogue.ts';
import { generatedBy, table } from './markdown.ts';

/** docs/reference/errors.md: every error code. */
export function errorsPage(): string {
  const entries = Object.entries(ERROR_CATALOGUE).map(([code, entry]) =>
    [
      `## ${code}`,
      '',
      `${entry.title}. Kind: \`${entry.kind}\`.`,
      ...items('Likely causes', entry.causes),
      ...items('What to check', entry.hints),
      '',
      `State: ${entry.leaves}.`,
    ].join('\n'),
  );
  return `${generatedBy('errors-page.ts')}
# Error codes

Each error has a code that never changes; its message may. \`pve-truenas explain CODE\` shows the same on a node. An error that knows more than this
page (which device, which missing role, what exactly was left) says that instead. How an error reads and where it is shown:
[errors that help](../features/errors.md). The kind says what repeating helps:

${table(
  ['kind', 'meaning', 'repeat?'],
  [
    ['invalid', 'the request or a setting is wrong', 'no, change it'],
    ['conflict', 'the state of the array or the node forbids it now', 'after that has changed'],
    ['not-found', 'the object is positively absent', 'no'],
    ['refused', 'TrueNAS or the node said no: rights, space, a rule of its own', 'after the cause is gone'],
    ['unavailable', 'nobody could be asked; nothing was changed', 'yes'],
    ['unknown-outcome', 'a change was sent and no answer came', 'look first; the daemon does'],
    ['bug', 'a fault of pve-truenas', 'report it'],
  ],
)}

${entries.join('\n\n')}
`;
}

function items(title: string, texts: readonly string[]): string[] {
  return texts.length === 0 ? [] : ['', `${title}:`, '', ...texts.map((text) => `- ${text}`)];
}
