import * as z from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from '../../core/error-catalogue.ts';
import type { CommandDefinition } from '../command.ts';
import { failure } from '../failure.ts';
import { EXIT } from '../io.ts';
import { clean, table } from '../render/text.ts';
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

const explained = z.object({
  code: z.string(),
  kind: z.enum(Object.keys(MEANING)),
  title: z.string(),
  causes: z.array(z.string()).describe('likely reasons, most likely first'),
  hints: z.array(z.string()).describe('what to check'),
  leaves: z.string().describe('what state is left, unless the error says it more exactly'),
});

export const explainCommand: CommandDefinition = {
  path: 'explain',
  group: 'Understand:',
  description: 'What an error code means, what to check and what state it leaves. Without a code: all of them.',
  exits: { 0: 'explained' },
  examples: [
    { line: 'explain', what: 'all codes with their titles' },
    { line: 'explain TLS_UNTRUSTED', what: 'one code, as an error shows it in its last line' },
  ],
  json: z.union([explained, z.object({ codes: z.array(explained) })]),
  build: (command, runner) =>
    command
      .argument('[CODE]', 'code as an error shows it, in any case')
      .action((code: string | undefined) => runner(command, code === undefined ? explainAll : explain(code))),
};

function entryOf(code: ErrorCode): z.infer<typeof explained> {
  const { kind, title, causes, hints, leaves } = ERROR_CATALOGUE[code];
  return { code, kind, title, causes: [...causes], hints: [...hints], leaves };
}

/** `explain CODE`: what an error code means, from the catalogue that the errors themselves come from. */
function explain(word: string): CommandRun {
  return ({ io, json, colours }) => {
    const entry = entryOf(codeNamed(word));
    if (json) putJson(io, entry);
    else {
      const { code, kind, title, causes, hints, leaves } = entry;
      const lines = [
        `${colours.bold(code)} (${kind})`,
        `  ${title}.`,
        `  ${MEANING[kind as keyof typeof MEANING]}`,
        '  Likely causes:',
        ...causes.map((cause) => `    - ${cause}`),
        '  What to check:',
        ...hints.map((hint) => `    - ${hint}`),
        `  State: ${leaves}.`,
      ];
      io.out(`${lines.join('\n')}\n`);
    }
    return Promise.resolve(EXIT.healthy);
  };
}

/** `explain`: every code with its title. */
const explainAll: CommandRun = ({ io, json, colours }) => {
  const codes = CODES.map(entryOf);
  if (json) putJson(io, { codes });
  else {
    const columns = [
      { head: 'CODE', value: (entry: (typeof codes)[number]) => entry.code },
      { head: 'MEANING', value: (entry: (typeof codes)[number]) => entry.title },
    ];
    io.out(table(columns, codes, colours));
  }
  return Promise.resolve(EXIT.healthy);
};

const CODES = Object.keys(ERROR_CATALOGUE) as ErrorCode[];
/** Suggestions for a code that is none. */
const MOST_SUGGESTED = 5;

function codeNamed(word: string): ErrorCode {
  const wanted = word.toUpperCase().replace(/[-\s]/g, '_');
  const found = CODES.find((code) => code === wanted);
  if (found !== undefined) return found;
  const near = closeTo(wanted);
  throw failure('BAD_REQUEST', `'${clean(word.slice(0, 80))}' is no error code`, {
    causes: near.length > 0 ? [`did you mean ${near.join(' or ')}?`] : [],
    hints: [...near.map((code) => `pve-truenas explain ${code}`), 'pve-truenas explain: lists all codes'],
  });
}

/** Codes that hold the word, or differ from it by a few letters. */
function closeTo(wanted: string): readonly ErrorCode[] {
  if (wanted.length < 2 || wanted.length > 40) return [];
  const allowed = Math.max(1, Math.floor(wanted.length / 4));
  return CODES.map((code) => ({ code, far: wanted.length > 2 && code.includes(wanted) ? 0 : distance(wanted, code) }))
    .filter(({ far }) => far <= allowed)
    .sort((a, b) => a.far - b.far)
    .slice(0, MOST_SUGGESTED)
    .map(({ code }) => code);
}

/** Letters to insert, remove, replace or swap with their neighbour to get from one word to another (optimal string alignment). */
function distance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let row = 1; row <= from.length; row += 1) {
    const next = [row];
    for (let at = 1; at <= to.length; at += 1) {
      const same = from[row - 1] === to[at - 1];
      const cheapest = Math.min((last[at] ?? 0) + 1, (next[at - 1] ?? 0) + 1, (last[at - 1] ?? 0) + (same ? 0 : 1));
      const swapped = row > 1 && at > 1 && from[row - 1] === to[at - 2] && from[row - 2] === to[at - 1];
      next.push(swapped ? Math.min(cheapest, (beforeLast[at - 2] ?? 0) + 1) : cheapest);
    }
    beforeLast = last;
    last = next;
  }
  return last[to.length] ?? 0;
}
