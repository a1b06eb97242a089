import type * as z from 'zod';
import { ERRNO, type ValidationItem } from '../api/contract.ts';

type Issue = z.core.$ZodIssue;

function quoted(values: readonly unknown[]): string {
  const names = values.map((value) => (typeof value === 'string' ? `'${value}'` : String(value)));
  const last = names.pop() ?? '';
  return names.length === 0 ? last : `${names.join(', ')} or ${last}`;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'Input should be a valid string',
  int: 'Input should be a valid integer',
  number: 'Input should be a valid integer',
  boolean: 'Input should be a valid boolean',
  array: 'Input should be a valid list',
  object: 'Input should be a valid dictionary',
  record: 'Input should be a valid dictionary',
  null: 'Input should be None',
};

function plural(count: number | bigint, word: string): string {
  return `${count.toString()} ${word}${Number(count) === 1 ? '' : 's'}`;
}

function sizeText(issue: Extract<Issue, { code: 'too_big' | 'too_small' }>): string {
  const big = issue.code === 'too_big';
  const bound = issue.code === 'too_big' ? issue.maximum : issue.minimum;
  const side = big ? 'at most' : 'at least';
  if (issue.origin === 'string') return `String should have ${side} ${plural(bound, 'character')}`;
  if (issue.origin === 'array' || issue.origin === 'set') return `List should have ${side} ${plural(bound, 'item')} after validation`;
  return `Input should be ${big ? 'less' : 'greater'} than ${issue.inclusive === false ? '' : 'or equal to '}${bound.toString()}`;
}

function text(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'Field required' : (TYPES[issue.expected] ?? `Input should be a valid ${issue.expected}`);
    case 'invalid_value':
      return issue.input === undefined ? 'Field required' : `Input should be ${quoted(issue.values)}`;
    case 'too_big':
    case 'too_small':
      return sizeText(issue);
    case 'invalid_format':
      return issue.format === 'regex' ? `String should match pattern '${issue.pattern ?? ''}'` : issue.message;
    case 'not_multiple_of':
      return `Input should be a multiple of ${issue.divisor}`;
    case 'invalid_union':
      return issue.input === undefined ? 'Field required' : 'Input should match one of the allowed forms';
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
    case 'unrecognized_keys':
      return issue.message;
  }
}

function join(prefix: string, path: readonly PropertyKey[]): string {
  return [prefix, ...path.map(String)].filter((part) => part !== '').join('.');
}

/** Turns what zod found into the rows that pydantic's ValidationErrors carry: `[attribute, message, errno]` (truenas-api 2.2). */
export function pydanticItems(attribute: string, issues: readonly Issue[]): ValidationItem[] {
  return issues.flatMap((issue): ValidationItem[] => {
    const at = join(attribute, issue.path);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => [join(at, [key]), 'Extra inputs are not permitted', ERRNO.EINVAL] as const);
    }
    if (issue.code === 'invalid_union' && issue.input !== undefined) {
      // pydantic reports every arm; one row a message is enough to see why none fits.
      const arms = issue.errors.flatMap((arm) => pydanticItems(at, arm));
      const seen = new Set<string>();
      const rows = arms.filter(([path, message]) => !seen.has(`${path ?? ''}\0${message}`) && seen.add(`${path ?? ''}\0${message}`));
      if (rows.length > 0) return rows;
    }
    return [[at, text(issue), ERRNO.EINVAL]];
  });
}
