import type { NvmeServer, ServedNvme } from '../nvme-server.ts';
import { ConfigfsShell } from './configfs-shell.ts';
import type { LabAgent } from './lab-agent.ts';
import { nvmetPlan, revalidation } from './nvmet-plan.ts';
import { nvmetQuery, standingNvme } from './nvmet-standing.ts';

const NOTHING: ServedNvme = { subsystems: [], ports: [], hosts: [] };

/**
 * Serves zvols of the lab's VM as NVMe/TCP namespaces by its kernel (nvmet), compared with configfs each time as LioLunServer does.
 */
export class NvmetServer implements NvmeServer {
  private readonly agent: LabAgent;
  private readonly shell: ConfigfsShell;
  private readonly keep: boolean;
  private started = false;
  /** bytes of each namespace as its hosts were told last */
  private sizes = new Map<string, number>();

  /** `keep`: what is served stays when the simulator ends. */
  constructor(agent: LabAgent, keep: boolean) {
    this.agent = agent;
    this.shell = new ConfigfsShell(agent);
    this.keep = keep;
  }

  async start(): Promise<void> {
    const { stderr, status } = await this.agent.run('modprobe -a nvmet nvmet-tcp');
    if (status !== 0) throw new Error(`the VM of the lab has no NVMe-oF target: ${stderr.trim()}`);
    this.started = true;
  }

  async stop(): Promise<void> {
    if (this.started && !this.keep) await this.apply(NOTHING);
  }

  /** Errors: Error with all that the kernel refused; the rest is as it should be. */
  async apply(wanted: ServedNvme): Promise<void> {
    const devices = wanted.subsystems.flatMap((one) => one.namespaces.map(({ device }) => device));
    const tree = await this.shell.read(nvmetQuery(devices));
    const present: ServedNvme = {
      ...wanted,
      subsystems: wanted.subsystems.map((one) => ({
        ...one,
        namespaces: one.namespaces.filter(({ device }) => tree.devices.has(device)),
      })),
    };
    const now = standingNvme(tree);
    const sizes = new Map<string, number>();
    const grown: (readonly [string, number])[] = [];
    for (const { nqn, namespaces } of present.subsystems) {
      for (const { nsid, uuid, size } of namespaces) {
        sizes.set(uuid, size);
        const stands = now.subsystems.get(nqn)?.nsids.includes(nsid) === true;
        if (stands && this.sizes.get(uuid) !== size) grown.push([nqn, nsid]);
      }
    }
    await this.shell.change([...nvmetPlan(present, now), ...revalidation(grown)]);
    this.sizes = sizes;
  }
}
