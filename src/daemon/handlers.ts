import { configInvalid, hasError } from '../config/config-invalid.ts';
import type { ConfigFault } from '../config/storage-config.ts';
import { withDeadline } from '../core/deadline.ts';
import { StorageError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import type { MetricSnapshot } from '../observe/metrics.ts';
import { OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, type StorageParam } from '../protocol/envelope.ts';
import type { Result } from '../protocol/methods.ts';
import { allocate } from '../volumes/allocate.ts';
import { attach, detach } from '../volumes/attach.ts';
import type { StorageContext } from '../volumes/context.ts';
import { free } from '../volumes/free.ts';
import { type ChangingOperation, sayingState } from '../volumes/left-state.ts';
import { knownLun } from '../volumes/lookup.ts';
import { listVolumes, volumePath, volumeSize } from '../volumes/read-volumes.ts';
import { preflightRequest } from '../volumes/preflight/run.ts';
import { resize } from '../volumes/resize.ts';
import { createSnapshot, deleteSnapshot, listSnapshots, rollback, rollbackBlockers } from '../volumes/snapshots.ts';
import type { MetricsSource } from './collect-metrics.ts';
import type { Orphans } from './orphans.ts';
import type { Overview } from './overview.ts';
import type { Handlers } from './rpc.ts';
import type { StateWatch } from './state-watch.ts';
import type { Judgement, Occasion } from './validation.ts';

/** ms within which status and check_connection answer whatever the array does: pvestatd serves all storages in turn (F-013). */
const STATUS_MS = 2_000;

export interface HandlerOptions {
  readonly resolve: (storage: StorageParam) => Promise<StorageContext>;
  readonly forget: (id: string) => Promise<void>;
  readonly judge: (storage: StorageParam, occasion: Occasion, deadline: Deadline) => Promise<Judgement>;
  readonly passedOver: (storage: StorageParam) => Promise<readonly ConfigFault[]>;
  readonly overview: Overview;
  readonly orphans: Orphans;
  readonly metrics: MetricsSource;
  readonly watch: StateWatch;
  readonly version: string;
  readonly node: string;
  readonly clock: Clock;
}

/** Binds every method of the socket to its use case. */
export function createHandlers(options: HandlerOptions): Handlers {
  const { resolve, forget, judge, passedOver, overview, orphans, watch, metrics, clock } = options;
  const started = clock.monotonic();
  const on = async <T>(storage: StorageParam, work: (context: StorageContext) => Promise<T>): Promise<T> =>
    work(watch.see(await resolve(storage)));
  const change = <T>(method: ChangingOperation, storage: StorageParam, work: (context: StorageContext) => Promise<T>): Promise<T> =>
    sayingState(method, () => resolve(storage), work);
  /** For the calls by which PVE asks whether the storage works: what PVE passed over in storage.cfg makes it inactive. */
  const onWhole = async <T>(storage: StorageParam, work: (context: StorageContext) => Promise<T>): Promise<T> => {
    const lost = await passedOver(storage);
    if (lost.length > 0) throw configInvalid(storage.id, lost);
    return on(storage, work);
  };
  const brief = <T>(deadline: Deadline, what: string, work: (own: Deadline) => Promise<T>): Promise<T> =>
    withDeadline(clock, Math.min(STATUS_MS, Math.max(1, deadline.remaining())), what, work, deadline.signal);

  return {
    'daemon.hello': () =>
      Promise.resolve({
        version: options.version,
        protocol: PROTOCOL_VERSION,
        oldest_protocol: OLDEST_PROTOCOL_VERSION,
        node: options.node,
        pid: process.pid,
        uptime_s: Math.round((clock.monotonic() - started) / 1000),
      }),

    'storage.validate': async ({ storage, action, removed }, deadline) => {
      const { faults } = await judge(storage, { action, removed: removed ?? [] }, deadline);
      if (hasError(faults)) throw configInvalid(storage.id, faults);
      return { warnings: [...faults] };
    },
    'storage.probe': async ({ storage }, deadline) => {
      const { asked, faults } = await judge(storage, { action: 'probe', removed: [] }, deadline);
      return { asked, faults: [...faults] };
    },
    'storage.forget': async ({ storage }) => {
      await forget(storage.id);
      return {};
    },
    'storage.check': async ({ storage }, deadline) =>
      onWhole(storage, async (context) => {
        const { active, reason } = await brief(deadline, 'connecting', (own) => watch.status(context, own));
        return { reachable: active, ...(reason === undefined ? {} : { reason }) };
      }),
    'storage.activate': async ({ storage }, deadline) =>
      onWhole(storage, async (context) => {
        await context.inventory.ready(context.config.dataset, deadline);
        return {};
      }),
    'storage.status': async ({ storage }, deadline) =>
      onWhole(storage, (context) => brief(deadline, 'reading the status', (own) => watch.status(context, own))),

    'volume.list': async ({ storage, vmid, volumes }, deadline) =>
      on(storage, async (context) => {
        const filter = { ...(vmid === undefined ? {} : { vmid }), ...(volumes === undefined ? {} : { volumes }) };
        const listed = await listVolumes(context, filter, deadline);
        return { volumes: listed.map(({ volume, ...row }) => row) };
      }),
    'volume.allocate': async ({ storage, vmid, name, size }, deadline) =>
      change('volume.allocate', storage, async (context) => ({
        volname: await allocate(context, { vmid, size, ...(name === undefined ? {} : { name }) }, deadline),
      })),
    'volume.free': async ({ storage, volume }, deadline) =>
      change('volume.free', storage, async (context) => {
        await free(context, volume, deadline);
        return {};
      }),
    'volume.size': async ({ storage, volume }, deadline) => on(storage, (context) => volumeSize(context, volume, deadline)),
    'volume.path': async ({ storage, volume, snapshot }, deadline) =>
      on(storage, async (context) => {
        if (snapshot !== undefined) throw new StorageError('NOT_SUPPORTED', `storage '${storage.id}' cannot open a snapshot as a disk`);
        return { path: await volumePath(context, volume, deadline, (found) => context.host.path(knownLun(context, found))) };
      }),
    'volume.activate': async ({ storage, volume, snapshot }, deadline) =>
      change('volume.activate', storage, async (context) => ({ path: await attach(context, context.host, volume, snapshot, deadline) })),
    'volume.deactivate': async ({ storage, volume, snapshot }, deadline) =>
      change('volume.deactivate', storage, async (context) => {
        await detach(context, volume, snapshot, deadline);
        return {};
      }),
    'volume.map': async ({ storage, volume, snapshot }, deadline) =>
      change('volume.map', storage, async (context) => ({ path: await attach(context, context.kernel, volume, snapshot, deadline) })),
    'volume.resize': async ({ storage, volume, size }, deadline) =>
      change('volume.resize', storage, async (context) => ({ size: await resize(context, volume, size, deadline) })),

    'snapshot.create': async ({ storage, volume, snapshot }, deadline) =>
      change('snapshot.create', storage, async (context) => {
        await createSnapshot(context, volume, snapshot, deadline);
        return {};
      }),
    'snapshot.delete': async ({ storage, volume, snapshot }, deadline) =>
      change('snapshot.delete', storage, async (context) => {
        await deleteSnapshot(context, volume, snapshot, deadline);
        return {};
      }),
    'snapshot.rollback': async ({ storage, volume, snapshot }, deadline) =>
      change('snapshot.rollback', storage, async (context) => {
        await rollback(context, volume, snapshot, deadline);
        return {};
      }),
    'snapshot.rollback-check': async ({ storage, volume, snapshot }, deadline) =>
      on(storage, async (context) => ({ blockers: [...(await rollbackBlockers(context, volume, snapshot, deadline))] })),
    'snapshot.list': async ({ storage, volume }, deadline) =>
      on(storage, async (context) => ({
        snapshots: (await listSnapshots(context, volume, deadline)).map((snapshot) => ({
          name: snapshot.name,
          id: snapshot.id,
          ...(snapshot.creation === null ? {} : { ctime: snapshot.creation }),
        })),
      })),

    'overview.status': ({ storage_id }, deadline) => overview.status(storage_id, deadline),
    'overview.list': ({ storage_id, vmid }, deadline) => overview.list(storage_id, vmid, deadline),
    'overview.preflight': ({ storage_id, operation, size, volume, snapshot }, deadline) =>
      overview.preflight(storage_id, preflightRequest({ operation, size, volume, snapshot }), deadline),
    'overview.health': ({ storage_id }, deadline) => overview.health(storage_id, deadline),
    'overview.orphans': ({ storage_id }, deadline) => orphans.look(storage_id, deadline),
    'orphan.delete': (params, deadline) => orphans.delete(params, deadline),
    'overview.metrics': async () => ({ metrics: (await metrics.snapshot()).map(metricRow) }),
    'overview.exposition': async ({ format }) => ({ text: await metrics.text(format) }),
  };
}

/** Without the half that the type of the metric does not have. */
function metricRow({ values, distributions, ...row }: MetricSnapshot): Result<'overview.metrics'>['metrics'][number] {
  return row.type === 'histogram' ? { ...row, distributions: [...distributions] } : { ...row, values: [...values] };
}
