import PQueue from 'p-queue';
import { formatDuration } from '../core/durations.ts';
import { NotSentError, StorageError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { Heartbeat } from './heartbeat.ts';
import { PendingCalls } from './pending-calls.ts';
import type { ApiSocket, SocketListener } from './socket.ts';
import type { Vitals } from './vitals.ts';
import { parseIncoming } from './wire/envelope.ts';
import type { ApiRequest } from './wire/request.ts';

/** truenas-api 2: 10 calls of a connection run, 20 are admitted, the 21st is refused. */
const CONCURRENCY = 8;
/** Calls given up on that the server may still run; with as many more of ours we stay below its 20. */
const MAX_ABANDONED = 8;
/** truenas-api 2: characters of a request before and after login; more closes the socket. */
const MAX_REQUEST = { anonymous: 8192, loggedIn: 65_536 };
/** ms for which fewer calls are sent at once after TrueNAS refused one for their number. */
const FEWER_MS = 30_000;

export interface ConnectionEvents {
  /** A notification of the server, e.g. `collection_update`. */
  onNotification(method: string, params: unknown): void;
  /** Called once; the connection is of no use any more. */
  onClosed(reason: StorageError): void;
}

/** One open connection: correlates calls and answers, keeps the server's limits, notices a dead peer. Knows nothing of logins. */
export class Connection implements SocketListener {
  readonly #clock: Clock;
  readonly #events: ConnectionEvents;
  readonly #vitals: Vitals;
  readonly #calls: PendingCalls;
  readonly #heartbeat: Heartbeat;
  readonly #queue = new PQueue({ concurrency: CONCURRENCY });
  #socket: ApiSocket | null = null;
  #closed: StorageError | null = null;
  #retired = false;
  #loggedIn = false;
  #restoreConcurrency: () => void = () => undefined;

  constructor(clock: Clock, events: ConnectionEvents, vitals: Vitals) {
    this.#clock = clock;
    this.#events = events;
    this.#vitals = vitals;
    this.#calls = new PendingCalls(clock, (request, outcome, ms, bytes) => vitals.settled(request, outcome, ms, bytes));
    this.#heartbeat = new Heartbeat({
      clock,
      ping: () => this.#socket?.ping(),
      received: () => this.#socket?.received() ?? 0,
      waiting: () => this.#calls.size > 0,
      onDead: (silent) => this.#fail(unheard(silent)),
    });
  }

  /** Takes over an open socket whose listener is this connection. */
  attach(socket: ApiSocket): void {
    this.#socket = socket;
    this.#heartbeat.start();
  }

  /** From now on the larger size limit counts. */
  markLoggedIn(): void {
    this.#loggedIn = true;
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  /** Null as long as the connection can be used. */
  get closedBecause(): StorageError | null {
    return this.#closed;
  }

  /**
   * Makes one call and returns its raw result. Ends as NotSentError, RefusedError or OutcomeUnknownError, whatever the method.
   * Errors besides those of error-map.ts: REQUEST_TOO_LARGE, CALL_NOT_SENT, OUTCOME_UNKNOWN.
   */
  async call(request: ApiRequest<unknown>, deadline: Deadline): Promise<unknown> {
    const frame = (id: number): string => JSON.stringify({ jsonrpc: '2.0', id, method: request.method, params: request.params });
    const limit = this.#loggedIn ? MAX_REQUEST.loggedIn : MAX_REQUEST.anonymous;
    const size = frame(Number.MAX_SAFE_INTEGER).length;
    if (size > limit) {
      throw new NotSentError('REQUEST_TOO_LARGE', `${request.what}: the request has ${size} characters, TrueNAS takes ${limit}`);
    }
    try {
      return await this.#inTurn(request, deadline, () => this.#calls.start(request, deadline.signal, (id) => this.#send(frame(id))));
    } catch (error) {
      if (error instanceof NotSentError && error.code === 'TOO_MANY_CALLS') this.#sendFewer();
      throw error;
    } finally {
      this.#afterCall();
    }
  }

  /** TrueNAS counts more calls of ours than we do, for example some that were given up: half as many at once for a while. */
  #sendFewer(): void {
    this.#queue.concurrency = Math.max(1, Math.floor(this.#queue.concurrency / 2));
    this.#restoreConcurrency();
    this.#restoreConcurrency = this.#clock.after(FEWER_MS, () => {
      this.#queue.concurrency = CONCURRENCY;
    });
  }

  /** Waits for one of the slots; a call whose time runs out before that was not sent. */
  #inTurn(request: ApiRequest<unknown>, deadline: Deadline, work: () => Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let started = false;
      const onAbort = (): void => {
        if (started) return;
        const message = `${request.what}: no time was left to send it, ${this.#calls.size} calls are under way`;
        reject(new NotSentError('CALL_NOT_SENT', message, { cause: deadline.signal.reason }));
      };
      deadline.signal.addEventListener('abort', onAbort, { once: true });
      const run = async (): Promise<void> => {
        deadline.signal.removeEventListener('abort', onAbort);
        started = true;
        await work().then(resolve, reject);
      };
      // Changes are what somebody waits for; reads may be a refresh.
      this.#queue.add(run, { priority: request.effect === 'change' ? 1 : 0 }).catch(reject);
    });
  }

  #send(text: string): boolean {
    if (this.#closed !== null || this.#socket === null || !this.#socket.send(text)) return false;
    this.#vitals.sent(Buffer.byteLength(text));
    this.#heartbeat.expect();
    return true;
  }

  #afterCall(): void {
    if (this.#calls.abandoned >= MAX_ABANDONED) {
      this.#fail(new StorageError('ARRAY_UNREACHABLE', `TrueNAS left ${this.#calls.abandoned} calls unanswered`));
    } else if (this.#retired && this.#calls.size === 0 && this.#queue.size === 0) {
      this.#socket?.close();
    }
  }

  /** Takes no part in anything new: calls under way may end, then it closes. */
  retire(): void {
    this.#retired = true;
    this.#afterCall();
  }

  /** Cuts it now; calls under way end with an unknown outcome. */
  abort(reason: StorageError): void {
    this.#fail(reason);
  }

  onAlive(): void {
    this.#heartbeat.alive();
    if (this.#loggedIn) this.#vitals.heard();
  }

  onText(text: string, bytes: number): void {
    this.#vitals.received(bytes);
    const message = parseIncoming(text);
    switch (message.kind) {
      case 'result':
        this.#calls.result(message.id, message.result, bytes);
        return;
      case 'error':
        if (message.id !== null) this.#calls.error(message.id, message.error);
        else this.#fail(new StorageError('ARRAY_PROTOCOL', `TrueNAS did not understand a request (${message.error.code})`));
        return;
      case 'notification':
        this.#events.onNotification(message.method, message.params);
        return;
      case 'garbage':
        // No way to tell whose answer it was: nothing on this connection can be relied on.
        this.#fail(new StorageError('ARRAY_PROTOCOL', `TrueNAS sent something that is no JSON-RPC: ${message.reason}`));
        return;
    }
  }

  onClose(reason: StorageError): void {
    this.#fail(reason);
  }

  #fail(reason: StorageError): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    this.#heartbeat.stop();
    this.#restoreConcurrency();
    this.#socket?.terminate();
    this.#calls.connectionLost(reason);
    this.#events.onClosed(reason);
  }
}

function unheard(ms: number): StorageError {
  return new StorageError('ARRAY_UNREACHABLE', `TrueNAS gave no sign of life for ${formatDuration(ms)}`, {
    causes: ['TrueNAS is down or rebooting', 'the network between this node and TrueNAS is interrupted'],
  });
}
