import { CallError, type SimRelease, type SimServices } from '../api/contract.ts';
import type { LunServer } from '../blocks/lun-server.ts';
import type { NvmeServer } from '../blocks/nvme-server.ts';
import { servedTargets, zvolOfPath } from './iscsi/exports.ts';
import type { IscsiState } from './iscsi/iscsi-state.ts';
import { servedNvme } from './nvmet/exports.ts';
import type { NvmetState } from './nvmet/nvmet-state.ts';
import { NvmeSessions } from './nvmet/sessions.ts';
import type { PoolState } from './pool-state.ts';
import type { ServicesState } from './services-state.ts';
import type { CloneOperations, DatasetOperations, PoolSpace, SnapshotOperations, ZfsEngine, ZfsReader } from './zfs/engine.ts';
import type { ZfsState } from './zfs/zfs-state.ts';

export interface ArrayParts {
  readonly services: SimServices;
  readonly zfs: ZfsState;
  readonly engine: ZfsEngine;
  readonly pool: PoolState;
  readonly iscsi: IscsiState;
  readonly nvmet: NvmetState;
  readonly serviceStates: ServicesState;
  readonly luns: LunServer;
  /** null: there is no wire */
  readonly nvme: NvmeServer | null;
  /** addresses of the machine that portals may listen on */
  readonly addresses: readonly string[];
  /** the port the target service really listens on, when it cannot be another; null: any */
  readonly fixedPort: number | null;
  readonly zvolDeviceLag: number;
}

/** Everything a method of the simulated array works on. */
export class ArrayCore {
  readonly release: SimRelease;
  readonly services: SimServices;
  readonly zfs: ZfsState;
  readonly pool: PoolState;
  readonly space: PoolSpace;
  readonly datasets: DatasetOperations;
  readonly snapshots: SnapshotOperations;
  readonly clones: CloneOperations;
  readonly engine: ZfsEngine;
  readonly iscsi: IscsiState;
  readonly nvmet: NvmetState;
  readonly nvmeSessions = new NvmeSessions();
  readonly serviceStates: ServicesState;
  readonly luns: LunServer;
  private readonly nvme: NvmeServer | null;
  /** addresses of the machine, known when it has started */
  addresses: readonly string[];
  readonly fixedPort: number | null;
  /** Fault: how many looks at a new zvol's device node find nothing. */
  zvolDeviceLag: number;
  /** Fault: every reload of a running target service fails. */
  reloadFails = false;

  private readonly looks = new Map<string, number>();
  private readonly held = new Set<string>();
  private exported = new Set<string>();
  private applying: Promise<void> = Promise.resolve();
  private queued: Promise<void> | null = null;
  private applyingNvme: Promise<void> = Promise.resolve();

  constructor(parts: ArrayParts) {
    this.services = parts.services;
    this.release = parts.services.release;
    this.zfs = parts.zfs;
    this.pool = parts.pool;
    this.engine = parts.engine;
    this.space = parts.engine.space;
    this.datasets = parts.engine.datasets;
    this.snapshots = parts.engine.snapshots;
    this.clones = parts.engine.clones;
    this.iscsi = parts.iscsi;
    this.nvmet = parts.nvmet;
    this.serviceStates = parts.serviceStates;
    this.luns = parts.luns;
    this.nvme = parts.nvme;
    this.addresses = parts.addresses;
    this.fixedPort = parts.fixedPort;
    this.zvolDeviceLag = parts.zvolDeviceLag;
  }

  reader(): ZfsReader {
    return this.engine.reader();
  }

  atLeast(release: SimRelease): boolean {
    return Number(this.release) >= Number(release);
  }

  /**
   * What every change of the iSCSI configuration ends with: a running service reads it again, a stopped one is left alone
   * (truenas-api 8). Errors: CallError ESERVICESTARTFAILURE.
   */
  async reloadIscsi(): Promise<void> {
    if (!this.serviceStates.running('iscsitarget')) return;
    if (this.reloadFails) throw new CallError('The iscsitarget service failed to start', 'ESERVICESTARTFAILURE');
    try {
      await this.applyExports();
    } catch (error) {
      this.services.log(`reload of iscsitarget failed: ${error instanceof Error ? error.message : String(error)}`);
      throw new CallError('The iscsitarget service failed to start', 'ESERVICESTARTFAILURE');
    }
  }

