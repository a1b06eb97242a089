import * as z from 'zod';
import { launchSimulator, type Simulator, type SimulatorOptions } from '../../../sim/server/launch.ts';
import { TestingClient } from '../../../sim/server/testing-client.ts';
import type { Machine } from './machine.ts';

const extent = z.object({ id: z.number(), naa: z.string(), serial: z.string(), vendor: z.string() });
const withId = z.object({ id: z.number() });
const mapping = z.object({ id: z.number(), lunid: z.number() });

/** A zvol with its extent and its LUN, as the API told. */
interface LabDisk {
  readonly zvol: string;
  readonly extent: number;
  readonly mapping: number;
  readonly lun: number;
  /** 32 hex digits */
  readonly naa: string;
  /** its link in the VM, of an initiator that is logged in */
  readonly device: string;
}

export const GIB = 2 ** 30;

/** A simulated TrueNAS whose ZFS and targets are those of a VM; changed by its API alone. */
export class LabArray {
  readonly #sim: Simulator;
  /** of the target that is there from the start and admits everybody */
  readonly iqn: string;

  private constructor(sim: Simulator) {
    this.#sim = sim;
    this.iqn = sim.targetIqn ?? '';
  }

  static async start(machine: Machine, options: Partial<SimulatorOptions> = {}): Promise<LabArray> {
    return new LabArray(await launchSimulator({ blocks: 'lab', vm: machine.directory, delays: false, ...options }));
  }

  async stop(): Promise<void> {
    await this.#sim.stop();
  }

  /** One call over a connection of its own, so that none is cut as idle while the VM works. Errors: Error with TrueNAS's reason. */
  async call(method: string, ...params: readonly unknown[]): Promise<unknown> {
    await this.#sim.command({ command: 'reset-rate-limit' });
    const client = await TestingClient.open(this.#sim);
    try {
      await client.login(this.#sim);
      const { result, error } = await client.call(method, ...params);
      if (error !== undefined) throw new Error(`${method}: ${error.data?.reason ?? error.message}`);
      return result;
    } finally {
      client.socket.close();
      await client.closed;
    }
  }

  /** As `call`, of an object with an id. */
  async made(method: string, ...params: readonly unknown[]): Promise<number> {
    return withId.parse(await this.call(method, ...params)).id;
  }

  /** A thin zvol of a GiB; its full name. */
  async zvol(name: string): Promise<string> {
    const full = `tank/proxmox/${name}`;
    await this.call('pool.dataset.create', { name: full, type: 'VOLUME', volsize: GIB, sparse: true });
    return full;
  }

  /** A zvol and its LUN on a target; `extra` fields of the extent. */
  async disk(name: string, target = 1, extra: Readonly<Record<string, unknown>> = {}): Promise<LabDisk> {
    const zvol = await this.zvol(name);
    const made = extent.parse(await this.call('iscsi.extent.create', { name, disk: `zvol/${zvol}`, ...extra }));
    const mapped = mapping.parse(await this.call('iscsi.targetextent.create', { target, extent: made.id }));
    const naa = made.naa.slice('0x'.length);
    return { zvol, extent: made.id, mapping: mapped.id, lun: mapped.lunid, naa, device: `/dev/disk/by-id/wwn-0x${naa}` };
  }

  /** Who is logged in, as the API lists it. */
  async sessions(): Promise<readonly { readonly initiator: string; readonly address: string; readonly target: string }[]> {
    const rows = z.array(z.object({ initiator: z.string(), initiator_addr: z.string(), target: z.string() }));
    const found = rows.parse(await this.call('iscsi.global.sessions', [], {}));
    return found.map(({ initiator, initiator_addr: address, target }) => ({ initiator, address, target }));
  }
}
