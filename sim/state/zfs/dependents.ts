import type { DatasetRecord, SnapshotRecord } from './records.ts';
import type { ZfsState } from './zfs-state.ts';

/** Snapshots of the same dataset that were taken later, oldest first. */
export function newerSnapshots(state: ZfsState, snapshot: SnapshotRecord): SnapshotRecord[] {
  const dataset = state.datasetByGuid(snapshot.dataset);
  return dataset === undefined ? [] : state.snapshots(dataset).filter((one) => one.createtxg > snapshot.createtxg);
}

/** Datasets that must go with `name`, clones of its snapshots included, in the order in which they can be destroyed. Errors: not-found. */
export function dependents(state: ZfsState, name: string): DatasetRecord[] {
  const order: DatasetRecord[] = [];
  const seen = new Set<string>();
  const visit = (record: DatasetRecord): void => {
    if (seen.has(record.guid)) return;
    seen.add(record.guid);
    for (const child of state.children(record.name)) visit(state.mustDataset(child));
    for (const snapshot of state.snapshots(record)) {
      for (const clone of state.clones(snapshot)) visit(state.mustDataset(clone));
    }
    order.push(record);
  };
  visit(state.mustDataset(name));
  return order;
}
