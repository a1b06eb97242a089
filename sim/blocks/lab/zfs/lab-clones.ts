import type { CloneOperations } from '../../../state/zfs/engine.ts';
import type { DatasetRecord } from '../../../state/zfs/records.ts';
import type { ZfsState } from '../../../state/zfs/zfs-state.ts';
import { checkName, devices, options } from './lab-datasets.ts';
import type { Change } from './pool-shell.ts';

/** zfs(8) on clones. */
export class LabClones implements CloneOperations {
  private readonly state: ZfsState;
  private readonly change: Change;

  constructor(state: ZfsState, change: Change) {
    this.state = state;
    this.change = change;
  }

  async clone(snapshot: string, name: string, properties: Readonly<Record<string, string>>): Promise<DatasetRecord> {
    const source = this.state.datasetByGuid(this.state.mustSnapshot(snapshot).dataset);
    checkName(this.state, name);
    const made = source === undefined ? [] : devices([{ ...source, name }]);
    await this.change([['zfs', 'clone', ...options(properties), '--', snapshot, name], ...made], [name, snapshot]);
    return this.state.mustDataset(name);
  }

  async promote(name: string): Promise<void> {
    this.state.mustDataset(name);
    await this.change([['zfs', 'promote', '--', name]], null);
  }
}
