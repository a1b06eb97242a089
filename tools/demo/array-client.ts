import { readFile } from 'node:fs/promises';
import { WebSocket } from 'ws';
import * as z from 'zod';
import { askLine, type SimulatorInfo } from './processes.ts';

/** What is on the array, counted by asking it. */
export interface Inventory {
  readonly datasets: number;
  readonly extents: number;
  readonly mappings: number;
  readonly snapshots: number;
}

const LIMIT = 30_000;

const answer = z.object({
  id: z.unknown(),
  result: z.unknown().optional(),
  error: z.object({ message: z.string(), data: z.unknown().optional() }).optional(),
});

/** A TrueNAS client of a few lines: it shares nothing with the daemon's, so that it cannot share a mistake either. */
class ArrayClient {
  private readonly socket: WebSocket;
  private next = 1;

  private constructor(socket: WebSocket) {
    this.socket = socket;
  }

  static async open(info: SimulatorInfo): Promise<ArrayClient> {
    const socket = new WebSocket(info.url, { ca: await readFile(info.caFile), handshakeTimeout: LIMIT, perMessageDeflate: false });
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('error', reject);
    });
    const client = new ArrayClient(socket);
    const login = { mechanism: 'API_KEY_PLAIN', username: info.username, api_key: info.apiKey };
    const { response_type: type } = z.object({ response_type: z.string() }).parse(await client.call('auth.login_ex', [login]));
    if (type !== 'SUCCESS') throw new Error(`the array does not let us in: ${type}`);
    return client;
  }

  call(method: string, params: readonly unknown[]): Promise<unknown> {
    const id = this.next;
    this.next += 1;
    return new Promise((resolve, reject) => {
      const settle = (run: () => void): void => {
        clearTimeout(timer);
        this.socket.off('message', onMessage);
        run();
      };
      const timer = setTimeout(() => settle(() => reject(new Error(`${method}: no answer within ${LIMIT / 1000} s`))), LIMIT);
      const onMessage = (data: Buffer): void => {
        const message = answer.safeParse(JSON.parse(data.toString('utf8')));
        if (!message.success || message.data.id !== id) return;
        const { error, result } = message.data;
        settle(() => (error === undefined ? resolve(result) : reject(new Error(`${method}: ${JSON.stringify(error)}`))));
      };
      this.socket.on('message', onMessage);
      this.socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.socket.once('close', () => resolve());
      this.socket.close();
    });
  }
}

const count = z.int().min(0);
const rows = z.array(z.object({ id: z.string() }));

/** Asks the array over its public API what it holds below the dataset, and in its iSCSI tables. */
export async function takeInventory(info: SimulatorInfo): Promise<Inventory> {
  const client = await ArrayClient.open(info);
  try {
    const counted = async (method: string, filters: readonly unknown[]): Promise<number> =>
      count.parse(await client.call(method, [filters, { count: true }]));
    return {
      // Not by `count`: for datasets 25.10 ignores the filters then (truenas-api 7.2).
      datasets: rows.parse(await client.call('pool.dataset.query', [[['id', '^', `${info.dataset}/`]], { select: ['id'] }])).length,
      extents: await counted('iscsi.extent.query', []),
      mappings: await counted('iscsi.targetextent.query', []),
      snapshots: await counted('pool.snapshot.query', []),
    };
  } finally {
    await client.close();
  }
}

const callsAnswer = z.object({ ok: z.literal(true), result: z.record(z.string(), z.int()) });

/** API calls per method since the simulator's start, from its control socket. */
export async function apiCalls(info: SimulatorInfo): Promise<Readonly<Record<string, number>>> {
  return callsAnswer.parse(JSON.parse(await askLine(info.control, JSON.stringify({ command: 'calls' })))).result;
}

/** What was called between two counts, as `2 pool.dataset.query, 1 iscsi.extent.create`; the most frequent first. */
export function callsBetween(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): readonly [string, number][] {
  return Object.entries(after)
    .map(([method, total]): [string, number] => [method, total - (before[method] ?? 0)])
    .filter(([, calls]) => calls > 0)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}
