import type { GuestReferencesPort } from '../core/guest-references.ts';
import type { HostPort } from '../core/host-port.ts';
import type { NodeLeftovers } from '../core/leftovers-port.ts';
import { type Meter, NO_METER } from '../core/metrics.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { resolveHost } from './addresses.ts';
import { type Commands, NodeCommands } from './commands.ts';
import { QemuDirect, recordsBelow } from './direct/qemu-direct.ts';
import { GuestConfigs } from './guest-configs.ts';
import { KernelInitiator } from './kernel/kernel-initiator.ts';
import { HostLeftovers } from './leftovers.ts';
import { RootedFiles, type SysFiles } from './sys-files.ts';

export interface HostOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Default: nothing is measured. */
  readonly meter?: Meter;
  /** Default: the programs of this node. */
  readonly commands?: Commands;
  /** Default: the files of this node. */
  readonly files?: SysFiles;
  /** Default: the system's resolver. */
  readonly resolve?: (host: string, deadline: Deadline) => Promise<readonly string[]>;
  /** Where the links of attached volumes stand; default `/dev/pve-truenas`. */
  readonly linkBase?: string;
  /** Where QEMU-direct keeps its records; default `/run/pve-truenas`. */
  readonly runDir?: string;
  /** PVE's cluster file system; default `/etc/pve`. */
  readonly pveDir?: string;
}

export interface Host {
  /** `initiator: kernel` */
  readonly kernel: HostPort;
  /** `initiator: qemu` */
  readonly direct: HostPort;
  /** What volumes left behind here. */
  readonly leftovers: NodeLeftovers;
  /** The guests of the cluster. */
  readonly guests: GuestReferencesPort;
}

/** This node's two ways to a LUN. One object for all storages: it keeps logins and volumes apart by itself. */
export function createHost(options: HostOptions): Host {
  const context = {
    clock: options.clock,
    log: options.log,
    meter: options.meter ?? NO_METER,
    commands: options.commands ?? new NodeCommands(),
    files: options.files ?? new RootedFiles(),
    resolve: options.resolve ?? resolveHost,
  };
  const [links, runDir] = [options.linkBase ?? '/dev/pve-truenas', options.runDir ?? '/run/pve-truenas'];
  const kernel = new KernelInitiator(context, links);
  const direct = new QemuDirect(context, runDir);
  return {
    kernel,
    direct,
    leftovers: new HostLeftovers(context, { links, records: recordsBelow(runDir) }, { kernel, direct }),
    guests: new GuestConfigs(context.files, options.pveDir ?? '/etc/pve'),
  };
}
