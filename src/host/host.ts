import type { HostPort } from '../core/host-port.ts';
import { type Meter, NO_METER } from '../core/metrics.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { resolveHost } from './addresses.ts';
import { type Commands, NodeCommands } from './commands.ts';
import { QemuDirect } from './direct/qemu-direct.ts';
import { KernelInitiator } from './kernel/kernel-initiator.ts';
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
}

export interface Host {
  /** `initiator: kernel` */
  readonly kernel: HostPort;
  /** `initiator: qemu` */
  readonly direct: HostPort;
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
  return {
    kernel: new KernelInitiator(context, options.linkBase ?? '/dev/pve-truenas'),
    direct: new QemuDirect(context, options.runDir ?? '/run/pve-truenas'),
  };
}
