import type { ArrayChange, ArrayPort, CreateExtent, Extent, Mapping, Target, Zvol } from '../core/array-port.ts';
import type { StorageError } from '../core/errors.ts';
import { RefusedError } from '../core/errors.ts';
import { type Meter, NO_METER } from '../core/metrics.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { ArrayGate } from './array-gate.ts';
import type { ArrayConfig, Tuning } from './array-key.ts';
import { isDeviceNotThereYet } from './error-map.ts';
import { toChange } from './events.ts';
import { CallPolicy } from './policy.ts';
import { Session } from './session.ts';
import { authority } from './tls.ts';
import { Vitals } from './vitals.ts';
import * as datasets from './wire/datasets.ts';
import * as iscsi from './wire/iscsi.ts';
import { namespaceDelete, namespaceQuery } from './wire/nvmet.ts';
import { poolQuery } from './wire/pools.ts';
import type { RequestFor } from './wire/request.ts';
import { rolesOfUser, serviceQuery, systemVersion } from './wire/session.ts';
import * as snapshots from './wire/snapshots.ts';

/** First and longest pause while the device node of a new zvol is waited for, ms (F-303). */
const DEVICE_WAIT = { first: 100, longest: 2000 };

export interface ArrayOptions {
  readonly config: ArrayConfig;
  /** Reads the key; called at each login, so that a new key is found without a restart. Errors: SECRET_MISSING. */
  readonly apiKey: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
  /** Default: nothing is measured. */
  readonly meter?: Meter;
  /** What all sessions with this array share; default: one of its own. */
  readonly gate?: ArrayGate;
}

/** The port, and what only the wiring needs. */
export interface TrueNasArray extends ArrayPort {
  /** Settings or key were changed: a session that was refused tries again at the next call (design law 9). */
  credentialChanged(): void;
  /** Logs in anew, with the certificates and the key as they are now; the session that stands goes on until then. */
  renew(): void;
  /** From now on these settings count. */
  tune(settings: Tuning): void;
}

