import { formatBytes } from '../../core/sizes.ts';
import type { Result } from '../../protocol/methods.ts';
import { EXIT } from '../io.ts';
import { clean, formatTime, table } from '../render/text.ts';
import { askDaemon } from '../socket-client.ts';
import { type CommandRun, putJson } from './context.ts';

type Row = Result<'overview.list'>['volumes'][number];

/** `list [STORAGE] [--vmid N]`: the volumes with size, LUN and identity. 0, also when there are none. */
export function list(storage: string | undefined, vmid: number | undefined): CommandRun {
  return async ({ io, json, colours, daemon }) => {
    const { volumes } = await askDaemon(daemon, 'overview.list', {
      ...(storage === undefined ? {} : { storage_id: storage }),
      ...(vmid === undefined ? {} : { vmid }),
    });
    if (json) putJson(io, { volumes });
    else if (volumes.length === 0) io.out('no volumes\n');
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
    return EXIT.healthy;
  };
}
