import { Command, CommanderError, Option } from 'commander';
import { asStorageError } from '../core/errors.ts';
import { VERSION } from '../core/version.ts';
import { DEFAULT_SOCKET } from '../protocol/envelope.ts';
import { type CommandDefinition, helpTail, type Runner, summaryOf } from './command.ts';
import { completionCommand } from './commands/completion.ts';
import { configCheckCommand } from './commands/config-check.ts';
import { contextOf, wantsColour } from './commands/context.ts';
import { doctorCommand } from './commands/doctor.ts';
import { explainCommand } from './commands/explain.ts';
import { healthCommand } from './commands/health.ts';
import { listCommand } from './commands/list.ts';
import { metricsCommand } from './commands/metrics.ts';
import { preflightCommand } from './commands/preflight.ts';
import { orphansCommand } from './commands/orphans.ts';
import { setupCommand } from './commands/setup.ts';
import { statusCommand } from './commands/status.ts';
import { wholeNumber } from './commands/arguments.ts';
import { CliFailure } from './failure.ts';
import { type CliIo, EXIT, type ExitCode } from './io.ts';
import { failureJson, renderFailure } from './render/error.ts';
import { coloursFor } from './render/text.ts';

/** Every command, in the order in which help lists them within their group. */
export const COMMANDS: readonly CommandDefinition[] = [
  setupCommand,
  statusCommand,
  listCommand,
  metricsCommand,
  healthCommand,
  doctorCommand,
  configCheckCommand,
  preflightCommand,
  orphansCommand,
  explainCommand,
  completionCommand,
];

const ROOT_TAIL = `
Every command shows examples and exit codes with --help. Exit codes: 0 fine, 1 warning,
2 critical, 3 unusable input. An error ends with its code: pve-truenas explain CODE.`;

/** Commands that only hold others. */
const HOLDERS: Readonly<Record<string, { readonly description: string; readonly group: string }>> = {
  config: { description: 'Settings in storage.cfg.', group: 'Check:' },
};

/**
 * The tree of commands; docs/reference/cli.md and the completion scripts are made from it. Nothing in it does any work
 * itself: the chosen command's work goes to `runner`.
 */
export function buildProgram(runner: Runner): Command {
  const program = new Command('pve-truenas')
    .description('Asks the daemon pve-truenasd of this node about its TrueNAS storages.')
    .version(VERSION, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .usage('[options] COMMAND')
    .configureHelp({ showGlobalOptions: true, visibleCommands: leavesBelow, subcommandTerm: termOf })
    .showHelpAfterError('(--help shows what is possible)')
    .addOption(new Option('--socket <PATH>', `socket of the daemon (default: $PVE_TRUENAS_SOCKET or ${DEFAULT_SOCKET})`))
    .addOption(new Option('--timeout <SECONDS>', 'longest wait for the daemon, 1 to 600').argParser(wholeNumber(1, 600)).default(30))
    .option('--json', 'print one JSON object, also for errors')
    .option('--no-color', 'no colours (also by the environment variable NO_COLOR, and when the output is no terminal)')
    .exitOverride();

  program.addHelpText('after', ROOT_TAIL);
  for (const definition of COMMANDS) {
    const words = definition.path.split(' ');
    const name = words.pop() ?? '';
    const command = words
      .reduce(within, program)
      .command(name)
      .description(definition.description)
      .summary(summaryOf(definition.description))
      .helpGroup(definition.group)
      .addHelpText('after', helpTail(definition));
    definition.build(command, runner, program);
  }
  return program;
}

/** The commands that do something: `config check` stands in the list, `config` does not. */
function leavesBelow(command: Command): Command[] {
  return command.commands.flatMap((sub) => (sub.commands.length === 0 ? [sub] : leavesBelow(sub)));
}

/** `config check`, `list [STORAGE]`. */
function termOf(command: Command): string {
  const takes = command.registeredArguments.map((argument) => (argument.required ? `<${argument.name()}>` : `[${argument.name()}]`));
  return [...pathOf(command), ...takes].join(' ');
}

/** Words after the program's name. */
function pathOf(command: Command): readonly string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()];
}

/** The command that only holds others, made with the first of them. */
function within(parent: Command, word: string): Command {
  const there = parent.commands.find((command) => command.name() === word);
  const { description = '', group = '' } = HOLDERS[word] ?? {};
  return there ?? parent.command(word).description(description).helpGroup(group);
}

/** Runs a command line (without program name) and gives its exit code; never throws. */
export async function run(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  let exit: ExitCode = EXIT.unusable;
  const program = buildProgram(async (command, work) => {
    exit = await work(contextOf(command, io));
  });
  for (const command of [program, ...program.commands, ...program.commands.flatMap((sub) => sub.commands)]) {
    command.configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text), getOutHasColors: () => wantsColour(io) });
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exit;
  } catch (error) {
    // help and version end by an exception too, with exit code 0; commander has printed what there was to print
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.healthy : EXIT.unusable;
    return report(error, argv.includes('--json'), !argv.includes('--no-color'), io);
  }
}

function report(error: unknown, json: boolean, colour: boolean, io: CliIo): ExitCode {
  const failed = error instanceof CliFailure ? error : fromBug(error);
  if (json) io.out(failureJson(failed.facts));
  else io.err(renderFailure(failed.facts, coloursFor(wantsColour(io, colour))));
  return failed.exitCode;
}

function fromBug(error: unknown): CliFailure {
  const { code, kind, message, causes, hints } = asStorageError(error);
  return new CliFailure({ code, kind, message, causes, hints });
}
