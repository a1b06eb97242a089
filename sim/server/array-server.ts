import type { IncomingMessage, Server } from 'node:http';
import { createServer as createPlain, STATUS_CODES } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Clock } from '../../src/core/ports.ts';
import type { SimRelease } from '../api/contract.ts';
import type { Sessions } from '../auth/sessions.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { DdpConnection } from '../legacy/ddp-connection.ts';
import { pathVersion } from './api-versions.ts';
import { Caller, type Origin } from './caller.ts';
import type { ServerCertificate } from './certificate.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { EventHub } from './event-hub.ts';
import { httpApp, type HttpParts } from './http-app.ts';
import { IdleCut } from './idle-cut.ts';
import type { MethodTable } from './method-table.ts';
import { RpcConnection } from './rpc-connection.ts';

/** aiohttp's frame cap (truenas-api 2). */
const MAX_FRAME = 4 * 1024 * 1024;

export interface ServerParts {
  readonly release: SimRelease;
  readonly clock: Clock;
  readonly certificate: ServerCertificate;
  readonly dispatcher: Dispatcher;
  readonly sessions: Sessions;
  readonly events: EventHub;
  readonly table: MethodTable;
  readonly faults: FaultPlan;
  readonly bootId: string;
  readonly http: Omit<HttpParts, 'release' | 'dispatcher' | 'faults' | 'bootId' | 'origin'>;
  /** Plain connections from loopback count as secure, as on TrueNAS; otherwise they burn keys (truenas-api 3.1). */
  readonly loopbackIsSecure: boolean;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The listening side: TLS and, on demand, plain; WebSocket dialects, REST and the small GETs. */
export class ArrayServer {
  readonly #parts: ServerParts;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #webSockets = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME, perMessageDeflate: false });

  constructor(parts: ServerParts) {
    this.#parts = parts;
  }

  /** Listens; answers the address with the port that the system chose for 0. Errors: those of listen(2). */
  async listen(address: Address, tls: boolean): Promise<Address> {
    const { certificate, release, dispatcher, faults, bootId, http } = this.#parts;
    const origin = (request: IncomingMessage): Origin => this.#origin(request, tls);
    const app = httpApp({ ...http, release, dispatcher, faults, bootId, origin });
    const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
    const onRequest = (request: IncomingMessage, response: Parameters<typeof listener>[1]): void => {
      void listener(request, response);
    };
    const server = tls ? createTls({ cert: certificate.certPem, key: certificate.keyPem }, onRequest) : createPlain(onRequest);
    server.on('connection', (socket: Socket) => this.#track(socket));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head, tls));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: address.host, port: address.port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.#servers.push(server);
    const bound = server.address() as AddressInfo;
    return { host: address.host, port: bound.port };
  }

  /** Closes all listeners and connections. */
  async stop(): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const client of this.#webSockets.clients) client.terminate();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #origin(request: IncomingMessage, tls: boolean): Origin {
    const address = request.socket.remoteAddress ?? '';
    const loopback = /^(?:::ffff:)?127\.|^::1$/.test(address);
    return { address, port: request.socket.remotePort ?? 0, secure: tls || (loopback && this.#parts.loopbackIsSecure) };
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, tls: boolean): void {
    const path = new URL(request.url ?? '/', 'http://simulator').pathname;
    const faults = this.#parts.faults.take('connect', false);
    const struck = faults.map((fault) => fault.fault);
    if (struck.includes('mute')) return;
    if (struck.includes('cut-before') || struck.includes('cut-after')) {
      socket.destroy();
      return;
    }
    const status = faults.find((fault) => fault.fault === 'http-status');
    if (status !== undefined) {
      const retry = status.retryAfter === undefined ? '' : `Retry-After: ${status.retryAfter}\r\n`;
      const phrase = STATUS_CODES[status.status] ?? '';
      socket.end(`HTTP/1.1 ${status.status} ${phrase}\r\n${retry}Connection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const raw = faults.find((fault) => fault.fault === 'raw');
    if (raw !== undefined) {
      socket.end(raw.text.repeat(raw.repeat));
      return;
    }
    const segment = /^\/api\/(current|v\d+\.\d+(?:\.\d+)?)\/?$/.exec(path)?.[1];
    const version = segment === undefined ? undefined : pathVersion(this.#parts.release, segment);
    const legacy = path === '/websocket' || path === '/websocket/';
    if (!legacy && version === undefined) {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (client) => {
      this.#serve(client, this.#origin(request, tls), legacy, version ?? null);
    });
  }

  #serve(socket: WebSocket, origin: Origin, legacy: boolean, apiVersion: string | null): void {
    const { release, clock, dispatcher, sessions, events, table } = this.#parts;
    const idle = new IdleCut(clock, release, () => socket.terminate());
    const send = (text: string): void => {
      if (socket.readyState !== socket.OPEN) return;
      idle.sent();
      socket.send(text);
    };
    const caller: Caller = new Caller(legacy ? 'ddp' : 'rpc', origin, legacy ? null : apiVersion, {
      notify: (event) => connection.notify(event),
      close: (code, reason) => socket.close(code, reason),
    });
    const parts = { socket, caller, dispatcher, release, send, touch: () => sessions.touch(caller) };
    const connection = legacy ? new DdpConnection({ ...parts, events, table }) : new RpcConnection(parts);
    // The library answers pings by itself; the pong is something sent.
    socket.on('ping', () => idle.sent());
    socket.on('error', () => socket.terminate());
    socket.once('close', () => {
      idle.stop();
      events.forget(caller);
      sessions.logout(caller);
      caller.abort.abort(new Error('connection closed'));
    });
  }
}
