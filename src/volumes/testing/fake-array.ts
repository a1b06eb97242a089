import type {
  ArrayChange,
  ArrayConnection,
  ArrayPort,
  CreateExtent,
  CreateZvol,
  DatasetInfo,
  Extent,
  Mapping,
  Namespace,
  Pool,
  Portal,
  Release,
  Snapshot,
  Target,
  TargetSession,
  Zvol,
} from '../../core/array-port.ts';
import { NotSentError, OutcomeUnknownError, RefusedError, StorageError } from '../../core/errors.ts';

const QUIET = { latencyMs: 5, heardAt: 0, recentRetries: 0, limited: null, step: null, sessionSince: null, renewalError: null };

/** What befalls a call: `before`: it never takes effect; `after`: it does and the answer is lost; `down`: cannot be sent. */
export type Mishap = 'before' | 'after' | 'down';

/**
 * An array in memory for use case tests: the same port, no network. Every call is counted; mishaps are planned by
 * method and occurrence. Its rules are the few that use cases rely on; the simulator has the full ones.
 */
export class FakeArray implements ArrayPort {
  readonly calls: string[] = [];
  readonly zvolsById = new Map<string, Zvol>();
  readonly extentsById = new Map<number, Extent>();
  readonly mappingsById = new Map<number, Mapping>();
  readonly snapshotsById = new Map<string, Snapshot>();
  readonly namespacesById = new Map<number, Namespace>();
  readonly service = { running: true };
  release_: Release = '25.10';
  sessions_: TargetSession[] = [];
  pool_: Pool = { name: 'tank', status: 'ONLINE', healthy: true, detail: null };
  roles_: string[] = ['FULL_ADMIN'];
  /** Held snapshots, `dataset@name`. */
  readonly holds = new Set<string>();
  dataset_: DatasetInfo = {
    id: 'tank/pve',
    type: 'FILESYSTEM',
    used: 0,
    available: 1e12,
    quota: null,
    readonly: false,
    locked: false,
  };
  /** Datasets besides `dataset_`: those above it, and those of other storages. */
  ancestors_: DatasetInfo[] = [];
  targets_: Target[] = [{ id: 1, name: 'pve', iqn: 'iqn.2005-10.org.freenas.ctl:pve', groups: [{ portal: 1, authmethod: 'NONE' }] }];
  #mishaps: { method: string; nth: number; mishap: Mishap }[] = [];
  #hooks = new Map<string, () => void>();
  #counts = new Map<string, number>();
  #next = 1;
  #listeners = new Set<(change: ArrayChange) => void>();

  /** Plans a mishap for the n-th (from 1) call of a method from now on. */
  plan(method: string, mishap: Mishap, nth = 1): void {
    this.#mishaps.push({ method, nth: (this.#counts.get(method) ?? 0) + nth, mishap });
  }

  /** Runs once before the next call of `method` takes effect: what another node does in between. */
  before(method: string, run: () => void): void {
    this.#hooks.set(method, run);
  }

  count(...methods: string[]): number {
    return this.calls.filter((call) => methods.includes(call)).length;
  }

