import { printable } from '../core/volume-name.ts';
import { settingNamed } from './schema.ts';

/** One section of a file in PVE's section format. */
export interface StorageSection {
  readonly type: string;
  readonly id: string;
  /** In file order; null where a key stands alone (PVE reads that as 1 for booleans). */
  readonly properties: Readonly<Record<string, string | null>>;
  /** 1-based line of the header. */
  readonly line: number;
}

/** A line that PVE passes over with a warning. */
interface CfgWarning {
  readonly line: number;
  /** Type of the section it stands in; null outside of sections. */
  readonly type: string | null;
  readonly message: string;
}

interface StorageCfg {
  readonly sections: readonly StorageSection[];
  readonly warnings: readonly CfgWarning[];
}

const STORAGE_ID = /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i;
/** pmxcfs limits a file to 1 MiB; nothing longer can be a storage.cfg. */
const MAX_TEXT = 1024 * 1024;

interface OpenSection {
  readonly type: string;
  /** Set when the header was bad: its lines are passed over in silence. */
  readonly skip: boolean;
  readonly properties: Map<string, string | null>;
}

/**
 * Reads storage.cfg the way PVE does (PVE::SectionConfig parse_config with PVE::Storage::Plugin's header rule): a section
 * ends at an empty line, comments are skipped anywhere, a header inside a section is an ignored line, of two equal keys
 * the first counts, of two sections with one id the last. What PVE only warns about is a warning here too. Never throws.
 */
export function readStorageCfg(text: string): StorageCfg {
  const warnings: CfgWarning[] = [];
  if (text.length > MAX_TEXT)
    return { sections: [], warnings: [{ line: 1, type: null, message: 'longer than 1 MiB: this is no storage.cfg' }] };
  const found = new Map<string, { type: string; id: string; line: number; properties: Map<string, string | null> }>();
  let open: OpenSection | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const number = index + 1;
    if (trimBlanks(line).startsWith('#')) continue;
    // Perl takes an empty line and the line "0" for the end of a section
    if (line === '' || line === '0') {
      open = null;
      continue;
    }
    if (open !== null) {
      if (!open.skip) takeProperty(open, line, number, warnings);
      continue;
    }
    const header = headerOf(line);
    if (header === null) {
      warnings.push({ line: number, type: null, message: 'is no section header and is passed over' });
      continue;
    }
    open = { type: header.type, skip: !STORAGE_ID.test(header.id), properties: new Map() };
    if (open.skip) {
      warnings.push({
        line: number,
        type: header.type,
        message: `the section is passed over: '${printable(header.id)}' is not a storage id`,
      });
      continue;
    }
    const earlier = found.get(header.id);
    if (earlier !== undefined) {
      warnings.push({ line: number, type: header.type, message: `replaces the section '${header.id}' of line ${earlier.line}` });
    }
    found.delete(header.id);
    found.set(header.id, { ...header, line: number, properties: open.properties });
  }
  // fromEntries defines own properties: a key named __proto__ stays a key
  const sections = [...found.values()].map((section) => ({ ...section, properties: Object.fromEntries(section.properties) }));
  return { sections, warnings };
}

/** The sections alone, as readStorageCfg finds them. */
export function parseStorageCfg(text: string): readonly StorageSection[] {
  return readStorageCfg(text).sections;
}

/** `^(\S+):\s*(\S+)\s*$` without a regular expression: its backtracking grows with the square of the line. */
function headerOf(line: string): { readonly type: string; readonly id: string } | null {
  if (isBlank(line[0])) return null;
  const words = wordsOf(line);
  const [first = '', id] = words;
  if (words.length > 2) return null;
  const colon = id === undefined ? first.lastIndexOf(':', first.length - 2) : first.length - 1;
  if (colon < 1 || first[colon] !== ':') return null;
  return { type: first.slice(0, colon).toLowerCase(), id: id ?? first.slice(colon + 1) };
}

function takeProperty({ type, properties: section }: OpenSection, line: string, number: number, warnings: CfgWarning[]): void {
  const content = trimBlanks(line);
  if (!isBlank(line[0]) || content === '') {
    warnings.push({ line: number, type, message: 'is no setting (settings are indented) and is passed over' });
    return;
  }
  let end = 0;
  while (end < content.length && !isBlank(content[end])) end += 1;
  const key = content.slice(0, end);
  const value = trimBlanks(content.slice(end));
  const before = section.get(key);
  // a key alone is a value for booleans only; elsewhere PVE rejects it, and a later line counts
  if (before === undefined || (before === null && settingNamed(key)?.type !== 'boolean')) section.set(key, value === '' ? null : value);
  else warnings.push({ line: number, type, message: `'${printable(key)}' stands there twice, the first one counts` });
}

/** Perl's \s on bytes: a no-break space is no blank there. */
function isBlank(character: string | undefined): boolean {
  return character !== undefined && ' \t\r\f\v'.includes(character);
}

function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text[from])) from += 1;
  while (to > from && isBlank(text[to - 1])) to -= 1;
  return text.slice(from, to);
}

function wordsOf(line: string): string[] {
  return line.split(/[ \t\r\f\v]/).filter((word) => word !== '');
}
