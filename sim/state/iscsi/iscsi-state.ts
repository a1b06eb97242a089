import {
  type AuthRecord,
  type ExtentRecord,
  type GlobalRecord,
  type InitiatorRecord,
  iscsiDump,
  type MappingRecord,
  type PortalRecord,
  type TargetRecord,
} from './records.ts';
import { Table } from './table.ts';

/** TrueNAS's own basename (truenas-api 11). */
export const DEFAULT_BASENAME = 'iqn.2005-10.org.freenas.ctl';
const WITHOUT_BASENAME = ['iqn.', 'naa.', 'eui.'] as const;

/** The iSCSI configuration as the database holds it. */
export class IscsiState {
  global: GlobalRecord = {
    basename: DEFAULT_BASENAME,
    isns_servers: [],
    listen_port: 3260,
    pool_avail_threshold: null,
    alua: false,
    iser: false,
    direct_config: null,
    mode: 0,
  };
  readonly portals: Table<PortalRecord>;
  readonly initiators: Table<InitiatorRecord>;
  readonly auths: Table<AuthRecord>;
  readonly targets: Table<TargetRecord>;
  readonly extents: Table<ExtentRecord>;
  readonly mappings: Table<MappingRecord>;
  private readonly changed: () => void;

  constructor(changed: () => void) {
    this.changed = changed;
    this.portals = new Table({ name: 'services_iscsitargetportal', columnPrefix: 'iscsi_target_portal_', unique: [], changed });
    this.initiators = new Table({
      name: 'services_iscsitargetauthorizedinitiator',
      columnPrefix: 'iscsi_target_initiator_',
      unique: [],
      changed,
    });
    this.auths = new Table({ name: 'services_iscsitargetauthcredential', columnPrefix: 'iscsi_target_auth_', unique: [], changed });
    this.targets = new Table({
      name: 'services_iscsitarget',
      columnPrefix: 'iscsi_target_',
      unique: ['name', 'alias', 'rel_tgt_id'],
      changed,
    });
    this.extents = new Table({
      name: 'services_iscsitargetextent',
      columnPrefix: 'iscsi_target_extent_',
      unique: ['name', 'naa'],
      changed,
    });
    // no unique index on (target, lunid): two requests at once may get the same LUN
    this.mappings = new Table({ name: 'services_iscsitargettoextent', columnPrefix: 'iscsi_', unique: [], changed });
  }

  setGlobal(next: GlobalRecord): void {
    this.global = next;
    this.changed();
  }

  /** The IQN on the wire: always basename and name (truenas-api 11). */
  iqn(target: TargetRecord): string {
    return `${this.global.basename}:${target.name}`;
  }

  /**
   * The name that TrueNAS compares with its sessions: without the basename when the target's name looks like a full one,
   * so that such a target never counts as in use (truenas-api 11).
   */
  sessionName(target: TargetRecord): string {
    return WITHOUT_BASENAME.some((start) => target.name.startsWith(start)) ? target.name : this.iqn(target);
  }

  dump(): unknown {
    return structuredClone({
      global: this.global,
      portals: this.portals.all(),
      initiators: this.initiators.all(),
      auths: this.auths.all(),
      targets: this.targets.all(),
      extents: this.extents.all(),
      mappings: this.mappings.all(),
    });
  }

  /** Replaces everything. Throws when a reference leads nowhere. */
  load(data: unknown): void {
    const dump = iscsiDump.parse(data);
    const portals = new Set(dump.portals.map((one) => one.id));
    const initiators = new Set(dump.initiators.map((one) => one.id));
    const targets = new Set(dump.targets.map((one) => one.id));
    const extents = new Set(dump.extents.map((one) => one.id));
    for (const target of dump.targets) {
      for (const group of target.groups) {
        if (!portals.has(group.portal))
          throw new Error(`the stored target '${target.name}' names portal ${group.portal}, which is not there`);
        if (group.initiator !== null && !initiators.has(group.initiator)) {
          throw new Error(`the stored target '${target.name}' names initiator group ${group.initiator}, which is not there`);
        }
      }
    }
    for (const mapping of dump.mappings) {
      if (!targets.has(mapping.target) || !extents.has(mapping.extent)) throw new Error(`the stored mapping ${mapping.id} leads nowhere`);
    }
    this.global = dump.global;
    this.portals.replaceAll(dump.portals);
    this.initiators.replaceAll(dump.initiators);
    this.auths.replaceAll(dump.auths);
    this.targets.replaceAll(dump.targets);
    this.extents.replaceAll(dump.extents);
    this.mappings.replaceAll(dump.mappings);
  }
}
