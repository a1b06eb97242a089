import type { FailureFacts } from '../failure.ts';
import { clean, type Colours } from './text.ts';

/** The block a user acts on, as the Perl module prints it in task logs: what failed, why probably, what to look at, what was left. */
export function renderFailure(facts: FailureFacts, colours: Colours): string {
  const [first = '', ...more] = facts.message.split('\n').map(clean);
  const code = colours.dim(`[${clean(facts.code)}]`);
  // A message of several lines is laid out already: nothing is put between or behind them.
  const lines = [`${colours.red('Error:')} ${first}`, ...more];
  if (more.length === 0) lines[0] = `${lines[0] ?? ''} ${code}`;
  else lines.push(`  ${code}`);
  lines.push(...items('Likely causes', facts.causes), ...items('What to check', facts.hints));
  if (facts.state !== undefined) lines.push(`  State: ${clean(facts.state)}`);
  return `${lines.join('\n')}\n`;
}

function items(title: string, texts: readonly string[]): string[] {
  return texts.length === 0 ? [] : [`  ${title}:`, ...texts.map((text) => `    - ${clean(text)}`)];
}

/** The same for `--json`. */
export function failureJson(facts: FailureFacts): string {
  return `${JSON.stringify({ error: facts }, null, 2)}\n`;
}
