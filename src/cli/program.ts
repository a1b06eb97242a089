import { Argument, Command, CommanderError, Option } from 'commander';
import { asStorageError } from '../core/errors.ts';
import { VERSION } from '../core/version.ts';
import { DEFAULT_SOCKET } from '../protocol/envelope.ts';
import { storageId, wholeNumber } from './commands/arguments.ts';
import { completion, type Shell, SHELLS } from './commands/completion.ts';
import { configCheck, STORAGE_CFG } from './commands/config-check.ts';
import { type CommandRun, contextOf, wantsColour } from './commands/context.ts';
import { explain } from './commands/explain.ts';
import { health } from './commands/health.ts';
import { list } from './commands/list.ts';
import { status } from './commands/status.ts';
import { CliFailure } from './failure.ts';
import { type CliIo, EXIT, type ExitCode } from './io.ts';
import { failureJson, renderFailure } from './render/error.ts';
import { coloursFor } from './render/text.ts';

/** Runs the work that a parsed command line chose. */
export type Runner = (command: Command, run: CommandRun) => Promise<void>;

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
    .showHelpAfterError('(--help shows what is possible)')
    .addOption(new Option('--socket <PATH>', `socket of the daemon (default: $PVE_TRUENAS_SOCKET or ${DEFAULT_SOCKET})`))
    .addOption(new Option('--timeout <SECONDS>', 'longest wait for the daemon, 1 to 600').argParser(wholeNumber(1, 600)).default(30))
    .option('--json', 'print one JSON object, also for errors')
    .option('--no-color', 'no colours (also by the environment variable NO_COLOR, and when the output is no terminal)')
    .exitOverride();

  program
    .command('status')
    .description('State, way to TrueNAS and space of the storages. Exit: 0 all healthy, 1 one degraded, 2 one down.')
    .addArgument(storageArgument())
    .action((storage: string | undefined, _: unknown, command: Command) => runner(command, status(storage)));

  program
    .command('list')
    .description('Volumes with size, LUN, identity and parent.')
    .addArgument(storageArgument())
    .addOption(new Option('--vmid <N>', 'only the volumes of this guest').argParser(wholeNumber(1, 999_999_999)))
    .action((storage: string | undefined, options: { vmid?: number }, command: Command) => runner(command, list(storage, options.vmid)));

  program
    .command('health')
    .description('Every check of daemon and storages, with what cures it. Exit: 0 all fine, 1 a warning, 2 something critical.')
    .addArgument(storageArgument())
    .action((storage: string | undefined, _: unknown, command: Command) => runner(command, health(storage)));

  program
    .command('config')
    .description('Settings in storage.cfg.')
    .command('check')
    .description('Judges all settings of the storages in storage.cfg, without daemon or network. Exit: 0 fine, 1 warnings, 2 errors.')
    .addOption(new Option('--file <STORAGE.CFG>', 'file to judge').default(STORAGE_CFG))
    .action((options: { file: string }, command: Command) => runner(command, configCheck(options.file)));

  program
    .command('explain')
    .description('What an error code means and what to check.')
    .argument('<CODE>', 'code as an error shows it, for example TLS_UNTRUSTED')
    .action((code: string, _: unknown, command: Command) => runner(command, explain(code)));

  program
    .command('completion')
    .description('Prints a completion script for the shell.')
    .addArgument(new Argument('<SHELL>', 'the shell').choices(SHELLS))
    .action((shell: Shell, _: unknown, command: Command) => runner(command, completion(program, shell)));

  return program;
}

function storageArgument(): Argument {
  return new Argument('[STORAGE]', 'only this storage').argParser(storageId);
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
