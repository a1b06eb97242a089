import { InvalidArgumentError } from 'commander';
import type { Clock, Log } from '../core/ports.ts';
import { type ListenOn, MetricsExporter } from '../observe/exporter.ts';
import type { Exposition } from '../observe/metrics.ts';
import { clearSocketPath, listenPrivately } from './socket.ts';

/**
 * `127.0.0.1:PORT` or `[::1]:PORT`, port 0 to 65535 (0: a free one). Whoever reaches it can read the metrics, so nothing but loopback
 * is taken, and names are not: what they mean is up to others. Errors: InvalidArgumentError.
 */
export function loopbackAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new InvalidArgumentError('must be 127.0.0.1:PORT or [::1]:PORT, port 0 to 65535.');
  const loopback = host === '::1' || /^127(?:\.(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])){3}$/.test(host);
  if (loopback) return { host, port };
  throw new InvalidArgumentError(
    `${host} is not a loopback address. Metrics are served without encryption or login, so only 127.0.0.1 or ::1 is taken; ` +
      'to reach them from elsewhere put a proxy in front.',
  );
}

export interface MetricsListenerOptions {
  /** Path of the Unix socket; null: none. */
  readonly socket: string | null;
  readonly loopback: { readonly host: string; readonly port: number } | null;
  readonly text: (exposition: Exposition) => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Serves the metrics on a Unix socket (0600) and, if wanted, a loopback port. What cannot be opened is logged: storage must not stand still
 * because nobody can watch it. Resolves to the function that ends it.
 */
export async function serveMetrics(options: MetricsListenerOptions): Promise<() => Promise<void>> {
  const { socket, loopback, text, clock, log } = options;
  const open: MetricsExporter[] = [];
  const start = async (where: string, listen: (exporter: MetricsExporter) => Promise<void>): Promise<void> => {
    const exporter = new MetricsExporter(text, clock, log);
    try {
      await listen(exporter);
      open.push(exporter);
      log.info('metrics are served', { at: exporter.address });
    } catch (error) {
      log.error('metrics are not served', { at: where, error: error instanceof Error ? error.message : String(error) });
    }
  };
  if (socket !== null) {
    await start(socket, async (exporter) => {
      await clearSocketPath(socket);
      await listenPrivately(socket, () => exporter.listen({ path: socket }));
    });
  }
  if (loopback !== null) {
    const on: ListenOn = loopback;
    await start(`${loopback.host} port ${loopback.port}`, (exporter) => exporter.listen(on));
  }
  return async () => {
    await Promise.all(open.map((exporter) => exporter.close()));
  };
}
