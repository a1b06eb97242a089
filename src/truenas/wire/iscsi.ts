import * as z from 'zod';
import type { CreateExtent, Extent, Mapping, Portal, Target, TargetSession } from '../../core/array-port.ts';
import { change, read, type RequestFor } from './request.ts';

const extentRow = z
  .looseObject({
    id: z.number().int(),
    name: z.string(),
    type: z.enum(['DISK', 'FILE']).catch('FILE'),
    disk: z.string().nullish(),
    path: z.string().nullish(),
    naa: z.string(),
    serial: z.string().nullish(),
    blocksize: z.number().int(),
    comment: z.string().nullish(),
    enabled: z.boolean(),
  })
  .transform((row): Extent => {
    const disk = row.disk ?? row.path ?? '';
    return {
      id: row.id,
      name: row.name,
      disk: row.type === 'DISK' && disk.startsWith('zvol/') ? disk : null,
      naa: row.naa,
      serial: row.serial ?? '',
      blocksize: row.blocksize,
      comment: row.comment ?? '',
      enabled: row.enabled,
    };
  });

const mappingRow = z
  .looseObject({ id: z.number().int(), target: z.number().int(), extent: z.number().int(), lunid: z.number().int().nonnegative() })
  .transform((row): Mapping => ({ id: row.id, target: row.target, extent: row.extent, lun: row.lunid }));

export type TargetRow = Omit<Target, 'iqn'>;

const targetRow = z
  .looseObject({
    id: z.number().int(),
    name: z.string(),
    groups: z.array(z.looseObject({ portal: z.number().int(), authmethod: z.enum(['NONE', 'CHAP', 'CHAP_MUTUAL']) })),
  })
  .transform(
    (row): TargetRow => ({
      id: row.id,
      name: row.name,
      groups: row.groups.map(({ portal, authmethod }) => ({ portal, authmethod })),
    }),
  );

const portalRow = z
  .looseObject({ id: z.number().int(), listen: z.array(z.looseObject({ ip: z.string(), port: z.number().int() })) })
  .transform((row): Portal => ({ id: row.id, listen: row.listen.map(({ ip, port }) => ({ ip, port })) }));

const EXTENT_FIELDS = ['id', 'name', 'type', 'disk', 'path', 'naa', 'serial', 'blocksize', 'comment', 'enabled'] as const;
const MAPPING_FIELDS = ['id', 'target', 'extent', 'lunid'] as const;

type Filter = readonly [field: string, operator: string, value: unknown];

/** Extents that match all filters. */
export function extentQuery(filters: readonly Filter[], what: string): RequestFor<readonly Extent[]> {
  return () =>
    read('iscsi.extent.query', [filters, { select: EXTENT_FIELDS }], what, z.array(extentRow), {
      subject: 'extent',
      roles: ['SHARING_ISCSI_EXTENT_READ'],
    });
}

/** Mappings of extents to targets that match all filters. */
export function mappingQuery(filters: readonly Filter[], what: string): RequestFor<readonly Mapping[]> {
  return () =>
    read('iscsi.targetextent.query', [filters, { select: MAPPING_FIELDS }], what, z.array(mappingRow), {
      subject: 'mapping',
      roles: ['SHARING_ISCSI_TARGETEXTENT_READ'],
    });
}

/** All targets; the wire IQN needs the base name of `iscsiBasename` too. */
export function targetQuery(): RequestFor<readonly TargetRow[]> {
  return () =>
    read('iscsi.target.query', [[], { select: ['id', 'name', 'groups'] }], 'list the iSCSI targets', z.array(targetRow), {
      roles: ['SHARING_ISCSI_TARGET_READ'],
    });
}

/** The base name that every target's IQN begins with (truenas-api 11). */
export function iscsiBasename(): RequestFor<string> {
  const config = z.looseObject({ basename: z.string().min(1) }).transform((entry) => entry.basename);
  return () => read('iscsi.global.config', [], 'read the iSCSI base name', config, { roles: ['SHARING_ISCSI_GLOBAL_READ'] });
}

/** All portals with their addresses. */
export function portalQuery(): RequestFor<readonly Portal[]> {
  return () =>
    read('iscsi.portal.query', [[], { select: ['id', 'listen'] }], 'list the iSCSI portals', z.array(portalRow), {
      roles: ['SHARING_ISCSI_PORTAL_READ'],
    });
}

/** Sessions on the targets (truenas-api 11). */
export function sessionQuery(): RequestFor<readonly TargetSession[]> {
  const row = z
    .looseObject({ target: z.string(), initiator: z.string(), initiator_addr: z.string() })
    .transform((entry): TargetSession => ({ target: entry.target, initiator: entry.initiator, address: entry.initiator_addr }));
  return () => read('iscsi.global.sessions', [[], {}], 'list the iSCSI sessions', z.array(row), { roles: ['SHARING_ISCSI_GLOBAL_READ'] });
}

/** The path of a zvol inside an extent: spaces become `+` (truenas-api 11). */
export function extentDisk(zvol: string): string {
  return `zvol/${zvol.replaceAll(' ', '+')}`;
}

/**
 * An extent over a zvol. `pblocksize: true` switches the report of a physical block size off: a 16K physical block over
 * 512-byte sectors makes newer QEMU refuse images that are no multiple of it (F-115); the sector size is the caller's
 * deliberate choice (F-116).
 */
export function extentCreate(extent: CreateExtent): RequestFor<Extent> {
  const payload = {
    name: extent.name,
    type: 'DISK',
    disk: extentDisk(extent.zvol),
    blocksize: extent.blocksize,
    pblocksize: true,
    comment: extent.comment,
    insecure_tpc: true,
    xen: false,
    rpm: 'SSD',
    ro: false,
    enabled: true,
  };
  return () =>
    change('iscsi.extent.create', [payload], `create extent ${extent.name}`, extentRow, {
      subject: 'extent',
      roles: ['SHARING_ISCSI_EXTENT_WRITE'],
    });
}

/** `remove: false`: only concerns FILE extents. `force: true`: the in-use test looks at whole targets (truenas-api 11). */
export function extentDelete(id: number): RequestFor<unknown> {
  return () =>
    change('iscsi.extent.delete', [id, false, true], `delete extent ${id}`, z.unknown(), {
      subject: 'extent',
      roles: ['SHARING_ISCSI_EXTENT_WRITE'],
    });
}

/** `lun` null: TrueNAS takes the lowest free one, without a lock (truenas-api 11). */
export function mappingCreate(target: number, extent: number, lun: number | null): RequestFor<Mapping> {
  const what = `map extent ${extent} to target ${target}${lun === null ? '' : ` as LUN ${lun}`}`;
  return () =>
    change('iscsi.targetextent.create', [{ target, extent, lunid: lun }], what, mappingRow, {
      subject: 'mapping',
      roles: ['SHARING_ISCSI_TARGETEXTENT_WRITE'],
    });
}

/** `force: true`: the in-use test is per target, so any node's session would block every LUN of it (truenas-api 11, F-107). */
export function mappingDelete(id: number): RequestFor<unknown> {
  return () =>
    change('iscsi.targetextent.delete', [id, true], `delete mapping ${id}`, z.unknown(), {
      subject: 'mapping',
      roles: ['SHARING_ISCSI_TARGETEXTENT_WRITE'],
    });
}
