import { parseFileSection } from '../config/file-section.ts';
import { STORAGE_TYPE } from '../config/schema.ts';
import { readStorageCfg, type StorageSection } from '../config/storage-cfg.ts';
import type { ConfigFault, StorageConfig } from '../config/storage-config.ts';
import type { Deadline } from '../core/ports.ts';
import { error, type Finding, ok, warning } from './finding.ts';
import type { DoctorPorts } from './ports.ts';
import { notSeen } from './reasons.ts';

export const STORAGE_CFG = '/etc/pve/storage.cfg';
const NAME = 'storage.cfg';
/** Lines that are told one by one. */
const SHOWN = 10;

/** A section of ours. */
export interface FoundStorage {
  readonly section: StorageSection;
  /** null: its settings are no use */
  readonly config: StorageConfig | null;
  readonly faults: readonly ConfigFault[];
}

interface Configured {
  /** false: the file could not be read */
  readonly read: boolean;
  readonly storages: readonly FoundStorage[];
  readonly findings: readonly Finding[];
}

/** The storages that this node's storage.cfg names, as far as it can be read. Never rejects but for the deadline. */
export async function readConfigured(ports: Pick<DoctorPorts, 'text' | 'isRoot'>, deadline: Deadline): Promise<Configured> {
  let text: string | null;
  try {
    text = await ports.text(STORAGE_CFG, deadline);
  } catch (thrown) {
    return { read: false, storages: [], findings: [notSeen(NAME, thrown, ports, 'systemctl status pve-cluster; ls -l /etc/pve')] };
  }
  if (text === null) {
    const cure = 'pvesm add truenasplugin STORAGE ...; on a PVE node: systemctl status pve-cluster';
    return { read: true, storages: [], findings: [warning(NAME, `there is no ${STORAGE_CFG}`, cure)] };
  }
  const { sections, warnings } = readStorageCfg(text);
  const storages = sections
    .filter(({ type }) => type === STORAGE_TYPE)
    .map((section): FoundStorage => ({ section, ...parseFileSection(section) }));
  const lines = warnings.filter(({ type }) => type === null || type === STORAGE_TYPE);
  const findings = lines
    .slice(0, SHOWN)
    .map(({ line, message }) => warning(NAME, `line ${line} ${message}`, `edit line ${line} of ${STORAGE_CFG}`));
  if (lines.length > SHOWN) findings.push(warning(NAME, `${lines.length - SHOWN} more lines are passed over`, 'pve-truenas config check'));
  const ids = storages.map(({ section }) => section.id);
  findings.push(
    ids.length === 0
      ? warning(NAME, 'names no storage of type truenasplugin', 'pvesm add truenasplugin STORAGE ...')
      : ok(NAME, `${ids.length} storage${ids.length === 1 ? '' : 's'} of type truenasplugin: ${ids.join(', ')}`),
  );
  return { read: true, storages, findings };
}

/** Why this node does not use a storage; null when it does. */
export function unusedHere({ section, config }: FoundStorage, node: string): string | null {
  const value = section.properties['disable'];
  if (config?.disabled ?? (value === null || value === '1')) return 'disabled in storage.cfg';
  const nodes = config?.nodes ?? null;
  return nodes === null || nodes.includes(node) ? null : `not for this node (nodes ${nodes.join(',')})`;
}

/** What is wrong with the settings of a section. */
export function settingFindings({ faults }: FoundStorage): readonly Finding[] {
  if (faults.length === 0) return [ok('settings', 'all settings are usable')];
  return faults.map(({ setting, severity, message, cure }) => {
    const name = `setting ${setting}`;
    switch (severity) {
      case 'error':
        return error(name, message, cure);
      case 'warning':
        return warning(name, message, cure);
      case 'hint':
        return { ...ok(name, message), cure };
    }
  });
}
