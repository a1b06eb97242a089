import type { RawData, WebSocket } from 'ws';
import type { SimRelease } from '../api/contract.ts';
import type { Caller } from './caller.ts';
import type { Dispatcher, Outcome } from './dispatcher.ts';
import { checkSize, TooLong } from './message-size.ts';
import { RPC, wireError, type WireError } from './python-error.ts';
import { SoftHardSemaphore, TooManyCalls } from './soft-hard-semaphore.ts';

export const RUNNING_CALLS = 10;
export const ADMITTED_CALLS = 20;
const UNSUPPORTED_DATA = 1003;
const INTERNAL_ERROR = 1011;

/** What a dialect needs of its connection. */
export interface ConnectionParts {
  readonly socket: WebSocket;
  readonly caller: Caller;
  readonly dispatcher: Dispatcher;
  readonly release: SimRelease;
  /** Sends a text frame while the connection is open. */
  send(text: string): void;
  /** Run for every message, before it is looked at: notices expired sessions. */
  touch(): void;
}

/** JSON-RPC 2.0 over WebSocket as middlewared frames it (truenas-api 2). */
export class RpcConnection {
  readonly #parts: ConnectionParts;
  readonly #semaphore = new SoftHardSemaphore(RUNNING_CALLS, ADMITTED_CALLS);

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    parts.socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
  }

  /** `collection_update` of an event. */
  notify(event: Readonly<Record<string, unknown>>): void {
    this.#send({ jsonrpc: '2.0', method: 'collection_update', params: event });
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    const { socket, caller } = this.#parts;
    if (isBinary) {
      socket.close(UNSUPPORTED_DATA, 'Invalid websocket message type: BINARY');
      return;
    }
    let message: unknown;
    try {
      message = checkSize(rawText(data), caller.credentials !== null);
    } catch (error) {
      if (error instanceof TooLong) socket.close(error.closeCode, error.message);
      else this.#error(null, { code: RPC.invalidJson, message: error instanceof Error ? error.message : String(error) });
      return;
    }
    this.#parts.touch();
    this.#process(message).catch((error: unknown) => {
      socket.close(INTERNAL_ERROR, (error instanceof Error ? error.message : String(error)).slice(0, 100));
    });
  }

  async #process(message: unknown): Promise<void> {
    const request = message as Readonly<Record<string, unknown>>;
    const id = Object.hasOwn(request, 'id') ? request['id'] : undefined;
    const fault = invalidRequest(request);
    if (fault !== null) {
      // Also where the id itself is unusable it is handed back, as TrueNAS does.
      if (id !== undefined) this.#error(id, { code: RPC.invalidRequest, message: fault });
      return;
    }
    const params: readonly unknown[] = Array.isArray(request['params']) ? request['params'] : [];
    const { caller, dispatcher } = this.#parts;
    const name = String(request['method']);
    let outcome: Outcome;
    try {
      outcome = await this.#semaphore.run(() => dispatcher.call(caller, name, params, id));
    } catch (error) {
      if (!(error instanceof TooManyCalls)) throw error;
      if (id !== undefined) this.#error(id, { code: RPC.tooManyCalls, message: error.message });
      return;
    }
    this.#answer(id, outcome);
  }

  #answer(id: unknown, outcome: Outcome): void {
    switch (outcome.kind) {
      case 'cut':
        this.#parts.socket.terminate();
        return;
      case 'silence':
        return;
      case 'raw':
        this.#parts.send(outcome.text);
        return;
      case 'unknown-method':
        if (id !== undefined) this.#error(id, { code: RPC.methodNotFound, message: 'Method does not exist' });
        return;
      case 'error':
        if (id !== undefined) this.#error(id, wireError(outcome.error, this.#parts.release));
        return;
      case 'result':
        if (id !== undefined) this.#send({ jsonrpc: '2.0', result: outcome.result ?? null, id });
    }
  }

  #error(id: unknown, error: WireError): void {
    this.#send({ jsonrpc: '2.0', error, id });
  }

  #send(message: unknown): void {
    this.#parts.send(JSON.stringify(message));
  }
}

/** A text frame's characters. */
export function rawText(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return (data instanceof ArrayBuffer ? Buffer.from(data) : data).toString('utf8');
}

function invalidRequest(request: Readonly<Record<string, unknown>>): string | null {
  if (!Object.hasOwn(request, 'jsonrpc')) return "Missing 'jsonrpc' member";
  if (request['jsonrpc'] !== '2.0') return "'jsonrpc' member must be of type string and must be exactly '2.0'";
  const id = request['id'];
  const goodId = id === undefined || id === null || typeof id === 'string' || typeof id === 'boolean' || Number.isInteger(id);
  if (!goodId) return "'id' member must be of type null, string or number";
  if (!Object.hasOwn(request, 'method')) return "Missing 'method' member";
  if (typeof request['method'] !== 'string' || request['method'] === '') return "'method' member must be of type string";
  if (Object.hasOwn(request, 'params') && !Array.isArray(request['params'])) return "'params' member must be of type array";
  return null;
}
