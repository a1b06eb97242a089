import * as z from 'zod';
import { commonParams, storageParam } from './envelope.ts';

const bytes = z.int().min(0);
const volname = z.string().min(1).max(300);
const snapname = z.string().min(1).max(64);
const onStorage = { ...commonParams, storage: storageParam };
const onVolume = { ...onStorage, volume: volname };

const fault = z.object({ setting: z.string(), severity: z.enum(['error', 'warning', 'hint']), message: z.string(), cure: z.string() });
const storageState = z
  .enum(['healthy', 'degraded', 'down', 'unused'])
  .describe('unused: disabled in storage.cfg or not for this node; nobody is asked then');

const storageStatus = z.object({
  active: z.boolean(),
  total: bytes,
  available: bytes,
  used: bytes,
  /** ms since these numbers were read */
  age_ms: z.int().min(0),
  /** why it is inactive */
  reason: z.string().optional(),
});

const healthCheck = z.object({
  name: z.string(),
  state: z.enum(['ok', 'warning', 'critical']),
  message: z.string(),
  cure: z.string().optional(),
});

const labels = z.record(z.string(), z.string());
const metric = z.object({
  name: z.string(),
  type: z.enum(['counter', 'gauge', 'histogram']),
  help: z.string(),
  values: z
    .array(z.object({ labels, value: z.number() }))
    .describe('of counters and gauges')
    .optional(),
  distributions: z
    .array(
      z.object({
        labels,
        count: z.int().min(0),
        sum: z.number().describe('in the unit of the name, as are mean and quantiles, which are null when nothing was measured'),
        mean: z.number().nullable(),
        p50: z.number().nullable().describe('estimated from the buckets; what lies above the largest bound is told as that bound'),
        p95: z.number().nullable(),
      }),
    )
    .describe('of histograms')
    .optional(),
});

const orphan = z.object({
  /** names the one object that was seen; for `orphan.delete` */
  id: z.string(),
  kind: z.string(),
  name: z.string(),
  /** seconds since it was made, null where the array does not tell */
  age_s: z.int().min(0).nullable(),
  /** seconds since this daemon first saw it as an orphan */
  seen_s: z.int().min(0),
  size: bytes.nullable(),
  reason: z.string(),
  /** only `certain` ones are cleaned up */
  certainty: z.enum(['certain', 'likely', 'unsure']),
  /** what a clean-up does, or what a person can do */
  action: z.string(),
  /** deleting it destroys a zvol */
  data: z.boolean(),
});

function method<P extends z.ZodType, R extends z.ZodType>(params: P, result: R): { params: P; result: R } {
  return { params, result };
}

/**
 * Every method of the socket. Sizes are bytes, times are Unix seconds unless the name says otherwise.
 * `storages` methods with `storage` take the section from the caller (PVE's parsed storage.cfg); `overview.*` read
 * /etc/pve/storage.cfg themselves and serve the command line.
 */
