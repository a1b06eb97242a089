import { parseSection } from '../parse-section.ts';
import type { ConfigFault, StorageConfig } from '../storage-config.ts';

/** The least that a section needs. */
export const GOOD = {
  api_host: 'nas.example.org',
  dataset: 'tank/proxmox',
  target_iqn: 'proxmox',
  discovery_portal: '192.0.2.10',
} as const;

/** What is said of a section with these settings beside GOOD. */
export function faultsOf(more: Record<string, unknown>): readonly ConfigFault[] {
  return parseSection('nas', { ...GOOD, ...more }).faults;
}
/** The settings that make it unusable. */
export function errorsOf(more: Record<string, unknown>): readonly string[] {
  return faultsOf(more).flatMap((fault) => (fault.severity === 'error' ? [fault.setting] : []));
}
/** What is read from it; throws where it is unusable. */
export function configOf(more: Record<string, unknown>): StorageConfig {
  const { config, faults } = parseSection('nas', { ...GOOD, ...more });
  if (config === null) throw new Error(`not usable: ${JSON.stringify(faults)}`);
  return config;
}
