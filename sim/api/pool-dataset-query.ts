import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { DatasetRecord } from '../state/zfs/records.ts';
import { FinishedQuery, type SimMethod } from './contract.ts';
import { DatasetEntries, type DatasetEntry, type DatasetExtra, DEFAULT_EXTRA, isInternalDataset } from './dataset-entry.ts';
import { instanceNotFound, method, nonEmpty, param, roles, str } from './method.ts';
import { CHECKSUMS, COMPRESSIONS } from './dataset-models.ts';
import { extraOf, instanceParams, pinned, queryParams, wantsCount } from './query-params.ts';
import { zvolOfPath } from '../state/iscsi/exports.ts';

const names = z.array(z.string()).nullable().catch(null);
const bool = (fallback: boolean) => z.boolean().catch(fallback).default(fallback);
const extraModel = z.object({
  flat: bool(true),
  retrieve_children: bool(true),
  properties: names.default(null),
  retrieve_user_props: bool(true),
  snapshots: bool(false),
  snapshots_count: bool(false),
  snapshots_properties: names.default([]),
});

function datasetExtra(options: unknown): DatasetExtra {
  const extra = extraModel.parse(extraOf(options));
  return {
    flat: extra.flat,
    retrieveChildren: extra.retrieve_children,
    properties: extra.properties,
    userProperties: extra.retrieve_user_props,
    snapshots: extra.snapshots,
    snapshotsCount: extra.snapshots_count,
    snapshotsProperties: extra.snapshots_properties,
  };
}

/** The entry of one dataset as get_instance, create and update answer it. Throws the -32602 of a missing instance. */
export function datasetInstance(core: ArrayCore, id: unknown, extra: DatasetExtra = DEFAULT_EXTRA): DatasetEntry {
  const record = typeof id === 'string' && !isInternalDataset(id) ? core.zfs.dataset(id) : undefined;
  if (record === undefined) throw instanceNotFound('PoolDataset', id);
  return new DatasetEntries(core.release, core.zfs, core.reader()).entry(record, extra);
}

/** Which datasets a query looks at, before filters (truenas-api 7.2). */
function visited(core: ArrayCore, filters: unknown, extra: DatasetExtra): DatasetRecord[] {
  const pinnedNames = pinned(filters, ['id', 'name']);
  if (pinnedNames !== null) {
    const found = pinnedNames.flatMap((name) => (typeof name === 'string' ? (core.zfs.dataset(name) ?? []) : []));
    return found.filter((record) => !isInternalDataset(record.name));
  }
  const all = core.zfs.datasets().filter((record) => !isInternalDataset(record.name));
  const filtered = Array.isArray(filters) && filters.length > 0;
  // 25.10: without children and without filters nothing below the pools is looked at
  const rootsOnly = !extra.retrieveChildren && (core.release === '25.04' || !filtered);
  return rootsOnly ? all.filter((record) => !record.name.includes('/')) : all;
}

/** pool.dataset.query and its relatives that only read (truenas-api 7.2, 9). */
export function datasetQueryMethods(core: ArrayCore): SimMethod[] {
  const read = roles('DATASET_READ');
  const choices = roles('DATASET_READ', 'READONLY_ADMIN');
  return [
    method(
      'pool.dataset.query',
      read,
      (release) => queryParams(release, true),
      ([filters, options]) => {
        const extra = datasetExtra(options);
        if (wantsCount(options) && core.release !== '25.04') {
          // the filters decide only how deep it looks
          const none = pinned(filters, ['id', 'name']) === null ? filters : [['id', '!=', '']];
          return new FinishedQuery(visited(core, none, extra).length);
        }
        const entries = new DatasetEntries(core.release, core.zfs, core.reader());
        const hierarchical = !extra.flat && (core.release === '25.04' || !Array.isArray(filters) || filters.length === 0);
        const records = visited(core, filters, extra);
        const roots =
          hierarchical && pinned(filters, ['id', 'name']) === null ? records.filter((record) => !record.name.includes('/')) : records;
        return roots.map((record) => entries.entry(record, extra));
      },
      { query: true },
    ),
    method(
      'pool.dataset.get_instance',
      read,
      (release) => instanceParams(release, str, true),
      ([id, options]) => datasetInstance(core, id, datasetExtra(options)),
    ),
    method('pool.dataset.details', read, [], () => {
      const entries = new DatasetEntries(core.release, core.zfs, core.reader());
      const extra: DatasetExtra = { ...DEFAULT_EXTRA, flat: false, snapshotsCount: true };
      return [entries.entry(core.zfs.mustDataset(core.zfs.pool), extra)];
    }),
    method('pool.dataset.snapshot_count', read, [param('dataset', str)], ([name]) => {
      const record = typeof name === 'string' ? core.zfs.dataset(name) : undefined;
      if (record === undefined) throw instanceNotFound('PoolDataset', name);
      return core.zfs.snapshots(record).length;
    }),
    method('pool.dataset.recommended_zvol_blocksize', read, [param('pool', core.release === '25.04' ? str : nonEmpty)], ([pool]) => {
      if (pool !== core.zfs.pool) throw instanceNotFound('Pool', pool);
      return '16K';
    }),
    method('pool.dataset.compression_choices', choices, [], () => Object.fromEntries(COMPRESSIONS.map((one) => [one, one]))),
    method('pool.dataset.checksum_choices', choices, [], () => Object.fromEntries(CHECKSUMS.map((one) => [one, one]))),
    method('pool.dataset.attachments', read, [param('id', str)], ([id]) => {
      const record = typeof id === 'string' ? core.zfs.dataset(id) : undefined;
      if (record === undefined) throw instanceNotFound('PoolDataset', id);
      const extents = attachedExtents(core, record.name).map((extent) => extent.name);
      const namespaces = attachedNamespaces(core, record.name).map((one) => one.device_path);
      return [
        { type: 'iSCSI Extent', service: 'iscsitarget', attachments: extents },
        { type: 'NVMe-oF Namespace', service: 'nvmet', attachments: namespaces },
      ].filter((one) => one.attachments.length > 0);
    }),
  ];
}

/** Enabled namespaces on the dataset or below it. */
export function attachedNamespaces(core: ArrayCore, dataset: string) {
  return core.nvmet.namespaces.filter((one) => {
    const zvol = zvolOfPath(one.device_path);
    return one.enabled && (zvol === dataset || zvol.startsWith(`${dataset}/`));
  });
}

/** Enabled extents on the dataset or below it. */
export function attachedExtents(core: ArrayCore, dataset: string) {
  return core.iscsi.extents.filter((extent) => {
    if (!extent.enabled || extent.type !== 'DISK') return false;
    const zvol = zvolOfPath(extent.path);
    return zvol === dataset || zvol.startsWith(`${dataset}/`);
  });
}
