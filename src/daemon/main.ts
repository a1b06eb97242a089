import { setMaxListeners } from 'node:events';
import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { systemClock } from '../core/system-clock.ts';
import { withDeadline } from '../core/deadline.ts';
import type { Clock, Log } from '../core/ports.ts';
import { createHost } from '../host/host.ts';
import { createLog, LOG_LEVELS, type LogFormat, type LogLevel } from '../observe/log.ts';
import { PromMeter } from '../observe/metrics.ts';
import { DEFAULT_SOCKET } from '../protocol/envelope.ts';
import { assemble } from './assemble.ts';
import { LineServer } from './line-server.ts';
import { loopbackAddress, serveMetrics } from './metrics-listeners.ts';
import type { Overview } from './overview.ts';
import { overlongAnswer } from './rpc.ts';
import { activatedSocket, clearSocketPath, listenPrivately } from './socket.ts';
import { VERSION } from '../core/version.ts';

interface Options {
  readonly socket: string;
  readonly storageCfg: string;
  readonly privDir: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly linkDir: string;
  readonly pveDir: string;
  readonly node: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** Default: metrics.sock in the run directory; false: none. */
  readonly metricsSocket?: string | false;
  readonly metricsListen?: { readonly host: string; readonly port: number };
}

/** ms that calls under way get to finish after SIGTERM; then they are taken back. systemd's own limit is 90 s. */
const FINISH_MS = 20_000;
const TAKE_BACK_MS = 50_000;

/** Makes the daemon of this node and serves until SIGTERM or SIGINT. Resolves to the exit status. */
async function serve(options: Options): Promise<number> {
  const clock = systemClock;
  // Everything that is done under one deadline listens to its signal: ten, where Node begins to warn of a leak, are few.
  setMaxListeners(1_000);
  const log = createLog(options.logLevel, options.logFormat, (line) => void process.stdout.write(line));
  const meter = new PromMeter();
  const fd = activatedSocket(process.env, process.pid);
  if (fd === null) await clearSocketPath(options.socket);

  const host = createHost({ clock, log, meter, linkBase: options.linkDir, runDir: options.runDir, pveDir: options.pveDir });
  const { storageCfg, privDir, stateDir, node } = options;
  const parts = await assemble({ storageCfg, privDir, stateDir, node, clock, log, meter, host });
  const { rpc, overview, metrics, orphans, storages, settler, watch } = parts;
  await settler.start();

  const server = new LineServer(rpc, overlongAnswer, clock, log);
  const stopped = stopSignal();
  if (fd === null) await listenPrivately(options.socket, () => server.listen({ path: options.socket }));
  else await server.listen({ fd });
  const endMetrics = await serveMetrics({
    socket: options.metricsSocket === false ? null : (options.metricsSocket ?? `${options.runDir}/metrics.sock`),
    loopback: options.metricsListen ?? null,
    text: (exposition) => metrics.text(exposition),
    clock,
    log,
  });
  log.info('ready', { version: VERSION, socket: fd === null ? options.socket : 'from systemd', node: options.node });
  warmUp(overview, clock, log);
  orphans.watch();

  const signal = await stopped;
  log.info('stopping', { signal, calls: server.working });
  orphans.stop();
  await drain(server, clock, log);
  await watch.stop();
  await settler.stop();
  await storages.close();
  await endMetrics();
  log.info('stopped');
  return 0;
}

/** Logs in and reads what the configured storages hold, so that the first call finds it known. Failures are told to whoever asks. */
function warmUp(overview: Overview, clock: Clock, log: Log): void {
  withDeadline(clock, 30_000, 'first look', (deadline) => overview.status(undefined, deadline)).then(
    ({ storages }) => {
      // What became of the others is told by the watch.
      for (const { id, state, since, reason } of storages) {
        if (state === 'down' && since === undefined) log.warn('a storage cannot be used', { storage: id, reason });
      }
    },
    (error: unknown) => log.warn('storage.cfg cannot be used', { error: error instanceof Error ? error.message : String(error) }),
  );
}

async function drain(server: LineServer, clock: Clock, log: Log): Promise<void> {
  const done = server.drain();
  const within = async (ms: number): Promise<boolean> => {
    const timer = new AbortController();
    try {
      return await Promise.race([done.then(() => true), clock.sleep(ms, timer.signal).then(() => false)]);
    } finally {
      timer.abort();
    }
  };
  if (await within(FINISH_MS)) return;
  log.warn('calls still under way are taken back', { calls: server.working });
  server.cut(new Error('the daemon is stopping'));
  if (!(await within(TAKE_BACK_MS))) log.error('calls did not end, the journal settles them at the next start', { calls: server.working });
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

const program = new Command('pve-truenasd')
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
  .addOption(new Option('--log-level <level>', 'least severe message to log').choices([...LOG_LEVELS]).default('info'))
  .addOption(
    new Option('--log-format <format>', 'journal: level prefix for systemd; text: for a terminal')
      .choices(['journal', 'text'])
      .default(process.stdout.isTTY ? 'text' : 'journal'),
  )
  .allowExcessArguments(false)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

program.parse();
serve(program.opts<Options>()).then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`pve-truenasd: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
