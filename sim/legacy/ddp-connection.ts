import { randomUUID } from 'node:crypto';
import type { RawData } from 'ws';
import { ERRNO, ValidationErrors } from '../api/contract.ts';
import type { EventHub } from '../server/event-hub.ts';
import type { MethodTable } from '../server/method-table.ts';
import { maySubscribe } from '../server/authorize.ts';
import { checkSize, TooLong } from '../server/message-size.ts';
import { describeException, errnoName, ScriptedError, traceOf } from '../server/python-error.ts';
import { ADMITTED_CALLS, rawText, RUNNING_CALLS, type ConnectionParts } from '../server/rpc-connection.ts';
import { SoftHardSemaphore, TooManyCalls } from '../server/soft-hard-semaphore.ts';

/** ValidationErrors are EAGAIN in this dialect (truenas-api 14). */
const EAGAIN = 11;
const ETOOMANYREFS = 109;
const INVALID_TEXT = 1007;

type Message = Readonly<Record<string, unknown>>;

export interface DdpParts extends ConnectionParts {
  readonly events: EventHub;
  readonly table: MethodTable;
}

/** The older dialect on `/websocket` (truenas-api 14): connect, method, sub, unsub, ping. */
export class DdpConnection {
  readonly #parts: DdpParts;
  readonly #semaphore = new SoftHardSemaphore(RUNNING_CALLS, ADMITTED_CALLS);
  #connected = false;

  constructor(parts: DdpParts) {
    this.#parts = parts;
    parts.socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
  }

  notify(event: Message): void {
    this.#send(event);
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    const { socket, caller } = this.#parts;
    let message: Message;
    try {
      if (isBinary) throw new Error('binary');
      message = checkSize(rawText(data), caller.credentials !== null) as Message;
    } catch (error) {
      if (error instanceof TooLong) socket.close(error.closeCode, error.message);
      else socket.close(INVALID_TEXT, 'Invalid JSON');
      return;
    }
    this.#parts.touch();
    this.#process(message);
  }

  #process(message: Message): void {
    if (message['msg'] === 'connect') {
      if (message['version'] !== '1') {
        this.#send({ msg: 'failed', version: '1' });
        return;
      }
      this.#connected = true;
      this.#send({ msg: 'connected', session: this.#parts.caller.session });
      return;
    }
    if (!this.#connected) {
      this.#send({ msg: 'failed', version: '1' });
      return;
    }
    switch (message['msg']) {
      case 'method':
        void this.#method(message);
        return;
      case 'ping':
        this.#send({ msg: 'pong', ...(message['id'] === undefined ? {} : { id: message['id'] }) });
        return;
      case 'sub':
        this.#subscribe(message);
        return;
      case 'unsub':
        this.#parts.events.unsubscribe(this.#parts.caller, String(message['id']));
        return;
      default:
    }
  }

  #subscribe(message: Message): void {
    const { caller, events, release, table } = this.#parts;
    const id = typeof message['id'] === 'string' ? message['id'] : randomUUID();
    const name = String(message['name']);
    const collection = name.split(':', 1)[0] ?? name;
    if (caller.credentials === null || !maySubscribe(collection, caller.credentials, release, table.get(collection))) {
      const errno = caller.credentials === null ? ERRNO.ENOTAUTHENTICATED : ERRNO.EACCES;
      const reason = caller.credentials === null ? 'Not authenticated' : 'Not authorized';
      this.#send({ msg: 'nosub', id, error: this.#fault(errno, reason) });
      return;
    }
    events.subscribe(caller, name, id);
    this.#send({ msg: 'ready', subs: [id] });
  }

  async #method(message: Message): Promise<void> {
    const { caller, dispatcher, socket } = this.#parts;
    const id = message['id'];
    const name = message['method'];
    if (typeof name !== 'string') {
      this.#fail(id, this.#fault(ERRNO.EINVAL, "Message is malformed: 'method' is absent."));
      return;
    }
    const params = message['params'] ?? [];
    if (!Array.isArray(params)) {
      this.#fail(id, this.#fault(ERRNO.EINVAL, '`params` must be a list.'));
      return;
    }
    const list: readonly unknown[] = params;
    try {
      const outcome = await this.#semaphore.run(() => dispatcher.call(caller, name, list, id));
      if (outcome.kind === 'cut') socket.terminate();
      else if (outcome.kind === 'raw') this.#parts.send(outcome.text);
      else if (outcome.kind === 'result') this.#send({ id, msg: 'result', result: outcome.result ?? null });
      else if (outcome.kind === 'error') this.#fail(id, this.#describe(outcome.error));
      else if (outcome.kind === 'unknown-method') this.#fail(id, this.#unknown(name));
    } catch (error) {
      if (!(error instanceof TooManyCalls)) throw error;
      this.#fail(id, this.#fault(ETOOMANYREFS, `${error.message}.`));
    }
  }

  #unknown(name: string): Message {
    const dot = name.lastIndexOf('.');
    return this.#fault(ERRNO.ENOMETHOD, `[ENOMETHOD] Method '${name.slice(dot + 1)}' not found in '${name.slice(0, Math.max(0, dot))}'`);
  }

  #describe(error: unknown): Message {
    if (error instanceof ScriptedError) {
      const { data, message } = error.wire;
      return this.#fault(data?.error ?? ERRNO.EFAULT, data?.reason ?? message, null, data?.extra ?? null);
    }
    const described = describeException(error);
    const validation = error instanceof ValidationErrors;
    return {
      ...this.#fault(validation ? EAGAIN : described.errno, described.reason, validation ? 'VALIDATION' : null, described.extra),
      trace: traceOf(described, this.#parts.release),
    };
  }

  #fault(errno: number, reason: string, type: string | null = null, extra: unknown = null): Message {
    const errname = errno === EAGAIN ? 'EAGAIN' : errno === ETOOMANYREFS ? 'ETOOMANYREFS' : errnoName(errno);
    return { error: errno, errname, type, reason, trace: null, extra };
  }

  #fail(id: unknown, error: Message): void {
    this.#send({ msg: 'result', id, error });
  }

  #send(message: Message): void {
    this.#parts.send(JSON.stringify(message));
  }
}
