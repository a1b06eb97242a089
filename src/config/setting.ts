import * as z from 'zod';
import { printable } from '../core/volume-name.ts';
import { strangeCharacter } from './characters.ts';

/**
 * One setting of the storage type `truenasplugin`: what the Perl schema, the reference page and the parser are made from.
 * `T` is the value the daemon works with; `schema` turns what stands in storage.cfg (or what PVE's loader made of it) into it.
 */
export interface Setting<T = unknown> {
  readonly name: string;
  /** Other names of the same setting; all are equals (F-022, F-066: names are never changed, only added). */
  readonly aliases: readonly string[];
  readonly type: 'string' | 'boolean' | 'integer' | 'number' | 'enum';
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  /** As a user would write it. */
  readonly default?: string | number | boolean;
  /** Unit of the number as written, e.g. `s`. */
  readonly unit?: string;
  readonly title: string;
  readonly description: string;
  /** What a correct value looks like; ends the sentence "set NAME to …". */
  readonly expected: string;
  /** Must be there for the storage to work. PVE itself must never be told so (pve-storage-api 2: optional for ever). */
  readonly required?: boolean;
  /** Settable at creation only: changing it would lose sight of existing volumes. */
  readonly fixed?: boolean;
  /** Kept in /etc/pve/priv/storage, never in storage.cfg, logs or messages (law 10). */
  readonly sensitive?: boolean;
  /** Declared by PVE itself: name it in `options`, never in `properties` (pve-storage-api 3.2). */
  readonly core?: boolean;
  /** Names of this setting that another known plugin declares too: declaring them twice kills `use PVE::Storage` on the node. */
  readonly contested?: readonly string[];
  /** `none`: accepted so that existing sections keep working, and named by `pve-truenas config check`. */
  readonly effect: 'active' | 'none';
  /** Why it has no effect; set exactly when `effect` is `none`. */
  readonly reason?: string;
  readonly schema: z.ZodType<T>;
}

/** What the builders below leave to the table. */
type Facts<T> = Pick<Setting, 'title' | 'description'> &
  Partial<Pick<Setting<T>, 'aliases' | 'unit' | 'required' | 'fixed' | 'sensitive' | 'core' | 'contested' | 'reason'>>;

/** A rule on a text: the value to use, or why it cannot be used. */
export type TextRule<T> = (text: string) => { readonly value: T } | { readonly wrong: string };

const MAX_TEXT = 4096;

function build<T>(name: string, facts: Facts<T>, own: Pick<Setting<T>, 'type' | 'expected' | 'schema'> & Partial<Setting<T>>): Setting<T> {
  const { schema, ...rest } = own;
  return {
    name,
    aliases: facts.aliases ?? [],
    ...facts,
    ...rest,
    effect: facts.reason === undefined ? 'active' : 'none',
    schema: schema.meta({ title: facts.title, description: facts.description }),
  };
}

/** Perl hands numbers over as JSON numbers where the schema says so and as strings elsewhere: both are text here. */
function asText(raw: unknown): unknown {
  return typeof raw === 'number' || typeof raw === 'boolean' ? String(raw) : raw;
}

const text = z.preprocess(
  asText,
  z
    .string('not a text')
    .max(MAX_TEXT, `longer than ${MAX_TEXT} characters`)
    .superRefine((value, context) => {
      const strange = strangeCharacter(value, /\P{Cc}/u);
      if (strange !== null) context.addIssue({ code: 'custom', message: `${strange} is a control character` });
    })
    .transform((value) => value.trim())
    .refine((value) => value !== '', 'is empty'),
);

/** A text checked and turned into a value by `rule`. */
export function textSetting<T>(
  name: string,
  facts: Facts<T> & { readonly expected: string; readonly default?: string },
  rule: TextRule<T>,
): Setting<T> {
  const schema = text.transform((value, context) => {
    const result = rule(value);
    if ('value' in result) return result.value;
    context.addIssue({ code: 'custom', message: result.wrong });
    return z.NEVER;
  });
  return build(name, facts, { type: 'string', expected: facts.expected, schema });
}

