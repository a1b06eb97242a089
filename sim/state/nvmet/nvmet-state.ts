import { randomUUID } from 'node:crypto';
import { Table } from '../iscsi/table.ts';
import {
  type HostRecord,
  type HostSubsystemRecord,
  type NamespaceRecord,
  nvmetDump,
  type NvmetGlobalRecord,
  type NvmetPortRecord,
  type PortSubsystemRecord,
  type SubsystemRecord,
} from './records.ts';

/** The NVMe-oF configuration as the database holds it (truenas-api 12). */
export class NvmetState {
  global: NvmetGlobalRecord = {
    basenqn: `nqn.2011-06.com.truenas:uuid:${randomUUID()}`,
    kernel: true,
    ana: false,
    rdma: false,
    xport_referral: true,
  };
  readonly subsystems: Table<SubsystemRecord>;
  readonly namespaces: Table<NamespaceRecord>;
  readonly ports: Table<NvmetPortRecord>;
  readonly hosts: Table<HostRecord>;
  readonly hostSubsystems: Table<HostSubsystemRecord>;
  readonly portSubsystems: Table<PortSubsystemRecord>;
  private readonly changed: () => void;

  constructor(changed: () => void) {
    this.changed = changed;
    const table = (name: string) => ({ name: `services_nvmet_${name}`, columnPrefix: `nvmet_${name}_`, changed });
    this.subsystems = new Table<SubsystemRecord>({ ...table('subsys'), unique: ['name', 'subnqn', 'serial'] });
    this.namespaces = new Table<NamespaceRecord>({ ...table('namespace'), unique: ['device_path', 'device_uuid', 'device_nguid'] });
    this.ports = new Table<NvmetPortRecord>({ ...table('port'), unique: ['index'] });
    this.hosts = new Table<HostRecord>({ ...table('host'), unique: ['hostnqn'] });
    this.hostSubsystems = new Table<HostSubsystemRecord>({ ...table('host_subsys'), unique: [] });
    this.portSubsystems = new Table<PortSubsystemRecord>({ ...table('port_subsys'), unique: [] });
  }

  setGlobal(next: NvmetGlobalRecord): void {
    this.global = next;
    this.changed();
  }

  /** The namespace that stands on this path, if one does. */
  namespaceOn(path: string): { readonly row: NamespaceRecord; readonly subsystem: string } | null {
    const row = this.namespaces.find((one) => one.device_path === path);
    if (row === undefined) return null;
    return { row, subsystem: this.subsystems.get(row.subsys_id)?.name ?? '?' };
  }

  dump(): unknown {
    return structuredClone({
      global: this.global,
      subsystems: this.subsystems.all(),
      namespaces: this.namespaces.all(),
      ports: this.ports.all(),
      hosts: this.hosts.all(),
      hostSubsystems: this.hostSubsystems.all(),
      portSubsystems: this.portSubsystems.all(),
    });
  }

  /** Replaces everything. Throws when a reference leads nowhere. */
  load(data: unknown): void {
    const dump = nvmetDump.parse(data);
    const ids = (rows: readonly { readonly id: number }[]): ReadonlySet<number> => new Set(rows.map((row) => row.id));
    const subsystems = ids(dump.subsystems);
    const hosts = ids(dump.hosts);
    const ports = ids(dump.ports);
    const leads = (known: boolean, what: string): void => {
      if (!known) throw new Error(`the stored ${what} leads nowhere`);
    };
    for (const one of dump.namespaces) leads(subsystems.has(one.subsys_id), `namespace ${one.id}`);
    for (const one of dump.hostSubsystems) leads(subsystems.has(one.subsys_id) && hosts.has(one.host_id), `host_subsys ${one.id}`);
    for (const one of dump.portSubsystems) leads(subsystems.has(one.subsys_id) && ports.has(one.port_id), `port_subsys ${one.id}`);
    this.global = dump.global;
    this.subsystems.replaceAll(dump.subsystems);
    this.namespaces.replaceAll(dump.namespaces);
    this.ports.replaceAll(dump.ports);
    this.hosts.replaceAll(dump.hosts);
    this.hostSubsystems.replaceAll(dump.hostSubsystems);
    this.portSubsystems.replaceAll(dump.portSubsystems);
  }
}
