import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock, Log } from '../core/ports.ts';
import { type Exposition, EXPOSITIONS } from './metrics.ts';

/** ms that one connection may live, from its first byte to the last of the answer: a scrape takes a few. */
const CONNECTION_MS = 10_000;
/** Connections at the same time; more are closed at once. */
const MAX_CONNECTIONS = 16;
/** bytes of a request's head */
const MAX_HEAD = 8_192;

export type ListenOn = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * `GET /metrics` over HTTP, and nothing else. One request a connection, which is closed whatever happens after ten seconds: a client
 * that is slow, silent or hostile takes one of a few places and no more.
 */
export class MetricsExporter {
  readonly #server: Server;
  readonly #text: (exposition: Exposition) => Promise<string>;
  readonly #log: Log;
  readonly #connections = new Set<Socket>();

  /** `text` gives the numbers as they are now. */
  constructor(text: (exposition: Exposition) => Promise<string>, clock: Clock, log: Log) {
    this.#text = text;
    this.#log = log;
    this.#server = createServer({ maxHeaderSize: MAX_HEAD, keepAlive: false }, (request, response) => void this.#answer(request, response));
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.maxRequestsPerSocket = 1;
    this.#server.on('connection', (socket) => {
      this.#connections.add(socket);
      const cancel = clock.after(CONNECTION_MS, () => socket.destroy());
      socket.once('close', () => {
        cancel();
        this.#connections.delete(socket);
      });
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (socket.writable && error.code !== 'ECONNRESET') {
        const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
        socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      } else socket.destroy();
    });
  }

  /** Errors: those of listen(2). */
  listen(on: ListenOn): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(on, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#log.error('metrics: socket error', { error: error.message }));
        resolve();
      });
    });
  }

  /** Where it listens: the path, or `HOST:PORT` with the port that a listen on port 0 got. */
  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') return address ?? '';
    return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
  }

  /** Ends at once: a scrape that is cut is simply made again. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#connections) socket.destroy();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', (error) => this.#log.debug('metrics: connection failed', { error: error.message }));
    request.resume();
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== '/metrics') {
      reply(response, 404, 'only /metrics is here\n');
      return;
    }
    if (request.method !== 'GET') {
      response.setHeader('Allow', 'GET');
      reply(response, 405, 'only GET is served\n');
      return;
    }
    try {
      const exposition = wanted(request.headers.accept);
      reply(response, 200, await this.#text(exposition), EXPOSITIONS[exposition]);
    } catch (error) {
      this.#log.error('metrics cannot be told', { error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      reply(response, 500, 'the metrics cannot be told; the log of the daemon says why\n');
    }
  }
}

/** OpenMetrics for those who ask for it (Prometheus does), else the text format that everybody reads. */
function wanted(accept: string | undefined): Exposition {
  return accept?.includes('application/openmetrics-text') === true ? 'openmetrics' : 'prometheus';
}

function reply(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    Connection: 'close',
  });
  response.end(text);
}