  /** The same for NVMe-oF; enabled namespaces hold their zvols open. Errors: CallError ESERVICESTARTFAILURE. */
  async reloadNvmet(): Promise<void> {
    const running = this.serviceStates.running('nvmet');
    if (this.reloadFails && running) throw new CallError('The nvmet service failed to start', 'ESERVICESTARTFAILURE');
    try {
      await this.applyNvmet();
    } catch (error) {
      this.services.log(`reload of nvmet failed: ${error instanceof Error ? error.message : String(error)}`);
      throw new CallError('The nvmet service failed to start', 'ESERVICESTARTFAILURE');
    }
  }

  /** Brings the NVMe-oF service in line with the configuration; one change after the other. */
  applyNvmet(): Promise<void> {
    this.nvmeSessions.prune(this.nvmet, this.serviceStates.running('nvmet'));
    this.updateOpen();
    const { nvme } = this;
    if (nvme === null) return Promise.resolve();
    const run = this.applyingNvme.then(() =>
      nvme.apply(this.serviceStates.running('nvmet') ? servedNvme(this.nvmet, this.zfs) : { subsystems: [], ports: [], hosts: [] }),
    );
    this.applyingNvme = run.catch(() => undefined);
    return run;
  }

  /**
   * Brings the target service in line with the configuration (nothing is served while it is stopped). Requests that come
   * while one is at work share the next one.
   */
  applyExports(): Promise<void> {
    if (this.queued !== null) return this.queued;
    const run = this.applying.then(async () => {
      this.queued = null;
      const targets = this.serviceStates.running('iscsitarget') ? servedTargets(this.iscsi, this.zfs) : [];
      await this.luns.apply(targets);
      this.exported = new Set(targets.flatMap((target) => target.luns.map((lun) => lun.key)));
      this.updateOpen();
    });
    this.queued = run;
    this.applying = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }

  /** An exported volume has another size, or after a rollback other data: running services are told, stopped ones are left alone. */
  async reopenExports(): Promise<void> {
    if (this.serviceStates.running('iscsitarget')) await this.applyExports();
    if (this.serviceStates.running('nvmet')) await this.applyNvmet();
  }

  /** Fault: something on the array keeps the zvol open (udev, a snapshot task), so that it is busy. */
  async hold(zvol: string, open: boolean): Promise<void> {
    const guid = this.zfs.mustDataset(zvol).guid;
    await this.engine.holdOpen(zvol, open);
    if (open) this.held.add(guid);
    else this.held.delete(guid);
    this.updateOpen();
  }

  /** Whether `/dev/zvol/...` of an extent's path is there. Snapshots have a node only with snapdev=visible (RP-03). */
  deviceExists(path: string): boolean {
    const name = zvolOfPath(path);
    const at = name.indexOf('@');
    const record = this.zfs.dataset(at < 0 ? name : name.slice(0, at));
    if (record === undefined || record.type !== 'VOLUME') return false;
    if (at >= 0) return this.zfs.snapshot(name) !== undefined && this.reader().read(record, 'snapdev')?.raw === 'visible';
    const looks = (this.looks.get(record.guid) ?? 0) + 1;
    this.looks.set(record.guid, looks);
    return looks > this.zvolDeviceLag;
  }

  /** guids of the zvols that the running NVMe-oF service shows. */
  private namespaced(): string[] {
    if (!this.serviceStates.running('nvmet')) return [];
    return this.nvmet.namespaces.filter((one) => one.enabled).flatMap((one) => this.zfs.dataset(zvolOfPath(one.device_path))?.guid ?? []);
  }

  private updateOpen(): void {
    this.zfs.open.clear();
    for (const guid of [...this.exported, ...this.namespaced(), ...this.held]) this.zfs.open.add(guid);
  }
}

/** Lets other requests in, as an `await` between two database calls does on TrueNAS. */
export function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
