import { createServer, type Server, type Socket } from 'node:net';
import { LINE_TIMEOUT_MS, MAX_LINE_BYTES } from '../protocol/envelope.ts';
import type { Clock, Log } from '../core/ports.ts';

/** ms for which a daemon that ends waits for a client that connected and said nothing, or takes no answer. */
const SILENCE_MS = 2_000;

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
  /** Clients that have not ended their first line yet. */
  readonly #silent = new Set<Socket>();
  readonly #onChange = new Set<() => void>();
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

  /**
   * Ends in order: goes on serving until nothing is under way, for at most `patienceMs`, so that calls need not queue behind a long one;
   * then takes no new clients (they queue at the socket, where the next daemon finds them) and resolves when all that it took have been
   * answered. A client that has said nothing yet is waited for, too: PVE's say at once what they want.
   */
  async drain(patienceMs: number): Promise<void> {
    const until = this.#clock.monotonic() + patienceMs;
    while (!this.#quiet && this.#clock.monotonic() < until) await this.#change(until - this.#clock.monotonic());
    this.#server.close();
    const hush = this.#clock.monotonic() + SILENCE_MS;
    while (this.#working.size > 0 || (!this.#quiet && this.#clock.monotonic() < hush)) {
      await this.#change(this.#working.size > 0 ? LINE_TIMEOUT_MS : hush - this.#clock.monotonic());
    }
    await Promise.all([...this.#clients.keys()].map((socket) => this.#flush(socket)));
  }

  /** No call is under way, and no client is about to make one. */
  get #quiet(): boolean {
    return this.#working.size === 0 && this.#silent.size === 0;
  }

  /** Resolves when a call has ended or a client has gone, or after `ms`. */
  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#onChange.delete(done);
        resolve();
      };
      const cancel = this.#clock.after(Math.max(ms, 0), done);
      this.#onChange.add(done);
    });
  }

  #changed(): void {
    for (const listener of [...this.#onChange]) listener();
  }

  /** Ends a connection; resolves when the kernel has all that was written, or the client does not take it. */
  #flush(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(SILENCE_MS, resolve);
      socket.end(() => {
        cancel();
        resolve();
      });
    });
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
    this.#silent.add(socket);
    let parts: Buffer[] = [];
    let held = 0;
    let stopTimer: (() => void) | null = null;
    const forget = (): void => {
      stopTimer?.();
      this.#clients.delete(socket);
      this.#silent.delete(socket);
      this.#changed();
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
    this.#silent.delete(socket);
    this.#pendingBySocket.set(socket, (this.#pendingBySocket.get(socket) ?? 0) + 1);
    const work = this.#handle(line, signal)
      .then((answer) => {
        if (answer !== null && socket.writable) socket.write(`${answer}\n`);
      })
      .catch((error: unknown) => this.#log.error('a call failed without an answer', { error: String(error) }))
      .finally(() => {
        this.#working.delete(work);
        this.#changed();
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
