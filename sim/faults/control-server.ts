import { chmodSync, existsSync, statSync, unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import * as z from 'zod';
import { controlRequest, MAX_CONTROL_LINE, type ControlRequest } from './control-protocol.ts';

/** The control socket (0600): JSON lines in, JSON lines out. Garbage gets an error answer. */
export class ControlServer {
  readonly #path: string;
  readonly #run: (request: ControlRequest) => Promise<unknown>;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;

  constructor(path: string, run: (request: ControlRequest) => Promise<unknown>) {
    this.#path = path;
    this.#run = run;
  }

  /** Errors: those of bind(2); a dead socket file of an earlier run is replaced, any other file is left alone. */
  async listen(): Promise<void> {
    if (existsSync(this.#path) && statSync(this.#path).isSocket()) unlinkSync(this.#path);
    const server = createServer((socket) => this.#serve(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#path, () => {
        server.off('error', reject);
        resolve();
      });
    });
    chmodSync(this.#path, 0o600);
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setEncoding('utf8');
    let buffer = '';
    socket.on('data', (chunk: string) => {
      buffer += chunk;
      const lines = buffer.split('\n');
      buffer = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') void this.#answer(socket, line);
      if (buffer.length > MAX_CONTROL_LINE) {
        socket.end(`${JSON.stringify({ ok: false, error: `line longer than ${MAX_CONTROL_LINE} bytes` })}\n`);
        buffer = '';
      }
    });
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    let answer: unknown;
    try {
      answer = { ok: true, result: (await this.#run(parse(line))) ?? null };
    } catch (error) {
      answer = { ok: false, error: error instanceof Error ? error.message : String(error) };
    }
    if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`);
  }
}

function parse(line: string): ControlRequest {
  let data: unknown;
  try {
    data = JSON.parse(line);
  } catch {
    throw new Error('not a JSON object');
  }
  const parsed = controlRequest.safeParse(data);
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
  return parsed.data;
}
