import { cloneSnapshot, promoteClone } from './clones.ts';
import { Datasets } from './datasets.ts';
import type { CloneOperations, PoolSpace, SnapshotOperations, ZfsEngine, ZfsReader } from './engine.ts';
import { PropertyReader } from './property-reader.ts';
import { Snapshots } from './snapshots.ts';
import { SpaceAccounting } from './space.ts';
import type { ZfsState } from './zfs-state.ts';

/** ZFS imitated on the tables of `state`; the bytes of volumes are with its block store. */
export class MemoryEngine implements ZfsEngine {
  readonly datasets: Datasets;
  readonly snapshots: SnapshotOperations;
  readonly clones: CloneOperations;
  readonly space: PoolSpace;
  private readonly state: ZfsState;
  private readonly accounting: SpaceAccounting;

  constructor(state: ZfsState) {
    this.state = state;
    this.accounting = new SpaceAccounting(state);
    this.datasets = new Datasets(state, this.accounting);
    this.snapshots = new Snapshots(state, this.accounting, this.datasets);
    this.clones = {
      clone: (snapshot, name, properties) => cloneSnapshot(state, snapshot, name, properties),
      promote: (name) => promoteClone(state, name),
    };
    this.space = {
      pool: () => {
        this.accounting.refresh();
        return this.accounting.pool();
      },
    };
  }

  reader(): ZfsReader {
    return new PropertyReader(this.state, this.accounting);
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  /** Which zvols are open is in `state.open`, kept by ArrayCore. */
  holdOpen(): Promise<void> {
    return Promise.resolve();
  }
}
