import { formatBytes } from '../../core/sizes.ts';
import { METHODS, type Result } from '../../protocol/methods.ts';
import type { CommandDefinition } from '../command.ts';
import { EXIT, type ExitCode } from '../io.ts';
import { clean, formatTime, stateWord, table } from '../render/text.ts';
import { askDaemon } from '../socket-client.ts';
import { storageArgument } from './arguments.ts';
import { type CommandRun, putJson } from './context.ts';

type Row = Result<'overview.status'>['storages'][number];

export const statusCommand: CommandDefinition = {
  path: 'status',
  group: 'See:',
  description: 'State of the storages, since when and why, the way to TrueNAS, and space. Costs no call of TrueNAS while all is healthy.',
  exits: { 0: 'all are healthy, or not used on this node', 1: 'one is degraded', 2: 'one is down, or the daemon cannot be asked' },
  examples: [
    { line: 'status', what: 'all storages' },
    { line: 'status nas --json', what: 'one storage, for a script' },
  ],
  json: METHODS['overview.status'].result,
  build: (command, runner) =>
    command.addArgument(storageArgument()).action((storage: string | undefined) => runner(command, status(storage))),
};

/** `status [STORAGE]`: state, way to the array and space. 0 all healthy, 1 one is degraded, 2 one is down. */
function status(storage: string | undefined): CommandRun {
  return async ({ io, json, colours, daemon }) => {
    const { storages } = await askDaemon(daemon, 'overview.status', storage === undefined ? {} : { storage_id: storage });
    const exit = exitOf(storages);
    if (json) putJson(io, { storages });
    else if (storages.length === 0) io.out('no storage of type truenasplugin is configured\n');
    else {
      const space = (value: (row: Row) => number) => (row: Row) => (row.total === 0 ? '-' : formatBytes(value(row)));
      io.out(
        table<Row>(
          [
            { head: 'STORAGE', value: (row) => clean(row.id) },
            { head: 'STATE', value: (row) => stateWord(colours, row.state) },
            { head: 'SINCE', value: (row) => formatTime(row.since) },
            { head: 'API', value: (row) => clean(row.api) },
            { head: 'VERSION', value: (row) => clean(row.version ?? '-') },
            { head: 'DATASET', value: (row) => clean(row.dataset) },
            { head: 'TOTAL', align: 'right', value: space((row) => row.total) },
            { head: 'USED', align: 'right', value: space((row) => row.used) },
            { head: 'AVAILABLE', align: 'right', value: space((row) => row.available) },
            { head: 'VOLUMES', align: 'right', value: (row) => (row.volumes === null ? '-' : String(row.volumes)) },
          ],
          storages,
          colours,
        ),
      );
      for (const row of storages) for (const why of whyOf(row)) io.out(`${clean(row.id)}: ${clean(why)}\n`);
    }
    return exit;
  };
}

/** Each reason on its own line, the gravest first. */
function whyOf({ reasons, reason }: Row): readonly string[] {
  if (reasons.length > 0) return reasons.map(({ message }) => message);
  return reason === undefined ? [] : [reason];
}

function exitOf(storages: readonly Row[]): ExitCode {
  if (storages.some((row) => row.state === 'down')) return EXIT.critical;
  return storages.some((row) => row.state === 'degraded') ? EXIT.warning : EXIT.healthy;
}
