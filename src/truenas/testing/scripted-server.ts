import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { SERVER_CERTIFICATE, SERVER_KEY } from './certificates.ts';

export interface ReceivedCall {
  readonly id: number;
  readonly method: string;
  readonly params: readonly unknown[];
  readonly socket: WebSocket;
}

/** What to do with a call; `undefined` is answered as JSON null; NO_ANSWER leaves it open. */
export type Handler = (call: ReceivedCall) => unknown;
export const NO_ANSWER = Symbol('no answer');

/** An error answer with the given members. */
export class Answered extends Error {
  readonly error: Record<string, unknown>;
  constructor(error: Record<string, unknown>) {
    super('scripted error');
    this.error = error;
  }
}

/** middlewared's CallError. */
export function callError(errno: number, errname: string, text: string, trace = ''): Answered {
  const data = { error: errno, errname, reason: `[${errname}] ${text}`, trace: { class: 'CallError', formatted: trace }, extra: null };
  return new Answered({ code: -32001, message: 'Method call error', data });
}

/** middlewared's ValidationErrors. */
export function validationErrors(...items: readonly [string | null, string, number][]): Answered {
  const reason = items.map(([attribute, text]) => `[EINVAL] ${attribute ?? 'None'}: ${text}\n`).join('');
  return new Answered({ code: -32602, message: 'Invalid params', data: { error: 22, errname: 'EINVAL', reason, extra: items } });
}

function text(data: RawData): string {
  return Buffer.isBuffer(data) ? data.toString('utf8') : '';
}

/** A TrueNAS that does exactly what a test says, over real TLS on loopback, or without it. Logs in whoever asks unless told otherwise. */
export class ScriptedServer {
  readonly calls: ReceivedCall[] = [];
  readonly sockets = new Set<WebSocket>();
  versions: unknown = ['v25.04.2', 'v25.10.0', 'v25.10.5'];
  versionsStatus = 200;
  /** Headers of the answer to GET /api/versions. */
  versionsHeaders: Readonly<Record<string, string>> = {};
  /** GET /api/versions is taken and never answered. */
  muteVersions = false;
  /** Refuses WebSockets with this status and these headers. */
  upgradeRefusal: { readonly status: number; readonly headers: Record<string, string> } | null = null;
  requests = 0;
  pings = 0;
  answerPings = true;
  readonly handlers = new Map<string, Handler>([
    ['auth.login_ex', () => ({ response_type: 'SUCCESS', user_info: { pw_name: 'pve' }, authenticator: 'LEVEL_1' })],
    ['system.version', () => 'TrueNAS-25.10.6'],
    ['core.subscribe', () => 'c0ffee'],
  ]);
  readonly #http: Server;
  readonly #ws: WebSocketServer;

  constructor(scheme: 'wss' | 'ws' = 'wss') {
    const answer: RequestListener = (request, response) => {
      this.requests += 1;
      if (this.muteVersions) return;
      for (const [name, value] of Object.entries(this.versionsHeaders)) response.setHeader(name, value);
      response.statusCode = request.url === '/api/versions' ? this.versionsStatus : 404;
      response.end(typeof this.versions === 'string' ? this.versions : JSON.stringify(this.versions));
    };
    this.#http = scheme === 'wss' ? createServer({ key: SERVER_KEY, cert: SERVER_CERTIFICATE }, answer) : createPlainServer(answer);
    this.#http.on('tlsClientError', () => undefined);
    const verifyClient = (
      _info: unknown,
      admit: (yes: boolean, code?: number, text?: string, headers?: Record<string, string>) => void,
    ) => {
      if (this.upgradeRefusal === null) admit(true);
      else admit(false, this.upgradeRefusal.status, '', this.upgradeRefusal.headers);
    };
    this.#ws = new WebSocketServer({ server: this.#http, autoPong: false, verifyClient });
    this.#ws.on('connection', (socket) => this.#serve(socket));
  }

  /** Listens on loopback; returns the port. */
  async listen(host = '127.0.0.1'): Promise<number> {
    await new Promise<void>((resolve) => {
      this.#http.listen(0, host, resolve);
    });
    return (this.#http.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  on(method: string, handler: Handler): void {
    this.handlers.set(method, handler);
  }

  count(method: string): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  /** Sends a notification to everybody. */
  notify(method: string, params: unknown): void {
    for (const socket of this.sockets) socket.send(JSON.stringify({ jsonrpc: '2.0', method, params }));
  }

  #serve(socket: WebSocket): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('ping', (data: Buffer) => {
      this.pings += 1;
      if (this.answerPings) socket.pong(data);
    });
    socket.on('message', (data) => {
      const { id, method, params } = JSON.parse(text(data)) as { id: number; method: string; params: unknown[] };
      const call = { id, method, params, socket };
      this.calls.push(call);
      void this.#answer(call);
    });
  }

  async #answer(call: ReceivedCall): Promise<void> {
    const { id, method, socket } = call;
    const handler = this.handlers.get(method);
    if (handler === undefined) {
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method does not exist' } }));
      return;
    }
    try {
      const result = await handler(call);
      if (result !== NO_ANSWER) socket.send(JSON.stringify({ jsonrpc: '2.0', id, result: result ?? null }));
    } catch (error) {
      if (!(error instanceof Answered)) throw error;
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, error: error.error }));
    }
  }
}
