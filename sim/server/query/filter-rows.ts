import { lookUp } from './field-path.ts';
import { affix, casefold, compare, contains, equal, matches, type Row } from './python-values.ts';

export type Condition = readonly [field: string, operator: string, value: unknown];
export type Disjunction = readonly ['OR', readonly Branch[]];
export type Filter = Condition | Disjunction;
export type Branch = Filter | readonly Filter[];

const OPERATORS: Readonly<Record<string, (field: unknown, value: unknown) => boolean>> = {
  '=': equal,
  '!=': (field, value) => !equal(field, value),
  '>': (field, value) => compare(field, value, '>') > 0,
  '>=': (field, value) => compare(field, value, '>=') >= 0,
  '<': (field, value) => compare(field, value, '<') < 0,
  '<=': (field, value) => compare(field, value, '<=') <= 0,
  '~': matches,
  in: (field, value) => contains(value, field),
  nin: (field, value) => field !== null && !contains(value, field),
  rin: (field, value) => field !== null && contains(field, value),
  rnin: (field, value) => field !== null && !contains(field, value),
  '^': (field, value) => field !== null && affix('startswith', field, value),
  '!^': (field, value) => field !== null && !affix('startswith', field, value),
  $: (field, value) => field !== null && affix('endswith', field, value),
  '!$': (field, value) => field !== null && !affix('endswith', field, value),
};

/** True for the fifteen operators, without the prefix C. */
export function isOperator(operator: string): boolean {
  return Object.hasOwn(OPERATORS, operator);
}

export const TIMESTAMP = '.$date';

function holds(row: unknown, [field, operator, value]: Condition): boolean {
  const found = lookUp(row, field);
  if (found.kind === 'missing') return false;
  if (found.kind === 'each') return found.items.some((item) => holds(item, [found.rest, operator, value]));
  const folded = operator.startsWith('C');
  const run = OPERATORS[folded ? operator.slice(1) : operator];
  if (run === undefined) return false;
  const own = found.value ?? null;
  if (field.endsWith(TIMESTAMP) && typeof value === 'string') return run(own, Date.parse(value));
  return folded ? run(casefold(own), casefold(value)) : run(own, value);
}

function isConjunction(branch: Branch): branch is readonly Filter[] {
  return Array.isArray(branch[0]);
}

function isDisjunction(filter: Filter): filter is Disjunction {
  return filter.length === 2;
}

/** True when the row passes one checked filter. */
export function passes(row: Row, filter: Filter): boolean {
  if (!isDisjunction(filter)) return holds(row, filter);
  return filter[1].some((branch) => (isConjunction(branch) ? branch.every((part) => passes(row, part)) : passes(row, branch)));
}
