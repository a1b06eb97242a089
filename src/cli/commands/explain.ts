import { z } from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from '../../core/error-catalogue.ts';
import type { CommandDefinition } from '../command.ts';
import { failure } from '../failure.ts';
import { EXIT } from '../io.ts';
import { clean } from '../render/text.ts';
import { type CommandRun, putJson } from './context.ts';

/** What each kind of error says about repeating the operation. */
const MEANING = {
  invalid: 'The request or a setting is wrong; repeating it changes nothing.',
  conflict: 'The state of the array or the node forbids it now.',
  'not-found': 'The object is positively absent.',
  refused: 'TrueNAS or the node said no.',
  unavailable: 'Nobody could be asked; nothing was changed. It can be repeated.',
  'unknown-outcome': 'A change was sent and no answer came; the daemon finds out what happened.',
  bug: 'A fault of pve-truenas; please report it.',
} as const;

const json = z.object({
  code: z.string(),
  kind: z.enum(Object.keys(MEANING)),
  title: z.string(),
  causes: z.array(z.string()),
  hints: z.array(z.string()),
});

export const explainCommand: CommandDefinition = {
  path: 'explain',
  group: 'Understand:',
  description: 'What an error code means and what to check.',
  exits: { 0: 'explained' },
  examples: [{ line: 'explain TLS_UNTRUSTED', what: 'a code as an error shows it' }],
  json,
  build: (command, runner) =>
    command.argument('<CODE>', 'code as an error shows it').action((code: string) => runner(command, explain(code))),
};

/** `explain CODE`: what an error code means, from the catalogue that the errors themselves come from. */
function explain(word: string): CommandRun {
  return ({ io, json, colours }) => {
    const code = codeNamed(word);
    const { kind, title, causes, hints } = ERROR_CATALOGUE[code];
    if (json) putJson(io, { code, kind, title, causes, hints });
    else {
      const lines = [`${colours.bold(code)} (${kind})`, `  ${title}.`, `  ${MEANING[kind]}`];
      if (causes.length > 0) lines.push('  Likely causes:', ...causes.map((cause) => `    - ${cause}`));
      if (hints.length > 0) lines.push('  What to check:', ...hints.map((hint) => `    - ${hint}`));
      io.out(`${lines.join('\n')}\n`);
    }
    return Promise.resolve(EXIT.healthy);
  };
}

function codeNamed(word: string): ErrorCode {
  const wanted = word.toUpperCase().replace(/-/g, '_');
  const codes = Object.keys(ERROR_CATALOGUE) as ErrorCode[];
  const found = codes.find((code) => code === wanted);
  if (found !== undefined) return found;
  const near = codes.filter((code) => wanted.length >= 3 && code.includes(wanted));
  throw failure('BAD_REQUEST', `'${clean(word.slice(0, 80))}' is no error code`, {
    causes: [],
    hints: near.length > 0 ? near.map((code) => `pve-truenas explain ${code}`) : [`codes are: ${codes.join(', ')}`],
  });
}
