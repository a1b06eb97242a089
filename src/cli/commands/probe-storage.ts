import type { ConfigFault } from '../../config/storage-config.ts';
import type { StorageSection } from '../../config/storage-cfg.ts';
import { withoutSecrets } from '../../config/without-secrets.ts';
import { CliFailure } from '../failure.ts';
import { askDaemon, type DaemonAddress } from '../socket-client.ts';

/** Not a setting: what a fault is filed under when TrueNAS could not be asked. */
const ONLINE = 'online';

/**
 * What the daemon finds wrong with a section, TrueNAS included. Never fails: that nobody could be asked is an error among the
 * faults, since "could not look" is not "fine" (law 3).
 */
export async function probe(daemon: DaemonAddress, section: StorageSection): Promise<readonly ConfigFault[]> {
  const notAsked = (why: string, cure: string): ConfigFault => ({
    setting: ONLINE,
    severity: 'error',
    message: `TrueNAS was not asked: ${why.replace(/\s*\n\s*/g, ' ')}`,
    cure,
  });
  try {
    const config = withoutSecrets(section.properties);
    const { asked, faults } = await askDaemon(daemon, 'storage.probe', { storage: { id: section.id, config } });
    if (asked) return faults;
    return [...faults, notAsked('the errors above come first', 'correct them and check again')];
  } catch (error) {
    if (!(error instanceof CliFailure)) throw error;
    return [notAsked(error.facts.message, error.facts.hints[0] ?? 'pve-truenas status')];
  }
}
