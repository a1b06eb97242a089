import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { controlCall } from '../../../sim/faults/control-client.ts';
import { systemClock } from '../../../src/core/system-clock.ts';
import { MACHINE } from './places.ts';

const SIMULATOR = join(import.meta.dirname, '../../../dist/pve-truenas-sim.mjs');

const ready = z.object({
  url: z.string(),
  caFile: z.string(),
  host: z.string(),
  port: z.number(),
  apiKey: z.string(),
  username: z.string(),
  fingerprint: z.string(),
  portal: z.string(),
  targetIqn: z.string(),
  dataset: z.string(),
  control: z.string(),
});

const state = z.object({
  iscsi: z.object({
    extents: z.array(z.object({ id: z.number(), path: z.string(), naa: z.string() })),
    mappings: z.array(z.object({ id: z.number(), extent: z.number(), lunid: z.number() })),
  }),
});

const counts = z.record(z.string(), z.number());

/** ms that a call is held when nobody releases it: less than a daemon in the lab waits for an answer. */
const HELD_MS = 200_000;

export interface HeldCall {
  readonly asked: () => Promise<void>;
  readonly release: () => Promise<void>;
}

/** A LUN as the array's API tells of it. */
export interface ExportedLun {
  readonly lun: number;
  /** `0x6589cfc...` */
  readonly naa: string;
  /** `vm-100-disk-0` */
  readonly volume: string;
  readonly extent: number;
  readonly mapping: number;
}

/** The simulator as a process in the lab's network, at 10.77.0.1, with the ZFS and the targets of one VM. */
export class LabSimulator {
  readonly #child: ChildProcess;
  readonly about: z.infer<typeof ready>;

  private constructor(child: ChildProcess, about: z.infer<typeof ready>) {
    this.#child = child;
    this.about = about;
  }

  /** Resolves when it answers, at `port`. `vm`: directory of the running VM. Errors: it ended before. */
  static async start(vm: string, port = 443): Promise<LabSimulator> {
    const places = ['--listen', `10.77.0.1:${port}`, '--portal', '10.77.0.10:3260', '--seed-target', 'lab'];
    const argv = ['exec', process.execPath, SIMULATOR, ...places, '--blocks', 'lab', '--vm', vm, '--no-delays', '--ready-json'];
    const child = spawn(join(MACHINE, 'net'), argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    const gone = once(child, 'exit').then(() => Promise.reject(new Error('the simulator ended before it answered')));
    gone.catch(() => undefined);
    const [line] = (await Promise.race([once(lines, 'line'), gone])) as [string];
    return new LabSimulator(child, ready.parse(JSON.parse(line)));
  }

  /** What the array exports by now, asked of its state and not of the daemon. */
  async luns(): Promise<readonly ExportedLun[]> {
    const { iscsi } = state.parse(await controlCall(this.about.control, { command: 'state' }));
    return iscsi.mappings.map(({ id, extent, lunid }) => {
      const found = iscsi.extents.find((one) => one.id === extent);
      if (found === undefined) throw new Error(`LUN ${lunid} maps an extent that is not there`);
      return { lun: lunid, naa: found.naa, volume: found.path.split('/').at(-1) ?? '', extent, mapping: id };
    });
  }

  /** The next call of `method` is handled no sooner than `release` says so. `asked` resolves when it has come. */
  async hold(method: string): Promise<HeldCall> {
    const calls = async (): Promise<number> => counts.parse(await controlCall(this.about.control, { command: 'calls' }))[method] ?? 0;
    const before = await calls();
    await controlCall(this.about.control, { command: 'add', fault: { fault: 'latency', method, ms: HELD_MS, times: 1 } });
    return {
      asked: async () => {
        const limit = AbortSignal.timeout(300_000);
        while ((await calls()) === before) {
          limit.throwIfAborted();
          await systemClock.sleep(50);
        }
      },
      release: async () => {
        await controlCall(this.about.control, { command: 'clock-advance', ms: HELD_MS });
      },
    };
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit');
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    await gone;
  }
}
