import { Option } from 'commander';
import { formatBytes } from '../../core/sizes.ts';
import { METHODS, type Result } from '../../protocol/methods.ts';
import type { CommandDefinition } from '../command.ts';
import { EXIT } from '../io.ts';
import { renderFailure } from '../render/error.ts';
import { clean, formatTime, table } from '../render/text.ts';
import { askDaemon } from '../socket-client.ts';
import { storageArgument, wholeNumber } from './arguments.ts';
import { type CommandRun, putJson } from './context.ts';

type Row = Result<'overview.list'>['volumes'][number];

export const listCommand: CommandDefinition = {
  path: 'list',
  group: 'See:',
  description: 'Volumes with size, LUN, identity and parent.',
  exits: { 0: 'listed, also when there are none', 2: 'a storage or the daemon cannot be asked; the other storages are listed' },
  examples: [
    { line: 'list nas', what: 'the volumes of one storage' },
    { line: 'list --vmid 100', what: 'the disks of one guest, on all storages' },
  ],
  json: METHODS['overview.list'].result,
  build: (command, runner) =>
    command
      .addArgument(storageArgument())
      .addOption(new Option('--vmid <N>', 'only the volumes of this guest').argParser(wholeNumber(1, 999_999_999)))
      .action((storage: string | undefined, options: { vmid?: number }) => runner(command, list(storage, options.vmid))),
};

/** `list [STORAGE] [--vmid N]`: the volumes with size, LUN and identity. 0, also when there are none; 2 when a storage could not be listed. */
function list(storage: string | undefined, vmid: number | undefined): CommandRun {
  return async ({ io, json, colours, daemon }) => {
    const { volumes, failed = [] } = await askDaemon(daemon, 'overview.list', {
      ...(storage === undefined ? {} : { storage_id: storage }),
      ...(vmid === undefined ? {} : { vmid }),
    });
    if (json) putJson(io, { volumes, ...(failed.length === 0 ? {} : { failed }) });
    else if (volumes.length === 0) io.out(failed.length === 0 ? 'no volumes\n' : '');
    else {
      io.out(
        table<Row>(
          [
            { head: 'VOLUME', value: (row) => clean(row.volid) },
            { head: 'VMID', align: 'right', value: (row) => String(row.vmid) },
            { head: 'SIZE', align: 'right', value: (row) => formatBytes(row.size) },
            { head: 'USED', align: 'right', value: (row) => formatBytes(row.used) },
            { head: 'LUN', align: 'right', value: (row) => (row.lun === null ? '-' : String(row.lun)) },
            { head: 'NAA', value: (row) => clean(row.naa ?? '-') },
            { head: 'CREATED', value: (row) => formatTime(row.ctime) },
            { head: 'PARENT', value: (row) => clean(row.parent ?? '-') },
          ],
          volumes,
          colours,
        ),
      );
    }
    if (failed.length === 0) return EXIT.healthy;
    if (!json)
      for (const { storage: id, ...facts } of failed)
        io.err(renderFailure({ ...facts, kind: '', message: `${id}: ${facts.message}` }, colours));
    return EXIT.critical;
  };
}
