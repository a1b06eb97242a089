import type { CloneOperations, DatasetOperations, PoolSpace, SnapshotOperations, ZfsEngine, ZfsReader } from '../../../state/zfs/engine.ts';
import type { PropertyValue } from '../../../state/zfs/property-table.ts';
import type { ZfsState } from '../../../state/zfs/zfs-state.ts';
import { LabClones } from './lab-clones.ts';
import { LabDatasets } from './lab-datasets.ts';
import { LabReader } from './lab-reader.ts';
import { LabSnapshots } from './lab-snapshots.ts';
import type { PoolReport, ReportedDataset } from './pool-report.ts';
import { poolTables } from './pool-tables.ts';
import type { PoolShell, Reading, Step } from './pool-shell.ts';
import { refusalOf } from './refusals.ts';

/** ms for which what ZFS said of the whole pool is taken to be true but for what was changed through the engine; ZFS itself settles space once in 5 s */
const FRESH_FOR = 500;
/** What middlewared sets on the root dataset of a pool that it makes. */
const ROOT_PROPERTIES = ['compression=lz4', 'atime=off', 'xattr=sa', 'acltype=posix', 'aclmode=discard'] as const;
/** bytes that pool.query shows as free while the fault "pool full" stands */
const FREE_WHEN_FULL = 1_048_576;

/**
 * A real pool in a VM of the lab: ZFS does and refuses everything, and after each change the tables of `state` are what it
 * reports of what the change can have touched.
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
  private sizes: NonNullable<PoolReport['sizes']> = { size: 0, allocated: 0, free: 0 };
  private readonly reported = new Map<string, ReportedDataset>();
  private wholeAt = Number.NEGATIVE_INFINITY;
  private filled = false;
  private tail: Promise<void> = Promise.resolve();

  /** `now`: ms, by which what was read last grows old. */
  constructor(state: ZfsState, shell: PoolShell, now: () => number) {
    this.state = state;
    this.shell = shell;
    this.now = now;
    const change = (steps: readonly Step[], read: Reading): Promise<void> => this.change(steps, read);
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
    await this.change([...ROOT_PROPERTIES.map((one): Step => ['zfs', 'set', '--', one, this.shell.pool]), ...made], null);
  }

  /** Reads the pool again unless that was done a moment ago. */
  async refresh(): Promise<void> {
    if (this.state.full === this.filled && this.now() - this.wholeAt < FRESH_FOR && this.now() >= this.wholeAt) return;
    await this.change([], null);
  }

  /** Ends the worker in the VM once what is under way is done: one that is just being started would not hear of it. The next operation starts another. */
  async stop(): Promise<void> {
    await this.tail;
    await this.shell.close();
  }

  holdOpen(zvol: string, open: boolean): Promise<void> {
    const { guid } = this.state.mustDataset(zvol);
    return this.change([open ? ['open', zvol, guid] : ['close', guid]], []);
  }

  /** One change after the other. Errors: ZfsError when ZFS refuses; what is there then has been read all the same. */
  private change(steps: readonly Step[], read: Reading): Promise<void> {
    const run = this.tail.then(() => this.perform(steps, read));
    this.tail = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }

  private async perform(steps: readonly Step[], read: Reading): Promise<void> {
    const { full } = this.state;
    const fault: Step[] = full === this.filled ? [] : [[full ? 'fill' : 'empty']];
    const reading = fault.length > 0 ? null : read;
    const { refusal, report } = await this.shell.run([...fault, ...steps], reading);
    this.filled = full;
    this.adopt(report, reading);
    if (refusal !== null) throw refusalOf(refusal);
  }

  private adopt(report: PoolReport, read: Reading): void {
    if (read === null) this.reported.clear();
    else for (const name of read) this.reported.delete(name);
    for (const one of report.datasets) this.reported.set(one.name, one);
    if (report.sizes !== null) {
      this.sizes = report.sizes;
      this.wholeAt = this.now();
    }
    const tables = poolTables([...this.reported.values()]);
    this.properties = tables.properties;
    this.state.adopt(tables.datasets, tables.snapshots);
  }
}