export const METHODS = {
  'daemon.hello': method(
    z.strictObject(commonParams),
    z.object({ version: z.string(), protocol: z.int(), oldest_protocol: z.int(), node: z.string(), pid: z.int(), uptime_s: z.number() }),
  ),

  /**
   * Checks a section before storage.cfg is written (on_add_hook, on_update_hook): settings, secrets, then the array. Changes
   * nothing. `removed`: secrets whose line in storage.cfg is about to go. Fails with CONFIG_INVALID and all faults.
   */
  'storage.validate': method(
    z.strictObject({
      ...onStorage,
      action: z.enum(['add', 'update']),
      removed: z
        .array(z.enum(['api_key', 'chap_password']))
        .max(2)
        .optional(),
    }),
    z.object({ warnings: z.array(fault) }),
  ),
  /** The same for a section that stands somewhere, with all faults as the answer. `asked`: the array was looked at. */
  'storage.probe': method(z.strictObject(onStorage), z.object({ asked: z.boolean(), faults: z.array(fault) })),
  /** on_delete_hook: forgets session and cache of the storage; touches neither volumes nor the array. */
  'storage.forget': method(z.strictObject(onStorage), z.object({})),
  /** check_connection: from the live session, no call when it is fresh. */
  'storage.check': method(z.strictObject(onStorage), z.object({ reachable: z.boolean(), reason: z.string().optional() })),
  /** activate_storage: cheap when already active. */
  'storage.activate': method(z.strictObject(onStorage), z.object({})),
  'storage.status': method(z.strictObject(onStorage), storageStatus),

  'volume.list': method(
    z.strictObject({ ...onStorage, vmid: z.int().min(1).optional(), volumes: z.array(volname).max(100_000).optional() }),
    z.object({
      volumes: z.array(
        z.object({ volname, size: bytes, vmid: z.int(), used: bytes, parent: z.string().optional(), ctime: z.int().optional() }),
      ),
    }),
  ),
  'volume.allocate': method(
    z.strictObject({ ...onStorage, vmid: z.int().min(1), name: volname.optional(), size: z.number() }),
    z.object({ volname }),
  ),
  'volume.free': method(z.strictObject(onVolume), z.object({})),
  'volume.size': method(
    z.strictObject(onVolume),
    z.object({ size: bytes, used: bytes, parent: z.string().optional(), ctime: z.int().optional() }),
  ),
  /** Where PVE finds the volume. From the inventory; needed only where `truenas-initiator` is `qemu`. */
  'volume.path': method(z.strictObject({ ...onVolume, snapshot: snapname.optional() }), z.object({ path: z.string() })),
  'volume.activate': method(z.strictObject({ ...onVolume, snapshot: snapname.optional() }), z.object({ path: z.string() })),
  'volume.deactivate': method(z.strictObject({ ...onVolume, snapshot: snapname.optional() }), z.object({})),
  /** map_volume: a block device on this node also where QEMU does the iSCSI itself. */
  'volume.map': method(z.strictObject({ ...onVolume, snapshot: snapname.optional() }), z.object({ path: z.string() })),
  'volume.resize': method(z.strictObject({ ...onVolume, size: z.number(), running: z.boolean().optional() }), z.object({ size: bytes })),

  'snapshot.create': method(z.strictObject({ ...onVolume, snapshot: snapname }), z.object({})),
  'snapshot.delete': method(z.strictObject({ ...onVolume, snapshot: snapname }), z.object({})),
  'snapshot.rollback': method(z.strictObject({ ...onVolume, snapshot: snapname }), z.object({})),
  /** volume_rollback_is_possible: `blockers` are the newer snapshots' names, oldest first; empty = possible. */
  'snapshot.rollback-check': method(z.strictObject({ ...onVolume, snapshot: snapname }), z.object({ blockers: z.array(z.string()) })),
  'snapshot.list': method(
    z.strictObject(onVolume),
    z.object({ snapshots: z.array(z.object({ name: z.string(), id: z.string(), ctime: z.int().optional() })) }),
  ),

  /** All storages of this type in storage.cfg with their status. */
  'overview.status': method(
    z.strictObject({ ...commonParams, storage_id: z.string().max(100).optional() }),
    z.object({
      storages: z.array(
        z.object({
          id: z.string(),
          state: storageState,
          since: z.int().optional().describe('when it came into this state; absent when it could not be set up at all'),
          reason: z.string().optional().describe('why it is not healthy, in one line'),
          reasons: z.array(z.object({ code: z.string(), message: z.string() })).describe('the same one by one, the gravest first'),
          api: z.string(),
          version: z.string().optional().describe('of TrueNAS, as it said last'),
          dataset: z.string(),
          total: bytes,
          available: bytes,
          used: bytes,
          volumes: z.int().nullable().describe('null while TrueNAS cannot be asked'),
        }),
      ),
    }),
  ),
  'overview.list': method(
    z.strictObject({ ...commonParams, storage_id: z.string().max(100).optional(), vmid: z.int().min(1).optional() }),
    z.object({
      volumes: z.array(
        z.object({
          storage: z.string(),
          volid: z.string(),
          vmid: z.int(),
          size: bytes,
          used: bytes,
          lun: z.int().nullable(),
          naa: z.string().nullable(),
          ctime: z.int().optional(),
          parent: z.string().optional(),
        }),
      ),
      /** Storages of which nothing is listed, since they could not be asked; only where all storages were asked for. */
      failed: z
        .array(
          z.object({ storage: z.string(), code: z.string(), message: z.string(), causes: z.array(z.string()), hints: z.array(z.string()) }),
        )
        .optional(),
    }),
  ),
  /** What `volume.allocate`, `volume.resize` and `snapshot.rollback` check before their first change, all read now; changes nothing. */
  'overview.preflight': method(
    z.strictObject({
      ...commonParams,
      storage_id: z.string().max(100),
      operation: z.enum(['allocate', 'clone', 'resize', 'rollback']),
      /** of the new volume, or the whole new size of `volume` */
      size: z.number().optional(),
      /** the name of the new volume, the source of a clone, or the volume that is resized or rolled back */
      volume: volname.optional(),
      snapshot: snapname.optional(),
    }),
    z.object({
      storage: z.string(),
      operation: z.string(),
      /** no check is critical */
      ok: z.boolean(),
      checks: z.array(healthCheck),
    }),
  ),
  'overview.health': method(
    z.strictObject({ ...commonParams, storage_id: z.string().max(100).optional() }),
    z.object({
      state: z.enum(['ok', 'warning', 'critical']),
      daemon: z.object({ version: z.string(), open_operations: z.int() }),
      storages: z.array(z.object({ id: z.string(), state: z.enum(['ok', 'warning', 'critical']), checks: z.array(healthCheck) })),
    }),
  ),

  /** What the daemon counted since its start, and how things are now; asks no array. docs/reference/metrics.md says what each is. */
  'overview.metrics': method(z.strictObject(commonParams), z.object({ metrics: z.array(metric) })),
  /** The same as text: OpenMetrics 1.0, or the text format of Prometheus. */
  'overview.exposition': method(
    z.strictObject({ ...commonParams, format: z.enum(['openmetrics', 'prometheus']) }),
    z.object({ text: z.string() }),
  ),
  /**
   * Orphans of the array and of this node, read now. A storage that could not be read completely has `complete: false`, the reason, and no
   * orphans at all.
   */
  'overview.orphans': method(
    z.strictObject({ ...commonParams, storage_id: z.string().max(100).optional() }),
    z.object({
      storages: z.array(
        z.object({
          id: z.string(),
          complete: z.boolean(),
          error: z.object({ code: z.string(), message: z.string() }).optional(),
          orphans: z.array(orphan),
          notes: z.array(z.string()),
        }),
      ),
      node: z.object({ name: z.string(), orphans: z.array(orphan), notes: z.array(z.string()) }),
    }),
  ),
  /** Deletes one certain orphan after judging it anew. `storage_id` as in the list that the id is from; absent for one of the node. */
  'orphan.delete': method(
    z.strictObject({
      ...commonParams,
      storage_id: z.string().max(100).optional(),
      orphan_id: z.string().min(3).max(1000),
      include_volumes: z.boolean(),
    }),
    z.object({
      outcome: z.enum(['deleted', 'gone', 'kept']),
      message: z.string(),
      /** what was deleted, enough to make it again */
      was: z.record(z.string(), z.unknown()),
    }),
  ),
} as const;

export type MethodName = keyof typeof METHODS;
export type Params<M extends MethodName> = z.infer<(typeof METHODS)[M]['params']>;
export type Result<M extends MethodName> = z.infer<(typeof METHODS)[M]['result']>;