/** A text that needs no rule. */
export function freeText(name: string, facts: Facts<string> & { readonly expected?: string; readonly default?: string }): Setting<string> {
  return textSetting(name, { expected: 'a text', ...facts }, (value) => ({ value }));
}

/**
 * Words divided by commas, or a hash whose true keys are the words: PVE's loader hands `content` and `nodes` over as
 * hashes (pve-storage-api 3.1), the file holds a list.
 */
export function wordList(
  name: string,
  facts: Facts<readonly string[]> & { readonly expected: string; readonly default?: string },
): Setting<readonly string[]> {
  const schema = z.unknown().transform((raw, context) => {
    const words =
      typeof raw === 'object' && raw !== null && !Array.isArray(raw)
        ? Object.entries(raw).flatMap(([word, on]) => (on === 0 || on === '0' || on === false || on === null ? [] : [word]))
        : typeof raw === 'string'
          ? raw.split(/[\s,;]+/)
          : null;
    if (words !== null && words.every((word) => word.length <= 253)) return words.filter((word) => word !== '');
    context.addIssue({ code: 'custom', message: 'is no list of words' });
    return z.NEVER;
  });
  return build(name, facts, { type: 'string', expected: facts.expected, schema });
}

/** One word out of a list, in any case. */
export function choice<const W extends string>(name: string, words: readonly W[], facts: Facts<W> & { readonly default?: W }): Setting<W> {
  const schema = text.transform((value, context) => {
    const word = words.find((one) => one.toLowerCase() === value.toLowerCase());
    if (word !== undefined) return word;
    context.addIssue({ code: 'custom', message: `'${printable(value)}' is not known` });
    return z.NEVER;
  });
  return build(name, facts, { type: 'enum', enum: words, expected: `one of ${words.join(', ')}`, schema });
}

const TRUE = /^(?:1|on|yes|true)$/i;
const FALSE = /^(?:0|off|no|false)$/i;

/** A boolean as PVE writes and reads it; a key without a value is true (PVE::SectionConfig check_value). */
export function flag(name: string, facts: Facts<boolean> & { readonly default?: boolean }): Setting<boolean> {
  const schema = z.unknown().transform((raw, context) => {
    const word = raw === null || raw === undefined ? '1' : asText(raw);
    if (typeof word === 'string' && TRUE.test(word.trim())) return true;
    if (typeof word === 'string' && FALSE.test(word.trim())) return false;
    context.addIssue({ code: 'custom', message: `${quoted(word)} is neither yes nor no` });
    return z.NEVER;
  });
  return build(name, facts, { type: 'boolean', expected: '1 or 0', schema });
}

interface Range {
  readonly minimum: number;
  readonly maximum: number;
  readonly default?: number;
}

/** A whole number in a range, decimal digits only. */
export function whole(name: string, range: Range, facts: Facts<number>): Setting<number> {
  return numeric(name, 'integer', /^[+-]?\d{1,15}$/, `a whole number from ${range.minimum} to ${range.maximum}`, range, facts);
}

/** A number in a range; fractions are kept (F-431: 0.5 s is half a second, not none). */
export function decimal(name: string, range: Range, facts: Facts<number>): Setting<number> {
  return numeric(
    name,
    'number',
    /^[+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})$/,
    `a number from ${range.minimum} to ${range.maximum}`,
    range,
    facts,
  );
}

function numeric(
  name: string,
  type: 'integer' | 'number',
  form: RegExp,
  words: string,
  range: Range,
  facts: Facts<number>,
): Setting<number> {
  const expected = facts.unit === undefined ? words : `${words} (${facts.unit})`;
  const schema = z.unknown().transform((raw, context) => {
    const written = asText(raw);
    const value = typeof written === 'string' && form.test(written.trim()) ? Number(written) : Number.NaN;
    if (value >= range.minimum && value <= range.maximum) return value;
    context.addIssue({ code: 'custom', message: `${quoted(written)} is not ${words}` });
    return z.NEVER;
  });
  return build(name, facts, { type, ...range, expected, schema });
}

function quoted(raw: unknown): string {
  return typeof raw === 'string' ? `'${printable(raw)}'` : 'this';
}
