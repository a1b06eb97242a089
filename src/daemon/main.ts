import { setMaxListeners } from 'node:events';
import { systemClock } from '../core/system-clock.ts';
import { withDeadline } from '../core/deadline.ts';
import type { Clock, Log } from '../core/ports.ts';
import { VERSION } from '../core/version.ts';
import { createHost } from '../host/host.ts';
import { createLog, type LevelSetting } from '../observe/log.ts';
import { PromMeter } from '../observe/metrics.ts';
import { assemble, type Assembly } from './assemble.ts';
import { daemonCommand, type DaemonOptions } from './command-line.ts';
import { readLogLevel } from './defaults-file.ts';
import { LineServer } from './line-server.ts';
import { serveMetrics } from './metrics-listeners.ts';
import type { Overview } from './overview.ts';
import { overlongAnswer } from './rpc.ts';
import { ServiceManager, notifierFor, watchdogInterval } from './service-manager.ts';
import { signOfLife } from './sign-of-life.ts';
import { activatedSocket, clearSocketPath, listenPrivately } from './socket.ts';

/** ms after SIGTERM for which it goes on serving while calls are under way: a node that is never quiet must be restarted, too. */
const SERVE_ON_MS = 60_000;
/** ms that calls get to finish then: more than the longest that PVE makes (110 s for a rollback), so that a restart fails none. */
const FINISH_MS = 115_000;
/** ms for taking back what is still open. TimeoutStopSec of the service is more than these three together. */
const TAKE_BACK_MS = 50_000;

/** Makes the daemon of this node and serves until SIGTERM or SIGINT. Resolves to the exit status. */
async function serve(options: DaemonOptions): Promise<number> {
  const clock = systemClock;
  // Everything that is done under one deadline listens to its signal: ten, where Node begins to warn of a leak, are few.
  setMaxListeners(1_000);
  const level: LevelSetting = { level: options.logLevel ?? 'info' };
  const log = createLog(level, options.logFormat, (line) => void process.stdout.write(line));
  await takeLogLevel(options, level, log);
  const meter = new PromMeter();
  const fd = activatedSocket(process.env, process.pid);
  if (fd === null) await clearSocketPath(options.socket);

  const host = createHost({ clock, log, meter, linkBase: options.linkDir, runDir: options.runDir, pveDir: options.pveDir });
  const { storageCfg, privDir, stateDir, node } = options;
  const parts = await assemble({ storageCfg, privDir, stateDir, node, clock, log, meter, host });
  const { rpc, overview, metrics, orphans, storages, settler, watch } = parts;
  await settler.start();

  const server = new LineServer(rpc, overlongAnswer, clock, log);
  const service = new ServiceManager({
    notify: notifierFor(process.env),
    watchdogMs: watchdogInterval(process.env, process.pid),
    prove: (signal) => signOfLife(rpc, signal),
    clock,
    log,
  });
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
  const status = `serving, version ${VERSION}`;
  await service.ready(status);
  const reload = async (): Promise<void> => {
    await service.reloading();
    await takeLogLevel(options, level, log);
    reconnect(parts, clock, log);
    await service.reloaded(status);
  };
  process.on('SIGHUP', () => void reload());

  const signal = await stopped;
  log.info('stopping', { signal, calls: server.working });
  void service.stopping(`finishing ${server.working} calls`);
  orphans.stop();
  await drain(server, clock, log);
  const told = service.end();
  await watch.stop();
  await settler.stop();
  await storages.close();
  await endMetrics();
  await told;
  log.info('stopped');
  return 0;
}

/** The level of the command line counts; without one that of the defaults file, which may have changed. */
async function takeLogLevel({ logLevel, defaults }: DaemonOptions, setting: LevelSetting, log: Log): Promise<void> {
  try {
    setting.level = logLevel ?? (await readLogLevel(defaults)) ?? 'info';
  } catch (error) {
    log.warn('the log level stays', { level: setting.level, error: error instanceof Error ? error.message : String(error) });
  }
}

/** What SIGHUP reads anew besides the log level: storage.cfg, keys, certificate authorities. Running calls keep their session. */
function reconnect({ storages, overview }: Assembly, clock: Clock, log: Log): void {
  log.info('reloading');
  storages.renew();
  warmUp(overview, clock, log);
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
  const done = server.drain(SERVE_ON_MS);
  const within = async (ms: number): Promise<boolean> => {
    const timer = new AbortController();
    try {
      return await Promise.race([done.then(() => true), clock.sleep(ms, timer.signal).then(() => false)]);
    } finally {
      timer.abort();
    }
  };
  if (await within(SERVE_ON_MS + FINISH_MS)) return;
  log.warn('calls still under way are taken back', { calls: server.working });
  server.cut(new Error('the daemon is stopping'));
  if (!(await within(TAKE_BACK_MS))) log.error('calls did not end, the journal settles them at the next start', { calls: server.working });
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

const program = daemonCommand().exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
program.parse();
serve(program.opts<DaemonOptions>()).then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`pve-truenasd: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
