import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { POOL_WORKER } from './pool-worker.ts';

/** The virtio port on which the pool is worked on; scripts of the lab's agent have the others (sim/state/array.ts). */
const PORT = 1;
/** s until the agent ends the worker, should nobody close the connection */
const LIFE = 86_400;
/** ms without work after which the worker ends, so that whoever wants the port gets it. Its start takes seconds on an emulated CPU. */
const IDLE = 60_000;
/** ms for an answer on a machine whose VM shares its processors with a whole build */
const PATIENCE = 300_000;
/** ms for the agent's word that the worker has ended */
const FAREWELL = 10_000;

interface Waiting {
  readonly done: (text: string) => void;
  readonly fail: (error: Error) => void;
}

/** One worker in the VM (pool-worker.ts), started when there is something to ask. One request after the other. */
export class PoolConnection {
  private readonly path: string;
  private readonly pool: string;
  private socket: Socket | null = null;
  private waiting: Waiting | null = null;
  private rest: Buffer = Buffer.alloc(0);
  private token = '';
  private started = 0;
  private ready = false;
  private idle: NodeJS.Timeout | null = null;
  private closing: Promise<void> = Promise.resolve();

  /** `directory`: of the running VM. */
  constructor(directory: string, pool: string) {
    this.path = join(directory, `lab${PORT}.sock`);
    this.pool = pool;
  }

  /** The answer to one request, both JSON. Errors: Error when the VM does not answer. */
  async ask(request: string): Promise<string> {
    if (this.idle !== null) clearTimeout(this.idle);
    await this.closing;
    const socket = this.socket ?? (await this.start());
    try {
      return await this.answer(() => socket.write(`${request}\n`));
    } finally {
      this.idle = setTimeout(() => void this.close(), IDLE);
      this.idle.unref();
    }
  }

  /**
   * Ends the worker and resolves when the agent says that it has ended: one that has not noticed the end of its connection takes the
   * request of the next caller of the port for its own.
   */
  close(): Promise<void> {
    if (this.idle !== null) clearTimeout(this.idle);
    const { socket, token } = this;
    this.socket = null;
    if (socket === null) return this.closing;
    this.closing = new Promise((resolve) => {
      const over = (): void => {
        clearTimeout(limit);
        socket.destroy();
        resolve();
      };
      const limit = setTimeout(over, FAREWELL);
      let said = '';
      socket
        .removeAllListeners()
        .on('error', () => undefined)
        .on('close', over)
        .on('data', (data: Buffer) => {
          said += data.toString('latin1');
          if (said.includes(`X ${token} `)) over();
        });
      socket.write('end\n');
    });
    return this.closing;
  }

  private async start(): Promise<Socket> {
    this.started += 1;
    this.token = `pool-${process.pid}-${this.started}-${Date.now().toString(36)}`;
    this.rest = Buffer.alloc(0);
    this.ready = false;
    const socket = createConnection(this.path);
    this.socket = socket;
    socket.once('error', (error) => this.fail(`the VM cannot be reached at ${this.path}: ${error.message}`));
    socket.once('close', () => this.fail(`the VM at ${this.path} closed the connection`));
    socket.on('data', (data: Buffer) => this.take(data));
    const program = Buffer.from(POOL_WORKER);
    const script = `exec python3 - ${this.pool} ${this.token}`;
    await this.answer(() => {
      socket.write(`R ${this.token} ${LIFE} ${script.length} ${program.length}\n${script}`);
      socket.write(program);
    });
    return socket;
  }

  private answer(send: () => void): Promise<string> {
    return new Promise<string>((resolve, reject) => {
      const limit = setTimeout(() => this.fail(`no answer from the VM at ${this.path}`), PATIENCE);
      const over = (): void => {
        clearTimeout(limit);
        this.waiting = null;
      };
      this.waiting = {
        done: (text) => {
          over();
          resolve(text);
        },
        fail: (error) => {
          over();
          this.drop();
          reject(error);
        },
      };
      send();
    });
  }

  private fail(message: string): void {
    this.waiting?.fail(new Error(message));
    this.drop();
  }

  /** Of a VM that does not answer there is nothing to wait for. */
  private drop(): void {
    this.socket
      ?.removeAllListeners()
      .on('error', () => undefined)
      .destroy();
    this.socket = null;
  }

  private take(data: Buffer): void {
    this.rest = Buffer.concat([this.rest, data]);
    if (!this.ready && !this.isReady()) return;
    const end = this.rest.indexOf('\n');
    if (end < 0) return;
    const size = Number(this.rest.subarray(0, end).toString('latin1'));
    if (!Number.isSafeInteger(size)) {
      this.fail(`the worker in the VM failed: ${this.rest.toString('utf8').slice(0, 2000)}`);
      return;
    }
    if (this.rest.length < end + 1 + size) return;
    const text = this.rest.subarray(end + 1, end + 1 + size).toString('utf8');
    this.rest = this.rest.subarray(end + 1 + size);
    this.waiting?.done(text);
  }

  /** Skips what others left on the port; the agent's last word about this worker means that it did not come up. */
  private isReady(): boolean {
    const mark = `READY ${this.token}\n`;
    const at = this.rest.indexOf(mark);
    if (at < 0) {
      if (this.rest.includes(`X ${this.token} `))
        this.fail(`the worker in the VM did not start: ${this.rest.toString('utf8').slice(-2000)}`);
      return false;
    }
    this.rest = this.rest.subarray(at + mark.length);
    this.ready = true;
    this.waiting?.done('');
    return false;
  }
}
