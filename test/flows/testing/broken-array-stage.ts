import { launchSimulator, type Simulator, type SimulatorOptions } from '../../../sim/server/launch.ts';
import { TestingClient } from '../../../sim/server/testing-client.ts';
import type { FaultInput } from '../../../sim/faults/fault-model.ts';
import type { DaemonProcess } from './daemon-process.ts';
import { sectionFor } from './daemon-process.ts';

export const GIB = 2 ** 30;

type Section = Record<string, string | number>;

/** One array, one storage on it, and the daemon that works with both. */
export class Stage {
  readonly sim: Simulator;
  readonly daemon: DaemonProcess;
  /** Settings of the storage; a situation may change them until it is tried. */
  readonly section: Section;
  readonly #id: string;
  #admin: TestingClient | null = null;
  readonly #ends: (() => unknown)[] = [];

  private constructor(sim: Simulator, daemon: DaemonProcess, id: string) {
    this.sim = sim;
    this.daemon = daemon;
    this.#id = id;
    // Short, so that an array that does not answer costs the suite seconds only.
    const quick = { api_timeout: 2, api_retry_max: 1, api_retry_delay: 0.1 };
    this.section = sectionFor(sim, { 'truenas-username': sim.username, ...quick });
    daemon.secret(id, sim.apiKey);
  }

  static async open(daemon: DaemonProcess, id: string, options: SimulatorOptions): Promise<Stage> {
    return new Stage(await launchSimulator({ blocks: 'memory', delays: false, ...options }), daemon, id);
  }

  get storage(): { readonly id: string; readonly config: Section } {
    return { id: this.#id, config: this.section };
  }

  get dataset(): string {
    return this.sim.dataset ?? '';
  }

  /** The zvol of a volume. */
  zvol(volume: string): string {
    return `${this.dataset}/${volume}`;
  }

  /** What somebody does on TrueNAS behind the plugin's back, as an administrator. A refusal is an error of the test. */
  async admin(method: string, ...params: readonly unknown[]): Promise<unknown> {
    if (this.#admin === null) {
      const key = await this.sim.createKey('somebody', ['FULL_ADMIN']);
      this.#admin = await TestingClient.open(this.sim);
      await this.#admin.login(this.sim, key, 'somebody');
      if (this.sim.release !== '25.04') await this.#admin.call('core.set_options', { legacy_jobs: false });
    }
    const { result, error } = await this.#admin.call(method, ...params);
    if (error !== undefined) throw new Error(`${method}: ${error.data?.reason ?? error.message}`);
    return result;
  }

  /** `zfs.snapshot` or `pool.snapshot`. */
  snapshots(action: string): string {
    return `${this.sim.release === '25.04' ? 'zfs.snapshot' : 'pool.snapshot'}.${action}`;
  }

  /** How what a situation started is ended. */
  atEnd(end: () => unknown): void {
    this.#ends.push(end);
  }

  fault(fault: FaultInput): void {
    this.sim.faults.add(fault);
  }

  /** The storage's key from now on is one of a user with these roles only. */
  async keyWithRoles(roles: readonly string[]): Promise<void> {
    this.section['truenas-username'] = 'narrow';
    this.daemon.secret(this.#id, await this.sim.createKey('narrow', roles));
  }

  key(text: string): void {
    this.daemon.secret(this.#id, text);
  }

  /** A volume made by the daemon, of guest 100. */
  async volume(size = GIB): Promise<string> {
    return (await this.daemon.call('volume.allocate', { storage: this.storage, vmid: 100, size })).volname;
  }

  async snapshot(volume: string, snapshot: string): Promise<void> {
    await this.daemon.call('snapshot.create', { storage: this.storage, volume, snapshot });
  }

  /** Everything that the array holds, but for counters that every attempt moves. */
  async contents(): Promise<string> {
    const state = (await this.sim.command({ command: 'state' })) as Record<string, Record<string, unknown>>;
    const { zfs, iscsi, nvmet, services, pool } = state;
    return JSON.stringify({ zfs: { ...zfs, txg: 0 }, iscsi, nvmet, services, pool }, null, 1);
  }

  /** The array is well again: no faults, nothing held open, the key may do all. */
  async recover(): Promise<void> {
    this.sim.faults.clear();
    for (const zvol of await this.zvols()) await this.sim.command({ command: 'zvol-busy', zvol, busy: false });
    if (this.section['truenas-username'] === 'narrow') await this.sim.createKey('narrow', ['FULL_ADMIN']);
    // One call, so that a session stands: what is left is settled at each.
    await this.daemon.ask('storage.status', { storage: this.storage });
  }

  /** Names of all zvols. */
  async zvols(): Promise<readonly string[]> {
    const { zfs } = (await this.sim.command({ command: 'state' })) as { zfs: { datasets: readonly { name: string; type: string }[] } };
    return zfs.datasets.filter((one) => one.type === 'VOLUME').map((one) => one.name);
  }

  /** The daemon lets go of session and inventory: it learns anew what there is. */
  async forget(): Promise<void> {
    await this.daemon.call('storage.forget', { storage: this.storage });
  }

  async close(): Promise<void> {
    for (const end of this.#ends) await end();
    this.sim.faults.clear();
    this.#admin?.socket.terminate();
    await this.forget().catch(() => undefined);
    await this.sim.stop();
  }
}
