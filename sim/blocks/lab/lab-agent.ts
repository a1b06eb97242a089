import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';

/** The virtio ports of one VM; a script runs on one of them at a time. */
const PORTS = 3;
/** s; more than a script is given, so that the agent's own end of it is heard first */
const GRACE = 30;

export interface ScriptResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  /** exit status; 124 when the agent ended it after its time, 128 + n when signal n did */
  readonly status: number;
}

export interface ScriptOptions {
  /** whole seconds until the agent kills the script's process group; default 60 */
  readonly seconds?: number;
  readonly stdin?: Buffer | string;
  readonly signal?: AbortSignal;
}

interface Frame {
  readonly kind: string;
  readonly token: string;
  readonly value: number;
}

/**
 * Runs bash scripts as root in a VM of the lab, over its virtio-serial ports (test/lab/README.md has the protocol). Scripts queue for a
 * free port; three run at once. A cancelled one goes on in the VM until its seconds are over, and keeps its port until then.
 */
export class LabAgent {
  private readonly directory: string;
  private readonly free: number[] = [];
  private readonly waiting: ((port: number) => void)[] = [];
  private next = 0;

  /** `directory`: of the running VM, with `lab0.sock` and so on. `ports`: which of 0 to 2 may be used; default all. */
  constructor(directory: string, ports: readonly number[] = Array.from({ length: PORTS }, (_, port) => port)) {
    this.directory = directory;
    this.free.push(...ports);
  }

  /** The script's own output and exit status. Errors: Error when the VM cannot be reached or closes the connection. */
  async run(script: string, options: ScriptOptions = {}): Promise<ScriptResult> {
    const port = this.free.shift() ?? (await new Promise<number>((resolve) => this.waiting.push(resolve)));
    try {
      options.signal?.throwIfAborted();
      return await this.exchange(port, script, options);
    } finally {
      const following = this.waiting.shift();
      if (following === undefined) this.free.push(port);
      else following(port);
    }
  }

  private exchange(port: number, script: string, options: ScriptOptions): Promise<ScriptResult> {
    const seconds = options.seconds ?? 60;
    // with the time, by which the agent sets the VM's clock
    const token = `${process.pid}-${(this.next += 1)}@${(Date.now() / 1000).toFixed(3)}`;
    // lengths are in bytes
    const text = Buffer.from(script);
    const input = Buffer.from(options.stdin ?? '');
    const path = join(this.directory, `lab${port}.sock`);
    const socket = createConnection(path);
    return new Promise<ScriptResult>((resolve, reject) => {
      const over = (): void => {
        clearTimeout(limit);
        options.signal?.removeEventListener('abort', aborted);
      };
      const fail = (error: Error): void => {
        over();
        socket.destroy();
        reject(error);
      };
      const aborted = (): void => fail(new Error(`no answer from the VM at ${path}`, { cause: options.signal?.reason }));
      // not AbortSignal.timeout() below AbortSignal.any(): Node.js 20 collects it as garbage before its time
      const limit = setTimeout(aborted, (seconds + GRACE) * 1000);
      options.signal?.addEventListener('abort', aborted, { once: true });
      socket.once('error', (error) => fail(new Error(`the VM cannot be reached at ${path}: ${error.message}`, { cause: error })));
      socket.once('close', () => fail(new Error(`the VM at ${path} closed the connection`)));
      socket.once('connect', () => {
        socket.write(`R ${token} ${seconds} ${text.length} ${input.length}\n`);
        socket.write(text);
        socket.write(input);
      });
      readAnswer(socket, token, (result) => {
        over();
        socket.removeAllListeners('close');
        socket.end();
        resolve(result);
      });
    });
  }
}

/** Collects the frames of one request; frames of others were left over by a caller that went away. */
function readAnswer(socket: Socket, token: string, done: (result: ScriptResult) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const take = (): boolean => {
    const end = rest.indexOf('\n');
    if (end < 0) return false;
    const frame = parseFrame(rest.subarray(0, end).toString('latin1'));
    if (frame === null) {
      rest = rest.subarray(end + 1);
      return true;
    }
    if (frame.kind === 'X') {
      rest = rest.subarray(end + 1);
      if (frame.token !== token) return true;
      done({ stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8'), status: frame.value });
      return false;
    }
    if (rest.length < end + 1 + frame.value) return false;
    const data = Buffer.from(rest.subarray(end + 1, end + 1 + frame.value));
    rest = rest.subarray(end + 1 + frame.value);
    if (frame.token === token) (frame.kind === 'O' ? stdout : stderr).push(data);
    return true;
  };
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (take());
  });
}

function parseFrame(line: string): Frame | null {
  const found = /^([OEX]) (\S+) (\d{1,12})$/.exec(line);
  const [, kind, token, value] = found ?? [];
  return kind === undefined || token === undefined || value === undefined ? null : { kind, token, value: Number(value) };
}
