import type { Setting } from '../../src/config/setting.ts';

/** What is generated into the module, each between marks of its own. */
export type Part = 'SCHEMA' | 'ADVICE';

export function marksOf(part: Part): { readonly begin: string; readonly end: string } {
  return { begin: `# BEGIN GENERATED ${part}`, end: `# END GENERATED ${part}` };
}

/** What the generator reads of a setting. */
export type SettingFacts = Pick<Setting, 'name' | 'aliases' | 'type' | 'default' | 'expected' | 'description' | 'fixed' | 'sensitive'>;

/** Characters that descriptions use for looks; PVE prints bytes, so the module stays ASCII. */
const PLAIN: Readonly<Record<string, string>> = { '’': "'", '‘': "'", '“': '"', '”': '"', '–': '-', '—': '-', '…': '...' };

/** A Perl single-quoted string, ASCII only, one line. */
export function perlString(text: string): string {
  const ascii = text
    .replace(/[’‘“”–—…]/g, (mark) => PLAIN[mark] ?? '?')
    .replace(/\s+/g, ' ')
    .replace(/[^\x20-\x7e]/g, '?');
  return `'${ascii.replace(/[\\']/g, '\\$&')}'`;
}

function perlDefault(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  return perlString(String(value));
}

/**
 * One line: `'name' => [{ schema }, { marks }],`; marks: `fixed`, `secret` with the secret's own name. All but booleans are
 * strings for PVE, without ranges: a value that PVE's schema refuses is passed over when storage.cfg is read, the default
 * counts, and the next `pvesm set` removes the line for good (PVE::SectionConfig parse_config). So the daemon is the judge.
 * Booleans stay, for `pvesm set STORAGE --NAME` without a value; what PVE passes over there the daemon finds in the file.
 */
function line(name: string, setting: SettingFacts): string {
  const description =
    name !== setting.name
      ? `Another name of ${setting.name}.`
      : setting.type === 'string' || setting.type === 'boolean'
        ? setting.description
        : `${setting.description} Value: ${setting.expected}.`;
  const schema = [`type => ${setting.type === 'boolean' ? "'boolean'" : "'string'"}`];
  if (setting.default !== undefined) schema.push(`default => ${perlDefault(setting.default)}`);
  schema.push(`description => ${perlString(description)}`, 'optional => 1');
  const marks: string[] = [];
  if (setting.fixed === true) marks.push('fixed => 1');
  if (setting.sensitive === true) marks.push(`secret => ${perlString(setting.name)}`);
  return `    ${perlString(name)} => [{ ${schema.join(', ')} }, { ${marks.join(', ')} }],`.replace('{  }', '{}');
}

/** The lines between the marks: each setting under its own name, then under its aliases. */
export function renderSchema(settings: readonly SettingFacts[]): string {
  const lines = settings.flatMap((setting) => [setting.name, ...setting.aliases].map((name) => [name, line(name, setting)] as const));
  const twice = lines.find(([name], index) => lines.findIndex(([other]) => other === name) !== index);
  if (twice !== undefined) throw new Error(`setting '${twice[0]}' stands twice in the schema`);
  return lines.map(([, text]) => text).join('\n');
}

/** Error codes that the module raises itself: every quoted one that it does not merely compare with. */
export function codesOf(module: string): readonly string[] {
  const own = replaceGenerated(module, 'ADVICE', '');
  return [...new Set([...own.matchAll(/(?<!eq )'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)'/g)].map((match) => match[1] ?? ''))].sort();
}

/** What the generator reads of an error. */
export interface ErrorFacts {
  readonly causes: readonly string[];
  readonly hints: readonly string[];
}

/** The lines of the module's advice: causes and hints by code. Throws for a code that the catalogue does not have. */
export function renderAdvice(codes: readonly string[], catalogue: Readonly<Record<string, ErrorFacts>>): string {
  const list = (texts: readonly string[]): string => `[${texts.map(perlString).join(', ')}]`;
  return codes
    .map((code) => {
      const entry = catalogue[code];
      if (entry === undefined) throw new Error(`the module raises ${code}, which src/core/error-catalogue.ts does not have`);
      return `    ${perlString(code)} => [${list(entry.causes)}, ${list(entry.hints)}],`;
    })
    .join('\n');
}

/** `source` with the text between the marks of a part replaced. Throws when a mark is missing or stands twice. */
export function replaceGenerated(source: string, part: Part, generated: string): string {
  const marks = marksOf(part);
  const begin = source.split(`${marks.begin}\n`);
  const [head, rest] = begin;
  if (begin.length !== 2 || head === undefined || rest === undefined) throw new Error(`'${marks.begin}' must stand exactly once`);
  const end = rest.split(marks.end);
  const tail = end[1];
  if (end.length !== 2 || tail === undefined) throw new Error(`'${marks.end}' must stand exactly once, after the other mark`);
  return `${head}${marks.begin}\n${generated}${generated === '' ? '' : '\n'}    ${marks.end}${tail}`;
}

/** The module with all that is generated. */
export function generateInto(module: string, settings: readonly SettingFacts[], catalogue: Readonly<Record<string, ErrorFacts>>): string {
  const withSchema = replaceGenerated(module, 'SCHEMA', renderSchema(settings));
  return replaceGenerated(withSchema, 'ADVICE', renderAdvice(codesOf(withSchema), catalogue));
}