/** TrueNAS as `ArrayPort`, over one session that is opened by the first call. Nothing happens before it. */
export function createArray(options: ArrayOptions): TrueNasArray {
  const { apiKey, clock, log } = options;
  const config = { ...options.config };
  const listeners = new Set<(change: ArrayChange) => void>();
  const tell = (change: ArrayChange): void => {
    for (const listener of [...listeners]) listener(change);
  };
  const gate = options.gate ?? new ArrayGate(clock);
  const vitals = new Vitals(clock, options.meter ?? NO_METER, authority(config));
  const session = new Session({
    config,
    apiKey,
    clock,
    log,
    gate,
    vitals,
    onNotification: (method, params) => {
      const change = method === 'collection_update' ? toChange(params) : null;
      if (change !== null) tell(change);
    },
    onReconnected: () => tell({ kind: 'reconnected' }),
  });
  const policy = new CallPolicy({
    session,
    gate,
    vitals,
    clock,
    tuning: config,
  });
  const run = <T>(build: RequestFor<T>, deadline: Deadline): Promise<T> => policy.run(build, deadline);
  const runVoid = async (build: RequestFor<unknown>, deadline: Deadline): Promise<void> => {
    await policy.run(build, deadline);
  };
  const single = async <T>(build: RequestFor<readonly T[]>, deadline: Deadline): Promise<T | null> => {
    const rows = await policy.run(build, deadline);
    return rows[0] ?? null;
  };

  return {
    connection: () => session.status(),
    ready: async (deadline) => {
      const { release, version } = await session.acquire(deadline);
      return { release, version };
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      listeners.clear();
      session.close();
      return Promise.resolve();
    },
    credentialChanged: () => session.credentialChanged(),
    renew: () => session.renew(),
    tune: ({ apiTimeoutMs, apiRetryMax, apiRetryDelayMs, connectionMaxAgeMs }) => {
      Object.assign(config, { apiTimeoutMs, apiRetryMax, apiRetryDelayMs, connectionMaxAgeMs } satisfies Tuning);
      session.tuned();
    },

    ping: (deadline) => runVoid(() => systemVersion(), deadline),
    dataset: (id, deadline) => single(datasets.datasetQuery([id]), deadline),
    datasets: (ids, deadline) => run(datasets.datasetQuery(ids), deadline),
    zvols: async (dataset, deadline) => {
      const below = await run(datasets.zvolsBelowQuery(dataset), deadline);
      return below.filter((zvol) => isChildOf(zvol, dataset));
    },
    zvol: (id, deadline) => single(datasets.zvolQuery(id), deadline),
    datasetAndZvol: async (dataset, zvol, deadline) => {
      const rows = await run(datasets.datasetAndZvolQuery(dataset, zvol), deadline);
      if (rows.dataset === null) throw datasetMissing(dataset);
      return { dataset: rows.dataset, zvol: rows.zvol };
    },
    extents: (deadline) => run(iscsi.extentQuery([], 'list the extents'), deadline),
    extent: (id, deadline) => single(iscsi.extentQuery([['id', '=', id]], `read extent ${id}`), deadline),
    extentByName: (name, deadline) => single(iscsi.extentQuery([['name', '=', name]], `look for extent ${name}`), deadline),
    mappings: (deadline) => run(iscsi.mappingQuery([], 'list the LUN mappings'), deadline),
    mapping: (id, deadline) => single(iscsi.mappingQuery([['id', '=', id]], `read mapping ${id}`), deadline),
    mappingsOfTarget: (target, deadline) =>
      run(iscsi.mappingQuery([['target', '=', target]], `list the LUN mappings of target ${target}`), deadline),
    mappingsOfExtent: (extent, deadline) =>
      run(iscsi.mappingQuery([['extent', '=', extent]], `list the LUN mappings of extent ${extent}`), deadline),
    targets: async (deadline) => {
      const [rows, basename] = await Promise.all([run(iscsi.targetQuery(), deadline), run(iscsi.iscsiBasename(), deadline)]);
      return rows.map((row): Target => ({ ...row, iqn: `${basename}:${row.name}` }));
    },
    portals: (deadline) => run(iscsi.portalQuery(), deadline),
    targetSessions: (deadline) => run(iscsi.sessionQuery(), deadline),
    pool: (name, deadline) => single(poolQuery(name), deadline),
    roles: (deadline) => run(() => rolesOfUser(), deadline),
    namespaces: async (deadline) => {
      const { release } = await session.acquire(deadline);
      return release === '25.04' ? [] : await run(namespaceQuery(), deadline);
    },
    heldSnapshots: (zvol, deadline) => run(snapshots.heldSnapshotsQuery(zvol), deadline),
    serviceRunning: (service, deadline) => run(() => serviceQuery(service), deadline),
    snapshots: (zvol, deadline) => run(snapshots.snapshotsQuery(zvol), deadline),
    snapshot: (id, deadline) => single(snapshots.snapshotQuery(id), deadline),
    clonesOf: (snapshot, deadline) => run(datasets.clonesQuery(snapshot), deadline),

    createZvol: (zvol, deadline) => run(datasets.zvolCreate(zvol), deadline),
    resizeZvol: (id, volsize, forceSize, deadline) => runVoid(datasets.zvolResize(id, volsize, forceSize), deadline),
    reserveZvol: (id, bytes, deadline) => runVoid(datasets.zvolReserve(id, bytes), deadline),
    deleteZvol: (id, deadline) => runVoid(datasets.zvolDelete(id), deadline),
    createExtent: (extent, deadline) => createExtent(run, clock, extent, deadline),
    deleteExtent: (id, deadline) => runVoid(iscsi.extentDelete(id), deadline),
    createMapping: (target, extent, lun, deadline): Promise<Mapping> => run(iscsi.mappingCreate(target, extent, lun), deadline),
    deleteMapping: (id, deadline) => runVoid(iscsi.mappingDelete(id), deadline),
    deleteNamespace: (id, deadline) => runVoid(namespaceDelete(id), deadline),
    createSnapshot: (zvol, name, deadline) => run(snapshots.snapshotCreate(zvol, name), deadline),
    deleteSnapshot: (id, deadline) => runVoid(snapshots.snapshotDelete(id), deadline),
    rollback: (snapshotId, deadline) => runVoid(snapshots.snapshotRollback(snapshotId), deadline),
  };
}

function isChildOf(zvol: Zvol, dataset: string): boolean {
  return zvol.id.startsWith(`${dataset}/`) && !zvol.id.slice(dataset.length + 1).includes('/');
}

function datasetMissing(dataset: string): StorageError {
  return new RefusedError('DATASET_MISSING', `the dataset ${dataset} does not exist on TrueNAS`, { errno: 2 });
}

/** Waits for the zvol's device node, which lags behind pool.dataset.create, by asking again: the refusal proves that nothing was made. */
async function createExtent(
  run: <T>(build: RequestFor<T>, deadline: Deadline) => Promise<T>,
  clock: Clock,
  extent: CreateExtent,
  deadline: Deadline,
): Promise<Extent> {
  for (let pause = DEVICE_WAIT.first; ; pause = Math.min(pause * 2, DEVICE_WAIT.longest)) {
    try {
      return await run(iscsi.extentCreate(extent), deadline);
    } catch (error) {
      if (!isDeviceNotThereYet(error) || deadline.remaining() <= pause) throw error;
      await clock.sleep(pause, deadline.signal);
    }
  }
}