  emit(change: ArrayChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #call<T>(method: string, effect: () => T): Promise<T> {
    this.calls.push(method);
    const nth = (this.#counts.get(method) ?? 0) + 1;
    this.#counts.set(method, nth);
    const hook = this.#hooks.get(method);
    this.#hooks.delete(method);
    hook?.();
    const mishap = this.#mishaps.find((one) => one.method === method && one.nth === nth)?.mishap;
    if (mishap === 'down') return Promise.reject(new NotSentError('CALL_NOT_SENT', `${method} was not sent`));
    if (mishap === 'before') return Promise.reject(new OutcomeUnknownError('OUTCOME_UNKNOWN', `${method}: no answer`));
    return new Promise((resolve) => {
      const value = effect();
      if (mishap === 'after') throw new OutcomeUnknownError('OUTCOME_UNKNOWN', `${method}: no answer`);
      resolve(value);
    });
  }

  connection(): ArrayConnection {
    return { state: 'ready', since: 0, error: null, release: this.release_, version: 'TrueNAS-25.10.6', logins: 1, inFlight: 0, ...QUIET };
  }
  ready(): Promise<{ release: Release; version: string }> {
    return Promise.resolve({ release: this.release_, version: 'TrueNAS-25.10.6' });
  }
  onChange(listener: (change: ArrayChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }

  ping = (): Promise<void> => this.#call('ping', () => undefined);
  dataset = (id: string): Promise<DatasetInfo | null> => this.#call('dataset', () => this.#dataset(id));
  datasets = (ids: readonly string[]): Promise<DatasetInfo[]> =>
    this.#call('datasets', () => [this.dataset_, ...this.ancestors_].filter((one) => ids.includes(one.id)));
  zvols = (dataset: string): Promise<Zvol[]> =>
    this.#call('zvols', () => [...this.zvolsById.values()].filter((zvol) => zvol.id.slice(0, zvol.id.lastIndexOf('/')) === dataset));
  zvol = (id: string): Promise<Zvol | null> => this.#call('zvol', () => this.zvolsById.get(id) ?? null);
  datasetAndZvol = (dataset: string, id: string): Promise<{ dataset: DatasetInfo; zvol: Zvol | null }> =>
    this.#call('datasetAndZvol', () => {
      const info = this.#dataset(dataset);
      if (info === null) throw new RefusedError('DATASET_MISSING', `${dataset} does not exist`, { errno: 2 });
      return { dataset: info, zvol: this.zvolsById.get(id) ?? null };
    });
  extents = (): Promise<Extent[]> => this.#call('extents', () => [...this.extentsById.values()]);
  extent = (id: number): Promise<Extent | null> => this.#call('extent', () => this.extentsById.get(id) ?? null);
  extentByName = (name: string): Promise<Extent | null> =>
    this.#call('extentByName', () => [...this.extentsById.values()].find((extent) => extent.name === name) ?? null);
  mappings = (): Promise<Mapping[]> => this.#call('mappings', () => [...this.mappingsById.values()]);
  mapping = (id: number): Promise<Mapping | null> => this.#call('mapping', () => this.mappingsById.get(id) ?? null);
  mappingsOfTarget = (target: number): Promise<Mapping[]> =>
    this.#call('mappingsOfTarget', () => [...this.mappingsById.values()].filter((mapping) => mapping.target === target));
  mappingsOfExtent = (extent: number): Promise<Mapping[]> =>
    this.#call('mappingsOfExtent', () => [...this.mappingsById.values()].filter((mapping) => mapping.extent === extent));
  targets = (): Promise<Target[]> => this.#call('targets', () => this.targets_);
  portals = (): Promise<Portal[]> => this.#call('portals', () => [{ id: 1, listen: [{ ip: '127.0.0.1', port: 3260 }] }]);
  targetSessions = (): Promise<TargetSession[]> => this.#call('targetSessions', () => this.sessions_);
  pool = (name: string): Promise<Pool | null> => this.#call('pool', () => (name === this.pool_.name ? this.pool_ : null));
  roles = (): Promise<string[]> => this.#call('roles', () => this.roles_);
  namespaces = (): Promise<Namespace[]> => this.#call('namespaces', () => [...this.namespacesById.values()]);
  heldSnapshots = (zvol: string): Promise<string[]> =>
    this.#call('heldSnapshots', () => [...this.holds].filter((id) => id.startsWith(`${zvol}@`)).map((id) => id.slice(id.indexOf('@') + 1)));
  serviceRunning = (): Promise<boolean> => this.#call('serviceRunning', () => this.service.running);
  snapshots = (zvol: string): Promise<Snapshot[]> =>
    this.#call('snapshots', () => [...this.snapshotsById.values()].filter((snapshot) => snapshot.dataset === zvol));
  snapshot = (id: string): Promise<Snapshot | null> => this.#call('snapshot', () => this.snapshotsById.get(id) ?? null);
  clonesOf = (id: string): Promise<string[]> =>
    this.#call('clonesOf', () => [...this.zvolsById.values()].filter((zvol) => zvol.origin === id).map((zvol) => zvol.id));

