/** Text as scdoc(5) source, in which nothing is markup. */
export function plain(text: string): string {
  const escaped = text.replace(/\s*\n\s*/g, ' ').replace(/[\\*_`#~+|]/g, '\\$&');
  // Only at the start of a line: lists, comments, tables, headings.
  return escaped.replace(/^[-.;[\]!]/, '\\$&');
}

export function bold(text: string): string {
  return `*${plain(text)}*`;
}

export interface Term {
  /** scdoc source */
  readonly head: string;
  /** plain text */
  readonly text: string;
}

/** Terms, each with its text indented below. */
export function terms(list: readonly Term[]): string {
  return list.map(({ head, text }) => `${head}\n\t${plain(text === '' ? '(no description)' : text)}`).join('\n\n');
}

/** Lines that are shown as they are, with their explanations as comments of the shell. */
export function shellLines(lines: readonly { readonly line: string; readonly what: string }[]): string {
  return ['```', ...lines.flatMap(({ line, what }) => [`# ${what}`, line, '']).slice(0, -1), '```'].join('\n');
}

export interface ManPage {
  /** `pve-truenas-status` */
  readonly name: string;
  readonly section: 1 | 5 | 8;
  /** What stands after the dash under NAME: no full stop. */
  readonly summary: string;
  /** Headings with their scdoc source; those without any are left out. */
  readonly parts: readonly (readonly [heading: string, source: string])[];
}

/** The source of a page. */
export function manSource({ name, section, summary, parts }: ManPage, version: string): string {
  const body = [['NAME', `${plain(name)} - ${plain(summary.replace(/\.$/, ''))}`] as const, ...parts].filter(([, source]) => source !== '');
  return [`${name}(${section}) "pve-truenas ${version}" "pve-truenas"`, ...body.map(([heading, source]) => `# ${heading}\n\n${source}`)]
    .join('\n\n')
    .concat('\n');
}
