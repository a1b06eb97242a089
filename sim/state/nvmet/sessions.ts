import type { NvmetState } from './nvmet-state.ts';
import type { SubsystemRecord } from './records.ts';

/** A controller that a host made on a subsystem. */
export interface NvmeSession {
  readonly subsystem: number;
  readonly port: number;
  readonly hostnqn: string;
  readonly address: string;
  readonly ctrl: number;
}

/** Sessions of the NVMe-oF target; there is no wire, tests and the control socket open them. */
export class NvmeSessions {
  private open: readonly NvmeSession[] = [];
  private nextController = 1;

  all(): readonly NvmeSession[] {
    return this.open;
  }

  /** Null when the subsystem is on no enabled port or does not admit the host. The service must be running. */
  connect(nvmet: NvmetState, subsystem: SubsystemRecord, hostnqn: string, address: string): NvmeSession | null {
    const host = nvmet.hosts.find((one) => one.hostnqn === hostnqn);
    const named = nvmet.hostSubsystems.find((one) => one.subsys_id === subsystem.id && one.host_id === host?.id) !== undefined;
    if (!subsystem.allow_any_host && !named) return null;
    const link = nvmet.portSubsystems.find((one) => one.subsys_id === subsystem.id && nvmet.ports.get(one.port_id)?.enabled === true);
    if (link === undefined) return null;
    const session = { subsystem: subsystem.id, port: link.port_id, hostnqn, address, ctrl: this.nextController };
    this.nextController += 1;
    this.open = [...this.open, session];
    return session;
  }

  /** Ends the host's sessions on a subsystem; how many there were. */
  disconnect(subsystem: number, hostnqn: string): number {
    const before = this.open.length;
    this.open = this.open.filter((one) => one.subsystem !== subsystem || one.hostnqn !== hostnqn);
    return before - this.open.length;
  }

  /** What a reload leaves: sessions whose subsystem and port are still there, none of a stopped service. */
  prune({ subsystems, ports }: NvmetState, running: boolean): void {
    this.open = this.open.filter((one) => running && subsystems.get(one.subsystem) !== undefined && ports.get(one.port) !== undefined);
  }
}