  createZvol = (request: CreateZvol): Promise<Zvol> =>
    this.#call('createZvol', () => {
      if (this.zvolsById.has(request.id)) throw new RefusedError('VOLUME_EXISTS', 'dataset already exists', { errno: 14 });
      return this.putZvol(request.id, { ...request, used: 0, origin: null, creation: this.#next });
    });
  reserveZvol = (id: string, bytes: number): Promise<void> =>
    this.#call('reserveZvol', () => void this.zvolsById.set(id, { ...this.#zvol(id), used: bytes }));
  resizeZvol = (id: string, volsize: number): Promise<void> =>
    this.#call('resizeZvol', () => void this.zvolsById.set(id, { ...this.#zvol(id), volsize }));
  deleteZvol = (id: string): Promise<void> =>
    this.#call('deleteZvol', () => {
      this.#zvol(id);
      if ([...this.extentsById.values()].some((extent) => extent.disk === `zvol/${id}`)) {
        throw new Error(`test: '${id}' was deleted while it was exported: TrueNAS would delete the target with it`);
      }
      if ([...this.snapshotsById.values()].some((snapshot) => snapshot.dataset === id)) {
        throw new RefusedError('CALL_REFUSED', 'volume has children', { errno: 14 });
      }
      this.zvolsById.delete(id);
    });
  createExtent = (request: CreateExtent): Promise<Extent> =>
    this.#call('createExtent', () => {
      if ([...this.extentsById.values()].some((extent) => extent.name === request.name)) {
        throw new RefusedError('CALL_REFUSED', 'Extent name must be unique', { errno: 22 });
      }
      return this.putExtent(request.name, request.zvol);
    });
  deleteExtent = (id: number): Promise<void> =>
    this.#call('deleteExtent', () => {
      if (!this.extentsById.delete(id)) throw new RefusedError('EXPORT_MISSING', 'gone', { errno: 2 });
    });
  createMapping = (target: number, extent: number, lun: number | null): Promise<Mapping> =>
    this.#call('createMapping', () => {
      if ([...this.mappingsById.values()].some((one) => one.target === target && one.lun === lun)) {
        throw new RefusedError('LUN_CONFLICT', 'LUN ID is already being used for this target.', { errno: 22 });
      }
      return this.putMapping(target, extent, lun ?? 0);
    });
  deleteMapping = (id: number): Promise<void> =>
    this.#call('deleteMapping', () => {
      if (!this.mappingsById.delete(id)) throw new RefusedError('EXPORT_MISSING', 'gone', { errno: 2 });
    });
  deleteNamespace = (id: number): Promise<void> =>
    this.#call('deleteNamespace', () => {
      if (!this.namespacesById.delete(id)) throw new RefusedError('EXPORT_MISSING', 'gone', { errno: 2 });
    });
  createSnapshot = (zvol: string, name: string): Promise<Snapshot> =>
    this.#call('createSnapshot', () => {
      if (this.snapshotsById.has(`${zvol}@${name}`)) throw new RefusedError('SNAPSHOT_EXISTS', 'already exists', { errno: 17 });
      return this.putSnapshot(zvol, name);
    });
  deleteSnapshot = (id: string): Promise<void> => this.#call('deleteSnapshot', () => void this.snapshotsById.delete(id));
  rollback = (id: string): Promise<void> =>
    this.#call('rollback', () => {
      if (!this.snapshotsById.has(id)) throw new RefusedError('SNAPSHOT_MISSING', 'missing', { errno: 2 });
    });

  putZvol(id: string, given: Partial<Zvol> = {}): Zvol {
    const zvol: Zvol = {
      id,
      volsize: given.volsize ?? 1 << 30,
      volblocksize: given.volblocksize ?? 16384,
      used: given.used ?? 0,
      written: given.written ?? 0,
      origin: given.origin ?? null,
      creation: given.creation ?? this.#next++,
      userProperties: given.userProperties ?? {},
    };
    this.zvolsById.set(id, zvol);
    return zvol;
  }
  putExtent(name: string, zvol: string): Extent {
    const id = this.#next++;
    const naa = `0x6589cfc000000${id.toString(16).padStart(19, '0')}`;
    const extent: Extent = { id, name, disk: `zvol/${zvol}`, naa, serial: `s${id}`, blocksize: 512, comment: '', enabled: true };
    this.extentsById.set(id, extent);
    return extent;
  }
  putMapping(target: number, extent: number, lun: number): Mapping {
    const mapping = { id: this.#next++, target, extent, lun };
    this.mappingsById.set(mapping.id, mapping);
    return mapping;
  }
  putSnapshot(zvol: string, name: string): Snapshot {
    const id = this.#next++;
    const snapshot = { id: `${zvol}@${name}`, dataset: zvol, name, createtxg: id, creation: id };
    this.snapshotsById.set(snapshot.id, snapshot);
    return snapshot;
  }
  /** Everything an operation could leave behind, for "as empty as before". */
  contents(): { zvols: number; extents: number; mappings: number; snapshots: number } {
    return {
      zvols: this.zvolsById.size,
      extents: this.extentsById.size,
      mappings: this.mappingsById.size,
      snapshots: this.snapshotsById.size,
    };
  }

  #dataset(id: string): DatasetInfo | null {
    return id === this.dataset_.id ? this.dataset_ : (this.ancestors_.find((one) => one.id === id) ?? null);
  }
  #zvol(id: string): Zvol {
    const zvol = this.zvolsById.get(id);
    if (zvol === undefined) throw new StorageError('VOLUME_MISSING', `${id} does not exist`);
    return zvol;
  }
}
