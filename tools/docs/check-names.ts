import type { Command } from 'commander';
import { settingNamed } from '../../src/config/schema.ts';
import { ERROR_CATALOGUE } from '../../src/core/error-catalogue.ts';
import { METRICS } from '../../src/core/metrics.ts';
import { neededRoles } from '../../src/volumes/needed-roles.ts';
import type { MarkdownPage } from './check-links.ts';

/** Words in capitals that are no error codes: roles of TrueNAS, variables of the environment and of make; and all of the lab's, LAB_*. */
const OTHER_CAPITALS = new Set([
  ...neededRoles('25.04').flatMap(({ anyOf }) => anyOf),
  'FULL_ADMIN',
  'READONLY_ADMIN',
  'SHARING_ADMIN',
  'NO_COLOR',
  'PVE_SRC',
  'PVE_TRUENAS_ADMIN_KEY',
  'PVE_TRUENAS_ADMIN_PASSWORD',
  'PVE_TRUENAS_SOCKET',
  'TRUENAS_SIM_API_KEY',
  'TRUENAS_SIM_PASSWORD',
  'WIRE_LOG',
]);

/** Words that look like settings of ours and are something else. */
const OTHER_SETTINGS = new Set(['truenas-sim', 'truenas-port', 'truenas-api']);

/** Code of a page: `blocks` between fences, `spans` within a line. */
export function codeOf(text: string): { readonly blocks: readonly string[]; readonly spans: readonly string[] } {
  const fence = /^(`{3,})[^\n]*\n([\s\S]*?)^\1[^\n]*$/gm;
  const blocks = [...text.matchAll(fence)].map(([, , block = '']) => block);
  const spans = [...text.replace(fence, '').matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
  return { blocks, spans };
}

function isSetting(name: string): boolean {
  return settingNamed(name) !== undefined;
}

/** Settings that a page names, in sections of storage.cfg, in flags of pvesm and in its text, and that do not exist. */
export function unknownSettings({ text }: MarkdownPage): readonly string[] {
  const { blocks, spans } = codeOf(text);
  const inSections = blocks
    .filter((block) => block.startsWith('truenasplugin:'))
    .flatMap((block) => [...block.matchAll(/^[ \t]+([a-z][a-z0-9_-]*)/gm)].map(([, name = '']) => name));
  const lines = [...blocks.flatMap((block) => block.replaceAll('\\\n', ' ').split('\n')), ...spans];
  const inPvesm = lines
    .filter((line) => /\bpvesm (?:add truenasplugin|set) /.test(line))
    .flatMap((line) => [...line.matchAll(/ --([a-z][a-z0-9_-]*)/g)].map(([, flag = '']) => flag))
    .filter((flag) => flag !== 'delete');
  const inText = spans
    .flatMap((span) => /^(?:(?:api|tn|use|chap)_[a-z0-9_]+|truenas-[a-z0-9-]+)/.exec(span) ?? [])
    .filter((name) => !OTHER_SETTINGS.has(name));
  return [...new Set([...inSections, ...inPvesm, ...inText])].filter((name) => !isSetting(name));
}

/** Error codes that a page names and that do not exist. */
export function unknownCodes({ text }: MarkdownPage): readonly string[] {
  const { blocks, spans } = codeOf(text);
  const explained = [...blocks, ...spans].flatMap((code) =>
    [...code.matchAll(/explain ([A-Z][A-Z_]+)/g)].map(([, name = '']) => name).filter((name) => name !== 'CODE'),
  );
  const named = spans.filter(
    (span) => /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/.test(span) && !OTHER_CAPITALS.has(span) && !span.startsWith('LAB_'),
  );
  return [...new Set([...explained, ...named])].filter((code) => !Object.hasOwn(ERROR_CATALOGUE, code));
}

/** Metrics that a text names and that do not exist; samples of a histogram belong to it. */
export function unknownMetrics(text: string): readonly string[] {
  const named = [...text.matchAll(/(?<![a-z_])pve_truenas_[a-z0-9_]+/g)].map(([name]) => name);
  return [...new Set(named)].filter((name) => {
    const plain = name.replace(/_(?:bucket|sum|count)$/, '');
    const histogram = Object.entries(METRICS).some(([metric, { type }]) => metric === plain && type === 'histogram');
    return !Object.hasOwn(METRICS, name) && !histogram;
  });
}

/** Command lines of `pve-truenas` in a page's code whose command or flag does not exist. */
export function unknownCommands(page: MarkdownPage, program: Command): readonly string[] {
  return commandLines(page.text).filter((line) => !isCommandLine(line, program));
}

/** Every `pve-truenas …` in code, up to what the shell or a comment makes of the rest. */
export function commandLines(text: string): readonly string[] {
  const { blocks, spans } = codeOf(text);
  const lines = [...blocks.flatMap((block) => block.replaceAll('\\\n', ' ').split('\n')), ...spans];
  return lines.flatMap((line) =>
    [...line.matchAll(/(?<![\w/.-])pve-truenas +((?!pve-truenas)[a-z-][^|>;&#):,]*)/g)].map(([, rest = '']) => rest.trim()),
  );
}

/** Walks the tree: words name commands until an argument comes, flags must belong to the command or to all. */
export function isCommandLine(line: string, program: Command): boolean {
  let at = program;
  let takesArgument = false;
  for (const word of line.split(/\s+/)) {
    const bare = word.replace(/^\[+|\]+$/g, '').replace(/=.*$/, '');
    if (bare.startsWith('-')) {
      const known = [...at.options, ...program.options].some((option) => option.long === bare || option.short === bare);
      if (!known && !['-h', '--help'].includes(bare)) return false;
      continue;
    }
    const next = at.commands.find((command) => command.name() === word);
    if (next !== undefined && !takesArgument) at = next;
    else if (at.commands.length > 0) return false;
    else takesArgument = true;
  }
  return at === program ? line.startsWith('-') : at.commands.length === 0 || / (-h|--help)$/.test(line);
}
