import type { Command } from 'commander';
import * as z from 'zod';
import type { CommandDefinition } from '../../src/cli/command.ts';
import { failureFacts } from '../../src/cli/failure.ts';
import { buildProgram, COMMANDS } from '../../src/cli/program.ts';
import { jsonShape } from './json-shape.ts';
import { code, generatedBy, table } from './markdown.ts';

/** docs/reference/cli.md: the commands with examples, exit codes and the shapes of `--json`. */
export function cliPage(): string {
  const program = buildProgram(() => Promise.resolve());
  return `${generatedBy('cli-page.ts')}
# Command line

${program.description()}

Options of every command, before or after its name:

${optionTable(program)}

## Exit codes

${table(
  ['code', 'meaning'],
  [
    ['0', 'healthy, or the work is done'],
    ['1', 'a warning'],
    ['2', 'critical: a storage is down, a setting is wrong, or the daemon cannot be asked'],
    ['3', 'unusable input: wrong command, flag, storage name, error code or file'],
  ],
)}

## JSON

With \`--json\` each command prints exactly one JSON object on standard output; its shape stands below the command: types in the place of
values, \`?\` behind members that can be absent. Sizes are bytes, times are Unix seconds. Members may be added in later versions, never removed or
changed. A failure prints (and exits as above):

${shapeBlock(z.object({ error: failureFacts }))}

## Commands

${COMMANDS.map((definition) => section(definition, commandAt(program, definition.path))).join('\n\n')}
`;
}

function section({ path, description, exits, examples, json }: CommandDefinition, command: Command): string {
  const takes = command.registeredArguments.map((argument) => {
    const name = argument.argChoices?.join('|') ?? argument.name();
    return argument.required ? name : `[${name}]`;
  });
  const flags = command.options.map((option) => `[${option.flags}]`);
  return [
    `### pve-truenas ${path}`,
    code(['pve-truenas', path, ...takes, ...flags].join(' ')),
    description,
    ...(command.options.length === 0 ? [] : [optionTable(command)]),
    `\`\`\`sh\n${examples.map(({ line, what }) => `pve-truenas ${line}  # ${what}`).join('\n')}\n\`\`\``,
    table(['exit', 'meaning'], Object.entries(exits)),
    'With `--json`:',
    shapeBlock(json),
  ].join('\n\n');
}

function shapeBlock(of: z.ZodType): string {
  return `\`\`\`\n${jsonShape(of)}\n\`\`\``;
}

function commandAt(program: Command, path: string): Command {
  return path.split(' ').reduce((parent, word) => {
    const found = parent.commands.find((command) => command.name() === word);
    if (found === undefined) throw new Error(`there is no command ${path}`);
    return found;
  }, program);
}

function optionTable(command: Command): string {
  return table(
    ['option', 'meaning', 'default'],
    command.options.map((option) => {
      const value: unknown = option.defaultValue;
      return [code(option.flags), option.description, typeof value === 'string' || typeof value === 'number' ? code(value) : ''];
    }),
  );
}
