import { NATIVE_PROPERTIES } from '../../../state/zfs/property-table.ts';
import type { PropertyValue } from '../../../state/zfs/property-table.ts';
import type { DatasetRecord, SnapshotRecord } from '../../../state/zfs/records.ts';
import type { ReportedDataset } from './pool-report.ts';

export interface PoolTables {
  readonly datasets: readonly DatasetRecord[];
  readonly snapshots: readonly SnapshotRecord[];
  /** by guid: everything that ZFS said of it */
  readonly properties: ReadonlyMap<string, ReadonlyMap<string, PropertyValue>>;
}

const isUser = (name: string): boolean => name.includes(':');

function raw(one: ReportedDataset, name: string): string {
  const value = one.properties.get(name)?.raw;
  if (value === undefined) throw new Error(`zfs did not say the ${name} of '${one.name}'`);
  return value;
}

/** The records of what ZFS reports of a whole pool. */
export function poolTables(reported: readonly ReportedDataset[]): PoolTables {
  const guids = new Map(reported.map((one) => [one.name, raw(one, 'guid')]));
  const datasets: DatasetRecord[] = [];
  const snapshots: SnapshotRecord[] = [];
  for (const one of reported) {
    if (one.type === 'SNAPSHOT') snapshots.push(snapshot(one, guids));
    else datasets.push(dataset(one, one.type, guids));
  }
  return { datasets, snapshots, properties: new Map(reported.map((one) => [raw(one, 'guid'), one.properties])) };
}

function dataset(one: ReportedDataset, type: DatasetRecord['type'], guids: ReadonlyMap<string, string>): DatasetRecord {
  const origin = one.properties.get('origin')?.raw;
  const properties: Record<string, string> = {};
  for (const [name, value] of one.properties)
    if (value.source === 'LOCAL' && NATIVE_PROPERTIES[name] !== undefined) properties[name] = value.raw;
  if (type === 'VOLUME') properties['volblocksize'] = raw(one, 'volblocksize');
  return {
    guid: raw(one, 'guid'),
    name: one.name,
    type,
    createtxg: Number(raw(one, 'createtxg')),
    creation: Number(raw(one, 'creation')),
    properties,
    userProperties: localUsers(one),
    origin: origin === undefined || origin === '' ? null : (guids.get(origin) ?? null),
  };
}

function snapshot(one: ReportedDataset, guids: ReadonlyMap<string, string>): SnapshotRecord {
  const at = one.name.indexOf('@');
  const volsize = one.properties.get('volsize')?.raw;
  return {
    guid: raw(one, 'guid'),
    dataset: guids.get(one.name.slice(0, at)) ?? '',
    name: one.name.slice(at + 1),
    createtxg: Number(raw(one, 'createtxg')),
    creation: Number(raw(one, 'creation')),
    userProperties: localUsers(one),
    holds: { ...one.holds },
    deferred: one.properties.get('defer_destroy')?.raw === 'on',
    referenced: Number(raw(one, 'referenced')),
    volsize: volsize === undefined ? null : Number(volsize),
  };
}

function localUsers(one: ReportedDataset): Record<string, string> {
  return Object.fromEntries(
    [...one.properties].filter(([name, value]) => isUser(name) && value.source === 'LOCAL').map(([name, value]) => [name, value.raw]),
  );
}
