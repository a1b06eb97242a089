import { WebSocket } from 'ws';
import type { Simulator } from './launch.ts';

export interface Reply {
  readonly result?: unknown;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data?: { readonly error: number; readonly reason: string; readonly extra: unknown };
  };
  readonly id?: unknown;
}

/** A bare connection for the simulator's own tests: no behaviour of the product's client is shared. */
export class TestingClient {
  readonly socket: WebSocket;
  readonly events: unknown[] = [];
  readonly #waiting = new Map<unknown, (reply: Reply) => void>();
  readonly #stray: ((reply: Reply) => void)[] = [];
  #nextId = 1;
  readonly closed: Promise<{ code: number; reason: string }>;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8')) as Reply & { readonly method?: string };
      if (message.method !== undefined) this.events.push(message);
      else if (!this.#settle(message)) this.#stray.shift()?.(message);
    });
    this.closed = new Promise((resolve) => socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })));
  }

  #settle(reply: Reply): boolean {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    waiting?.(reply);
    return waiting !== undefined;
  }

  static async open(simulator: Pick<Simulator, 'url' | 'ca'>, url = simulator.url): Promise<TestingClient> {
    const socket = new WebSocket(url, { ca: simulator.ca });
    const client = new TestingClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    socket.on('error', () => undefined);
    return client;
  }

  call(method: string, ...params: readonly unknown[]): Promise<Reply> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }

  /** Sends text as it is; the answer that belongs to no call. */
  raw(text: string): Promise<Reply> {
    return new Promise((resolve) => {
      this.#stray.push(resolve);
      this.socket.send(text);
    });
  }

  login(simulator: Simulator, apiKey = simulator.apiKey, username = simulator.username): Promise<Reply> {
    return this.call('auth.login_ex', { mechanism: 'API_KEY_PLAIN', username, api_key: apiKey });
  }
}
