import type { PoolConnection } from './pool-connection.ts';
import { type PoolReport, parseAnswer } from './pool-report.ts';

/**
 * One step of a change:
 * `zfs` is zfs(8) with these words (options before `--`), `device` waits for the node of a volume (RP-03), `open` and `close` hold a volume
 * open and let it go, `fill` and `empty` take all space of the pool and give it back.
 *
 * A volume is busy for a moment after it was made or unmapped, because udev looks at it (RP-02); TrueNAS destroys volumes
 * that udev is done with, so a busy one is tried again once udev is.
 */
export type Step = readonly [kind: 'zfs' | 'device' | 'open' | 'close' | 'fill' | 'empty', ...words: string[]];

/** Names of the datasets and snapshots that are read after the steps, there or not; null: the whole pool. */
export type Reading = readonly string[] | null;

/** What the steps came to. */
export interface Outcome {
  /** what ZFS said when a step failed, else null; the steps after it did not run */
  readonly refusal: string | null;
  readonly report: PoolReport;
}

/** Changes and reads one pool of a VM of the lab. */
export class PoolShell {
  readonly pool: string;
  private readonly connection: PoolConnection;

  constructor(connection: PoolConnection, pool: string) {
    this.connection = connection;
    this.pool = pool;
  }

  /** The steps in order up to the first that fails, then what `read` names. Errors: Error when the VM does not answer. */
  async run(steps: readonly Step[], read: Reading): Promise<Outcome> {
    return parseAnswer(await this.connection.ask(JSON.stringify({ steps, read })));
  }

  close(): Promise<void> {
    return this.connection.close();
  }
}

/** Runs steps against the pool and brings the tables up to date. Errors: ZfsError when ZFS refuses one. */
export type Change = (steps: readonly Step[], read: Reading) => Promise<void>;
