import type { Meter } from '../core/metrics.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import type { Commands } from './commands.ts';
import type { SysFiles } from './sys-files.ts';

/** What every part of the node's side works with. */
export interface HostContext {
  readonly commands: Commands;
  readonly files: SysFiles;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** All addresses of a host name, as text (F-009). */
  readonly resolve: (host: string, deadline: Deadline) => Promise<readonly string[]>;
}
