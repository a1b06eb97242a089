import * as z from 'zod';
import type { Release, Snapshot } from '../../core/array-port.ts';
import { ejsonDateSeconds } from './ejson.ts';
import { change, read, type RequestFor } from './request.ts';

/** zfs.snapshot.* is private from 25.10 on, pool.snapshot.* does not exist before it (truenas-api 10, F-317). */
export function snapshotNamespace(release: Release): 'zfs.snapshot' | 'pool.snapshot' {
  return release === '25.04' ? 'zfs.snapshot' : 'pool.snapshot';
}

const creation = z.looseObject({ rawvalue: z.string().nullish(), parsed: z.unknown().optional() }).transform((property): number | null => {
  const raw = property.rawvalue ?? '';
  if (/^[0-9]{1,12}$/.test(raw)) return Number(raw);
  const date = ejsonDateSeconds.safeParse(property.parsed);
  if (date.success) return date.data;
  return typeof property.parsed === 'number' ? Math.floor(property.parsed) : null;
});

const snapshotRow = z
  .looseObject({
    id: z.string().regex(/^[^@]+@[^@]+$/),
    createtxg: z.union([z.string().regex(/^[0-9]{1,16}$/), z.number().int().nonnegative()]),
    properties: z.looseObject({ creation: creation.optional() }).nullish(),
  })
  .transform((row): Snapshot => {
    const at = row.id.indexOf('@');
    return {
      id: row.id,
      dataset: row.id.slice(0, at),
      name: row.id.slice(at + 1),
      createtxg: Number(row.createtxg),
      creation: row.properties?.creation ?? null,
    };
  });

// From 26.0 on `properties` is {} unless they are named (truenas-api 7.2); `select` knows no nesting in this method.
const OPTIONS = { extra: { properties: ['creation'] }, select: ['id', 'createtxg', 'properties'] };
const READ_ROLES = { subject: 'snapshot', roles: ['SNAPSHOT_READ'] } as const;

/** All snapshots of one dataset, foreign ones too (F-319). */
export function snapshotsQuery(dataset: string): RequestFor<readonly Snapshot[]> {
  return (release) =>
    read(
      `${snapshotNamespace(release)}.query`,
      [[['dataset', '=', dataset]], OPTIONS],
      `list the snapshots of ${dataset}`,
      z.array(snapshotRow),
      READ_ROLES,
    );
}

/** One snapshot; a single `id =` is the filter that every release answers without a scan (truenas-api 7.2). */
export function snapshotQuery(id: string): RequestFor<readonly Snapshot[]> {
  return (release) =>
    read(`${snapshotNamespace(release)}.query`, [[['id', '=', id]], OPTIONS], `read snapshot ${id}`, z.array(snapshotRow), READ_ROLES);
}

/** Names of the dataset's snapshots that somebody holds: `holds` is {} where nobody does (truenas-api 7.2). */
export function heldSnapshotsQuery(dataset: string): RequestFor<readonly string[]> {
  const rows = z
    .array(z.looseObject({ id: z.string().regex(/^[^@]+@[^@]+$/), holds: z.record(z.string(), z.unknown()) }))
    .transform((all) => all.filter((row) => Object.keys(row.holds).length > 0).map((row) => row.id.slice(row.id.indexOf('@') + 1)));
  return (release) =>
    read(
      `${snapshotNamespace(release)}.query`,
      [[['dataset', '=', dataset]], { extra: { properties: [], holds: true }, select: ['id', 'holds'] }],
      `look for held snapshots of ${dataset}`,
      rows,
      READ_ROLES,
    );
}

/** A snapshot of this one dataset. */
export function snapshotCreate(dataset: string, name: string): RequestFor<Snapshot> {
  return (release) =>
    change(
      `${snapshotNamespace(release)}.create`,
      [{ dataset, name, recursive: false, vmware_sync: false, properties: {} }],
      `create snapshot ${dataset}@${name}`,
      snapshotRow,
      { subject: 'snapshot', roles: ['SNAPSHOT_WRITE'] },
    );
}

/** Not recursive, which destroys clones on 26.0; not deferred, which answers true and deletes later (truenas-api 10). */
export function snapshotDelete(id: string): RequestFor<unknown> {
  return (release) =>
    change(`${snapshotNamespace(release)}.delete`, [id, { defer: false, recursive: false }], `delete snapshot ${id}`, z.unknown(), {
      subject: 'snapshot',
      roles: ['SNAPSHOT_DELETE'],
    });
}

/** Not recursive: newer snapshots make TrueNAS refuse instead of being destroyed (F-318). */
export function snapshotRollback(id: string): RequestFor<unknown> {
  const options = { recursive: false, recursive_clones: false, force: false, recursive_rollback: false };
  return (release) =>
    change(`${snapshotNamespace(release)}.rollback`, [id, options], `roll back to ${id}`, z.unknown(), {
      subject: 'snapshot',
      roles: release === '25.04' ? ['FULL_ADMIN'] : ['SNAPSHOT_WRITE', 'POOL_WRITE'],
    });
}
