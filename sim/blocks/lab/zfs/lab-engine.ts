import type { CloneOperations, DatasetOperations, PoolSpace, SnapshotOperations, ZfsEngine, ZfsReader } from '../../../state/zfs/engine.ts';
import type { PropertyValue } from '../../../state/zfs/property-table.ts';
import type { ZfsState } from '../../../state/zfs/zfs-state.ts';
import { LabClones } from './lab-clones.ts';
import { LabDatasets } from './lab-datasets.ts';
import { LabReader } from './lab-reader.ts';
import { LabSnapshots } from './lab-snapshots.ts';
import type { PoolReport } from './pool-report.ts';
import { poolTables } from './pool-tables.ts';
import type { PoolShell, Step } from './pool-shell.ts';
import { refusalOf } from './refusals.ts';

/** ms for which what ZFS said last is taken to be true while nothing was changed through the engine */
const FRESH_FOR = 500;
/** What middlewared sets on the root dataset of a pool that it makes. */
const ROOT_PROPERTIES = ['compression=lz4', 'atime=off', 'xattr=sa', 'acltype=posix', 'aclmode=discard'] as const;
/** bytes that pool.query shows as free while the fault "pool full" stands */
const FREE_WHEN_FULL = 1_048_576;

/**
 * A real pool in a VM of the lab: ZFS does and refuses everything, and after each change the tables of `state` are what it
 * reports. One script for each operation.
 */
export class LabEngine implements ZfsEngine {
  readonly datasets: DatasetOperations;
  readonly snapshots: SnapshotOperations;
  readonly clones: CloneOperations;
  readonly space: PoolSpace;
  private readonly state: ZfsState;
  private readonly shell: PoolShell;
  private readonly now: () => number;
  private properties: ReadonlyMap<string, ReadonlyMap<string, PropertyValue>> = new Map();
  private sizes: PoolReport['sizes'] = { size: 0, allocated: 0, free: 0 };
  private reportedAt = Number.NEGATIVE_INFINITY;
  private filled = false;
  private tail: Promise<void> = Promise.resolve();

  /** `now`: ms, by which what was read last grows old. */
  constructor(state: ZfsState, shell: PoolShell, now: () => number) {
    this.state = state;
    this.shell = shell;
    this.now = now;
    const change = (steps: readonly Step[]): Promise<void> => this.change(steps);
    this.datasets = new LabDatasets(state, change);
    this.snapshots = new LabSnapshots(state, change);
    this.clones = new LabClones(state, change);
    this.space = {
      pool: () => (state.full ? { ...this.sizes, allocated: this.sizes.size - FREE_WHEN_FULL, free: FREE_WHEN_FULL } : this.sizes),
    };
  }

  reader(): ZfsReader {
    return new LabReader(this.state, this.properties);
  }

  /** The pool as it is found; `dataset` is made when it is not there. */
  async start(dataset: string | null): Promise<void> {
    const made = dataset === null ? [] : [['zfs', 'create', '-p', '--', dataset] as const];
    await this.change([...ROOT_PROPERTIES.map((one): Step => ['zfs', 'set', one, this.shell.pool]), ...made]);
  }

  /** Reads the pool again unless that was done a moment ago. */
  async refresh(): Promise<void> {
    if (this.state.full === this.filled && this.now() - this.reportedAt < FRESH_FOR && this.now() >= this.reportedAt) return;
    await this.change([]);
  }

  holdOpen(zvol: string, open: boolean): Promise<void> {
    const { guid } = this.state.mustDataset(zvol);
    return this.change([open ? ['open', zvol, guid] : ['close', guid]]);
  }

  /** One change after the other. Errors: ZfsError when ZFS refuses; what is there then has been read all the same. */
  private change(steps: readonly Step[]): Promise<void> {
    const run = this.tail.then(() => this.perform(steps));
    this.tail = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }

  private async perform(steps: readonly Step[]): Promise<void> {
    const { full } = this.state;
    const fault: Step[] = full === this.filled ? [] : [[full ? 'fill' : 'empty']];
    const { refusal, report } = await this.shell.run([...fault, ...steps]);
    this.filled = full;
    await this.adopt(report);
    if (refusal !== null) throw refusalOf(refusal);
  }

  private async adopt(report: PoolReport): Promise<void> {
    const holds = new Map(this.state.allSnapshots().map((one) => [one.guid, one.holds]));
    const unknown: string[] = [];
    for (const one of report.datasets) {
      const guid = one.properties.get('guid')?.raw ?? '';
      const listed = report.holds.get(one.name);
      if (listed !== undefined) holds.set(guid, { ...listed });
      const count = Number(one.properties.get('userrefs')?.raw ?? 0);
      if (count === 0) holds.delete(guid);
      else if (Object.keys(holds.get(guid) ?? {}).length !== count) unknown.push(one.name);
    }
    if (unknown.length > 0 && report.holds.size === 0) {
      const again = await this.shell.run([['holds', ...unknown]]);
      await this.adopt(again.report);
      return;
    }
    const tables = poolTables(report, holds);
    this.properties = tables.properties;
    this.sizes = report.sizes;
    this.reportedAt = this.now();
    this.state.adopt(tables.datasets, tables.snapshots);
  }
}
