import { createServer, type Server, type Socket } from 'node:net';
import { LINE_TIMEOUT_MS, MAX_LINE_BYTES } from '../protocol/envelope.ts';
import type { Clock, Log } from '../core/ports.ts';

/** Answers one line (without its newline). `signal` aborts when the client is gone. Null: nothing to answer. */
export type LineHandler = (line: string, signal: AbortSignal) => Promise<string | null>;

/** Answer to a line that is too long; the connection is closed after it. */
export type OverlongAnswer = () => string;

/**
 * Lines in, lines out, on a Unix socket. Every client is served on its own; one that never ends its line, sends too
 * much or goes away concerns nobody else (F-042). Answers of one connection may overtake each other: they carry ids.
 */
export class LineServer {
  readonly #server: Server;
  readonly #clients = new Map<Socket, AbortController>();
  readonly #working = new Set<Promise<void>>();
  readonly #handle: LineHandler;
  readonly #overlong: OverlongAnswer;
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(handle: LineHandler, overlong: OverlongAnswer, clock: Clock, log: Log) {
    this.#handle = handle;
    this.#overlong = overlong;
    this.#clock = clock;
    this.#log = log;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /** Listens on a path or on a descriptor handed over by systemd. The backlog is deep: a burst of PVE workers must not wait (F-046). */
  listen(where: { path: string } | { fd: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ ...where, backlog: 511 }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#log.error('socket error', { error: error.message }));
        resolve();
      });
    });
  }

  /** Calls under way. */
  get working(): number {
    return this.#working.size;
  }

  /** Takes no new clients and resolves when the calls under way have been answered. */
  async drain(): Promise<void> {
    this.#server.close();
    while (this.#working.size > 0) await Promise.allSettled([...this.#working]);
    for (const socket of this.#clients.keys()) socket.end();
  }

  /** Ends every connection; calls under way see their signal abort. */
  cut(reason: Error): void {
    for (const [socket, controller] of this.#clients) {
      controller.abort(reason);
      socket.destroy();
    }
  }

  #accept(socket: Socket): void {
    const gone = new AbortController();
    this.#clients.set(socket, gone);
    let parts: Buffer[] = [];
    let held = 0;
    let stopTimer: (() => void) | null = null;
    const forget = (): void => {
      stopTimer?.();
      this.#clients.delete(socket);
      gone.abort(new Error('the client closed the connection'));
    };
    socket.on('close', forget);
    socket.on('error', (error) => this.#log.debug('client connection failed', { error: error.message }));
    // A client may close its writing half after the request and still wait for the answer; one that is gone altogether looks
    // the same until something is written to it. A space is valid before any JSON text, and to one that is gone it fails (EPIPE).
    socket.on('end', () => {
      if (held > 0) socket.destroy();
      else if (this.#pendingBySocket.has(socket)) socket.write(' ');
      else socket.end();
    });
    socket.on('data', (chunk: Buffer) => {
      let rest = chunk;
      for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
        parts.push(rest.subarray(0, at));
        if (held + at > MAX_LINE_BYTES) break;
        const line = Buffer.concat(parts).toString('utf8');
        parts = [];
        held = 0;
        rest = rest.subarray(at + 1);
        stopTimer?.();
        stopTimer = null;
        if (line.trim() !== '') this.#answer(socket, line, gone.signal);
      }
      held += rest.length;
      if (held > MAX_LINE_BYTES) {
        parts = [];
        socket.pause();
        socket.end(`${this.#overlong()}\n`, () => socket.destroy());
        return;
      }
      if (rest.length > 0) {
        parts.push(rest);
        stopTimer ??= this.#clock.after(LINE_TIMEOUT_MS, () => socket.destroy());
      }
    });
  }

  readonly #pendingBySocket = new Map<Socket, number>();

  #answer(socket: Socket, line: string, signal: AbortSignal): void {
    this.#pendingBySocket.set(socket, (this.#pendingBySocket.get(socket) ?? 0) + 1);
    const work = this.#handle(line, signal)
      .then((answer) => {
        if (answer !== null && socket.writable) socket.write(`${answer}\n`);
      })
      .catch((error: unknown) => this.#log.error('a call failed without an answer', { error: String(error) }))
      .finally(() => {
        this.#working.delete(work);
        const left = (this.#pendingBySocket.get(socket) ?? 1) - 1;
        if (left > 0) this.#pendingBySocket.set(socket, left);
        else {
          this.#pendingBySocket.delete(socket);
          if (socket.readableEnded) socket.end();
        }
      });
    this.#working.add(work);
  }
}
