import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod';
import type { Clock, Log } from '../core/ports.ts';
import { SharedRun } from '../core/shared-run.ts';
import type { FreedLuns, LunRests } from '../volumes/lun-allocator.ts';

/** ms: `truenas-lun-rest` is at most a week; what was freed before that is forgotten. */
const LONGEST_REST_MS = 604_800_000;

/** `host:port` of an array → target id → LUN → ms since the epoch. */
const content = z.object({
  version: z.literal(1),
  arrays: z.record(z.string().max(300), z.record(z.string().regex(/^\d{1,10}$/), z.record(z.string().regex(/^\d{1,5}$/), z.number()))),
});

/**
 * Which LUN numbers were freed when, in one file (0600) that is replaced as a whole. A file that cannot be read is reported
 * and begun anew: what is lost is only how long numbers rest, since each device is verified before use all the same.
 */
export class LunRestFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #arrays = new Map<string, Map<number, FreedLuns>>();
  readonly #writes = new SharedRun(() => this.#replace());

  private constructor(path: string, clock: Clock, log: Log) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  static async open(path: string, clock: Clock, log: Log): Promise<LunRestFile> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = new LunRestFile(path, clock, log);
    await file.#read();
    return file;
  }

  /** The part of one array, `host:port`. */
  of(array: string): LunRests {
    return {
      recall: (target) => this.#arrays.get(array)?.get(target) ?? new Map<number, number>(),
      keep: async (target, freed) => {
        const targets = this.#arrays.get(array) ?? new Map<number, FreedLuns>();
        targets.set(target, new Map(freed));
        this.#arrays.set(array, targets);
        // what is known by then: calls that come while a write is under way share the next one
        await this.#writes.run();
      },
    };
  }

  async #read(): Promise<void> {
    try {
      const { arrays } = content.parse(JSON.parse(await readFile(this.#path, 'utf8')));
      for (const [array, targets] of Object.entries(arrays)) {
        const rows = Object.entries(targets).map(([target, freed]): [number, FreedLuns] => [
          Number(target),
          new Map(Object.entries(freed).map(([lun, at]) => [Number(lun), at])),
        ]);
        this.#arrays.set(array, new Map(rows));
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      this.#log.warn('the freed LUN numbers of before cannot be read and are forgotten', { file: this.#path, error: String(error) });
    }
  }

  async #replace(): Promise<void> {
    const temporary = `${this.#path}.new`;
    try {
      const file = await open(temporary, 'w', 0o600);
      try {
        await file.writeFile(`${JSON.stringify(this.#content())}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path);
    } catch (error) {
      this.#log.warn('the freed LUN numbers cannot be kept across a restart', { file: this.#path, error: String(error) });
    }
  }

  #content(): z.infer<typeof content> {
    const oldest = this.#clock.now() - LONGEST_REST_MS;
    const young = (freed: FreedLuns): Record<string, number> =>
      Object.fromEntries([...freed].filter(([, at]) => at > oldest).map(([lun, at]) => [String(lun), at]));
    const arrays = [...this.#arrays].map(([array, targets]) => [
      array,
      Object.fromEntries([...targets].map(([target, freed]) => [String(target), young(freed)])),
    ]);
    return { version: 1, arrays: Object.fromEntries(arrays) as z.infer<typeof content>['arrays'] };
  }
}
