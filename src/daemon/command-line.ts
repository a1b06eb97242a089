import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { VERSION } from '../core/version.ts';
import { LOG_LEVELS, type LogFormat, type LogLevel } from '../observe/log.ts';
import { DEFAULT_SOCKET } from '../protocol/envelope.ts';
import { loopbackAddress } from './metrics-listeners.ts';

export interface DaemonOptions {
  readonly socket: string;
  readonly storageCfg: string;
  readonly privDir: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly linkDir: string;
  readonly pveDir: string;
  readonly node: string;
  readonly defaults: string;
  /** Absent: what the file `defaults` says. */
  readonly logLevel?: LogLevel;
  readonly logFormat: LogFormat;
  /** Default: metrics.sock in the run directory; false: none. */
  readonly metricsSocket?: string | false;
  readonly metricsListen?: { readonly host: string; readonly port: number };
}

/** The daemon's command line; its man page is made from it. */
export function daemonCommand(): Command {
  return new Command('pve-truenasd')
    .description('Node daemon of pve-truenas: serves the PVE storage type `truenasplugin` from TrueNAS.')
    .version(VERSION)
    .option('--socket <path>', 'Unix socket to listen on (ignored under systemd socket activation)', DEFAULT_SOCKET)
    .option('--storage-cfg <file>', "PVE's storage configuration", '/etc/pve/storage.cfg')
    .option('--priv-dir <dir>', 'directory with <storage>.api_key and <storage>.chap_password', '/etc/pve/priv/storage')
    .option('--state-dir <dir>', 'journal of operations that are under way', '/var/lib/pve-truenas')
    .option('--run-dir <dir>', 'records of volumes that QEMU opens itself, and the socket with the metrics', '/run/pve-truenas')
    .option('--pve-dir <dir>', "PVE's cluster file system, with every guest's configuration", '/etc/pve')
    .option('--link-dir <dir>', 'links to the attached devices', '/dev/pve-truenas')
    .option('--node <name>', 'name of this node', hostname().split('.')[0] ?? 'localhost')
    .option('--metrics-socket <path>', 'Unix socket with OpenMetrics (default: metrics.sock in the run directory)')
    .option('--no-metrics-socket', 'no metrics on a Unix socket')
    .addOption(
      new Option(
        '--metrics-listen <address>',
        'also serve them on 127.0.0.1:PORT or [::1]:PORT; readable by every user of this node',
      ).argParser(loopbackAddress),
    )
    .option('--defaults <file>', 'need not exist; its line LOG_LEVEL= counts where --log-level is not given', '/etc/default/pve-truenasd')
    .addOption(new Option('--log-level <level>', 'least severe message to log (default: info)').choices([...LOG_LEVELS]))
    .addOption(
      new Option('--log-format <format>', 'journal: level prefix for systemd; text: for a terminal')
        .choices(['journal', 'text'])
        .default(process.stdout.isTTY ? 'text' : 'journal'),
    )
    .allowExcessArguments(false);
}
