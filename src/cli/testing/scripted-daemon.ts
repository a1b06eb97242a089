import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import type { Clock } from '../../core/ports.ts';
import type { CliIo } from '../io.ts';
import { run } from '../program.ts';

/** Time stands still until a test says that all waits are over. */
export function stoppedClock(): Clock & { expire(): void } {
  const waits = new Set<() => void>();
  return {
    now: () => 0,
    monotonic: () => 0,
    sleep: () => new Promise(() => undefined),
    after: (_ms, done) => {
      waits.add(done);
      return () => waits.delete(done);
    },
    expire: () => {
      for (const done of waits) done();
    },
  };
}

const requestShape = z.object({ jsonrpc: z.literal('2.0'), id: z.number(), method: z.string(), params: z.record(z.string(), z.unknown()) });
type Request = z.infer<typeof requestShape>;

export interface Outcome {
  exit: number;
  out: string;
  err: string;
}

/** A daemon that follows a script, and the command line that asks it. Call `begin` before and `end` after each test. */
export class ScriptedDaemon {
  /** A directory of the test's own. */
  folder = '';
  socketPath = '';
  /** What was asked. */
  requests: Request[] = [];
  #server: Server | null = null;
  readonly #connections = new Set<Socket>();

  async begin(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'cli-'));
    this.socketPath = join(this.folder, 'd.sock');
    this.requests = [];
  }

  async end(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    this.#connections.clear();
    const server = this.#server;
    await new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())));
    this.#server = null;
    await rm(this.folder, { recursive: true });
  }

  /** What it does with the request it got. */
  readonly daemon = async (script: (socket: Socket, request: Request) => void): Promise<void> => {
    const server = createServer((socket) => {
      this.#connections.add(socket);
      let text = '';
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
        if (!text.endsWith('\n')) return;
        const request = requestShape.parse(JSON.parse(text));
        this.requests.push(request);
        script(socket, request);
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.socketPath, resolve));
  };

  /** A daemon with this result. */
  readonly answering = (result: unknown): Promise<void> =>
    this.daemon((socket, { id }) => void socket.end(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`));

  readonly saying = (bytes: string): Promise<void> => this.daemon((socket) => void socket.end(bytes));

  readonly cli = async (argv: readonly string[], more: Partial<CliIo> = {}): Promise<Outcome> => {
    let out = '';
    let err = '';
    const io: CliIo = {
      out: (text) => void (out += text),
      err: (text) => void (err += text),
      isTerminal: false,
      env: { PVE_TRUENAS_SOCKET: this.socketPath },
      clock: stoppedClock(),
      ...more,
    };
    const exit = await run(argv, io);
    return { exit, out, err };
  };
}
