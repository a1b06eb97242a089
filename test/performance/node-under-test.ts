import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Simulator } from '../../sim/server/launch.ts';
import { withDeadline } from '../../src/core/deadline.ts';
import type { NodeLeftovers } from '../../src/core/leftovers-port.ts';
import { ManualClock, RecordingLog } from '../../src/core/testing/manual-clock.ts';
import { assemble, type Assembly } from '../../src/daemon/assemble.ts';
import { FakeHost } from '../../src/host/testing/fake-host.ts';
import { PromMeter } from '../../src/observe/metrics.ts';
import type { MethodName, Result } from '../../src/protocol/methods.ts';
import type { StorageContext } from '../../src/volumes/context.ts';
import { MemoryGuests } from '../../src/volumes/orphans/testing/memory-guests.ts';
import { type RpcAnswer, sectionFor } from '../flows/testing/daemon-process.ts';

export type Calls = Readonly<Record<string, number>>;

/** What one piece of work asked of the array. */
export interface Measured {
  /** API calls by method, with those that followed from it in the background. */
  readonly calls: Calls;
  /** Bytes of our messages, and of the array's with its events. */
  readonly sent: number;
  readonly received: number;
}

const NOTHING_LEFT: NodeLeftovers = {
  read: () => Promise.resolve({ links: [], records: [], devices: [], initiatorRecords: [] }),
  resolve: (host) => Promise.resolve([host]),
  removeLink: () => Promise.resolve(),
  removeRecord: () => Promise.resolve(),
};

type Parts = Assembly & { readonly clock: ManualClock; readonly meter: PromMeter };

/**
 * ms after which nothing follows from a change any more: objects that an event only names are looked at by then. All operations together
 * stay below the minute after which the daemon looks at the array in any case.
 */
const AFTERMATH_MS = 1_600;
/** What `ping` of the port calls. */
const BARRIER = 'system.version';
const BARRIERS = 2;
/** ms of the clock for each turn of the event loop while only a timer is waited for */
const TURN_MS = 100;

/**
 * The daemon of one node in this process: everything from the line on its socket to the WebSocket is real. Its clock stands still, so
 * that no timer adds a call, and the node's devices are a stand-in.
 */
export class NodeUnderTest {
  readonly storage: { readonly id: string; readonly config: Record<string, string | number> };
  readonly #sim: Simulator;
  readonly #directory: string;
  readonly #parts: Parts;

  private constructor(sim: Simulator, directory: string, storage: NodeUnderTest['storage'], parts: Parts) {
    this.#sim = sim;
    this.#directory = directory;
    this.storage = storage;
    this.#parts = parts;
  }

  /** A fresh daemon on this array, that has asked nothing yet. */
  static async start(sim: Simulator): Promise<NodeUnderTest> {
    const directory = mkdtempSync(join(tmpdir(), 'performance-'));
    const at = (name: string): string => join(directory, name);
    const storage = { id: 'tn', config: sectionFor(sim) };
    mkdirSync(at('priv'), { mode: 0o700 });
    writeFileSync(at('priv/tn.api_key'), sim.apiKey, { mode: 0o600 });
    const lines = Object.entries(storage.config).map(([name, value]) => `\t${name} ${value}\n`);
    writeFileSync(at('storage.cfg'), `truenasplugin: tn\n${lines.join('')}\tcontent images\n`);
    const [clock, meter, host] = [new ManualClock(), new PromMeter(), new FakeHost()];
    const assembly = await assemble({
      storageCfg: at('storage.cfg'),
      privDir: at('priv'),
      stateDir: at('state'),
      node: 'pve1',
      clock,
      log: new RecordingLog(),
      meter,
      host: { kernel: host, direct: host, guests: new MemoryGuests(), leftovers: NOTHING_LEFT },
    });
    return new NodeUnderTest(sim, directory, storage, { ...assembly, clock, meter });
  }

  /** One call as a line on the daemon's socket; fails when it fails. */
  async call<M extends MethodName>(method: M, params: Record<string, unknown> = {}): Promise<Result<M>> {
    const about = method.startsWith('overview.') || method === 'daemon.hello' ? {} : { storage: this.storage };
    const request = { jsonrpc: '2.0', id: 1, method, params: { protocol: 1, ...about, ...params } };
    const { result, error } = JSON.parse(
      (await this.#parts.rpc(JSON.stringify(request), new AbortController().signal)) ?? '{}',
    ) as RpcAnswer;
    if (error !== undefined) throw new Error(`${method}: ${error.data?.code ?? error.code}: ${error.message}`);
    return result as Result<M>;
  }

  /** The storage as the use cases see it. */
  context(): Promise<StorageContext> {
    return this.#parts.storages.resolve(this.storage);
  }

  /** What `work` asks of the array, with what follows from it. */
  async measure(work: () => Promise<unknown>): Promise<Measured> {
    const before = await this.#bytes();
    this.#sim.resetCalls();
    await work();
    await this.#barrier();
    await this.#parts.clock.advance(AFTERMATH_MS);
    await this.#barrier();
    const { [BARRIER]: pings = 0, ...others } = this.#sim.calls();
    const done = await this.#bytes();
    for (let n = 0; n < BARRIERS; n += 1) await this.#barrier();
    const after = await this.#bytes();
    return {
      calls: pings === BARRIERS ? others : { ...others, [BARRIER]: pings - BARRIERS },
      // without what the barriers cost
      sent: 2 * done.sent - before.sent - after.sent,
      received: 2 * done.received - before.received - after.received,
    };
  }

  /** Lets work end that goes on with the next session: the clock moves while nothing is waited for but a timer. */
  async acrossReconnect<T>(work: Promise<T>): Promise<T> {
    const { array } = await this.context();
    let done = false;
    const watched = work.finally(() => (done = true));
    watched.catch(() => undefined);
    const running = (): boolean => !done;
    while (running()) {
      const { state, inFlight } = array.connection();
      if (state === 'connecting' || inFlight > 0) await turn();
      else await this.#parts.clock.advance(TURN_MS);
    }
    return watched;
  }

  async stop(): Promise<void> {
    await this.#parts.storages.close();
    rmSync(this.#directory, { recursive: true });
  }

  /** The array's messages come in order: after the answer to a call, every event that was sent before it is here. */
  async #barrier(): Promise<void> {
    const { array } = await this.context();
    await withDeadline(this.#parts.clock, 60_000, 'barrier', (deadline) => array.ping(deadline));
    while (array.connection().inFlight > 0) await turn();
  }

  async #bytes(): Promise<{ sent: number; received: number }> {
    const all = await this.#parts.meter.snapshot();
    const of = (name: string): number => all.find((metric) => metric.name === name)?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
    return { sent: of('pve_truenas_api_sent_bytes_total'), received: of('pve_truenas_api_received_bytes_total') };
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
