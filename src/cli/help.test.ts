import { describe, expect, it } from 'vitest';
import { COMMAND_GROUPS } from './command.ts';
import { buildProgram, COMMANDS, run } from './program.ts';
import { systemClock } from '../core/system-clock.ts';

/** Output of a command line that asks nobody. */
async function shown(...argv: string[]): Promise<string> {
  let text = '';
  const write = (part: string): void => void (text += part);
  const exit = await run(argv, { out: write, err: write, isTerminal: false, env: {}, clock: systemClock });
  expect(exit).toBe(0);
  return text;
}

/** Words of an example, without where the shell sends the output. */
function words(line: string): string[] {
  return line.replace(/ [>|].*$/, '').split(' ');
}

describe('help', () => {
  it('lists every command once below its group, with its first sentence', async () => {
    const text = await shown('--help');
    for (const { path, group } of COMMANDS) {
      const below = text.split(`${group}\n`)[1]?.split('\n\n')[0] ?? '';
      expect(below.split('\n').filter((line) => line.startsWith(`  ${path} `))).toHaveLength(1);
    }
  });

  it('has its groups in one order', () => {
    const order = COMMANDS.map(({ group }) => COMMAND_GROUPS.indexOf(group));
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it.each(COMMANDS)('of $path has a description, examples, exit codes and the options of every command', async (definition) => {
    const text = await shown(...words(definition.path), '--help');
    expect(definition.description).toMatch(/^[A-Z].*\.$/s);
    expect(definition.exits[0]).toBeDefined();
    for (const { line, what } of definition.examples) {
      expect(`${line} `.startsWith(`${definition.path} `)).toBe(true);
      expect(text).toContain(line);
      expect(what).not.toBe('');
    }
    expect(definition.examples.length).toBeGreaterThan(0);
    for (const part of ['Usage:', 'Examples:', 'Exit codes:', '3  unusable input', '--json', '--timeout']) expect(text).toContain(part);
  });

  it.each(COMMANDS.flatMap(({ examples }) => examples))('gives an example that works: $line', async ({ line }) => {
    let ran = 0;
    const program = buildProgram(() => Promise.resolve(void (ran += 1)));
    await program.parseAsync(words(line), { from: 'user' });
    expect(ran).toBe(1);
  });
});
