import { Argument, Option } from 'commander';
import { METHODS, type Params, type Result } from '../../protocol/methods.ts';
import type { CommandDefinition } from '../command.ts';
import { failure } from '../failure.ts';
import { EXIT, type ExitCode } from '../io.ts';
import { clean, type Colours, stateWord } from '../render/text.ts';
import { askDaemon } from '../socket-client.ts';
import { sizeWithUnit, storageId } from './arguments.ts';
import { type CommandRun, putJson } from './context.ts';

type Report = Result<'overview.preflight'>;
type Operation = Params<'overview.preflight'>['operation'];

const OPERATIONS = ['allocate', 'clone', 'resize', 'rollback'] as const satisfies readonly Operation[];

interface Options {
  readonly operation: Operation;
  readonly size?: number;
  readonly volume?: string;
  readonly snapshot?: string;
}

export const preflightCommand: CommandDefinition = {
  path: 'preflight',
  group: 'Check:',
  description: 'Checks whether an operation would go through, without doing it. Everything is read from TrueNAS now; nothing is changed.',
  exits: { 0: 'it would go through', 1: 'it would, with a warning', 2: 'it would be refused, or the daemon cannot be asked' },
  examples: [
    { line: 'preflight nas --size 100G', what: 'is there room, and all else, for a new disk' },
    { line: 'preflight nas --operation resize --volume vm-100-disk-0 --size 200G', what: 'can this disk grow to 200G' },
    { line: 'preflight nas --operation rollback --volume vm-100-disk-0 --snapshot before', what: 'can it be rolled back' },
  ],
  json: METHODS['overview.preflight'].result,
  build: (command, runner) =>
    command
      .addArgument(new Argument('<STORAGE>', 'the storage').argParser(storageId))
      .addOption(new Option('--operation <OPERATION>', 'what would be done').choices(OPERATIONS).default('allocate'))
      .addOption(
        new Option('--size <SIZE>', 'size of the new volume, or new size of --volume: 100G, 1.5T (base 1024)').argParser(sizeWithUnit),
      )
      .addOption(new Option('--volume <VOLUME>', 'volume to resize, roll back or clone; name of a new one'))
      .addOption(new Option('--snapshot <NAME>', 'snapshot to roll back to'))
      .action((storage: string, options: Options) => runner(command, preflight(storage, options))),
};

/** `preflight STORAGE …`: every check, with what cures it. */
function preflight(storage: string, options: Options): CommandRun {
  return async ({ io, json, colours, daemon }) => {
    const { operation, size, volume, snapshot } = options;
    assertComplete(options);
    const report = await askDaemon(daemon, 'overview.preflight', {
      storage_id: storage,
      operation,
      ...(size === undefined ? {} : { size }),
      ...(volume === undefined ? {} : { volume: ofStorage(storage, volume) }),
      ...(snapshot === undefined ? {} : { snapshot }),
    });
    if (json) putJson(io, report);
    else io.out(render(report, colours));
    return exitOf(report);
  };
}

/** Errors: BAD_REQUEST as CliFailure (exit 3). */
function assertComplete({ operation, size, volume, snapshot }: Options): void {
  const lacks = [
    ...(size === undefined && (operation === 'allocate' || operation === 'resize') ? ['--size'] : []),
    ...(volume === undefined && operation !== 'allocate' ? ['--volume'] : []),
    ...(snapshot === undefined && operation === 'rollback' ? ['--snapshot'] : []),
  ];
  if (lacks.length === 0) return;
  throw failure('BAD_REQUEST', `--operation ${operation} needs ${lacks.join(' and ')}`, {
    causes: [],
    hints: ['pve-truenas preflight --help'],
  });
}

/** `tn:vm-100-disk-0` is what PVE calls `vm-100-disk-0` of storage tn. */
function ofStorage(storage: string, volume: string): string {
  return volume.startsWith(`${storage}:`) ? volume.slice(storage.length + 1) : volume;
}

function exitOf(report: Report): ExitCode {
  if (!report.ok) return EXIT.critical;
  return report.checks.some((check) => check.state === 'warning') ? EXIT.warning : EXIT.healthy;
}

function render({ storage, operation, ok, checks }: Report, colours: Colours): string {
  const verdict = ok ? colours.green('would go through') : colours.red('would be refused');
  const lines = [`${operation} on ${colours.bold(clean(storage))}: ${verdict}`];
  const width = Math.max(0, ...checks.map((check) => check.name.length));
  const indent = ' '.repeat('critical'.length + width + 6);
  for (const { name, state, message, cure } of checks) {
    const word = `${stateWord(colours, state)}${' '.repeat('critical'.length - state.length)}`;
    const [first = '', ...more] = message.split('\n').map(clean);
    lines.push(`  ${word}  ${clean(name).padEnd(width)}  ${first}`, ...more.map((line) => `${indent}${line}`));
    if (cure !== undefined) lines.push(`${indent}cure: ${clean(cure)}`);
  }
  return `${lines.join('\n')}\n`;
}
