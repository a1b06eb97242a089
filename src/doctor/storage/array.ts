import type { StorageConfig } from '../../config/storage-config.ts';
import type { Deadline } from '../../core/ports.ts';
import type { Check } from '../../volumes/inspect/check.ts';
import { error, type Finding, ok, skipped } from '../finding.ts';
import { DaemonSilent, type DoctorPorts } from '../ports.ts';
import { AS_ROOT, messageOf } from '../reasons.ts';

/** ms: what the daemon itself allows `health` to take, and a little */
const HEALTH_MS = 12_000;
/** What `health` looks at behind a session, in its order. */
const BEHIND_SESSION = ['roles', 'pool', 'dataset', 'target', 'CHAP', 'service', 'LUNs'] as const;

/**
 * What TrueNAS has of the storage: key and roles, service, pool, dataset, target, portals. The daemon is asked, since it has a session.
 * Only where it is down the doctor logs in itself, once, and says so.
 */
export async function checkArray(
  ports: Pick<DoctorPorts, 'askDaemon' | 'inspectArray' | 'isRoot'>,
  storage: { readonly id: string; readonly config: StorageConfig; readonly section: Readonly<Record<string, unknown>> },
  daemonRuns: boolean,
  deadline: Deadline,
): Promise<readonly Finding[]> {
  if (!daemonRuns) return ownLook(ports, storage.config, storage.section, deadline);
  try {
    const { storages } = await ports.askDaemon('overview.health', { storage_id: storage.id }, HEALTH_MS);
    const checks = storages.find(({ id }) => id === storage.id)?.checks;
    if (checks === undefined) return [skipped('TrueNAS', 'the daemon does not use this storage on this node')];
    // settings are judged by the doctor itself, which reads the same file
    return completed(checks.filter(({ name }) => !name.startsWith('setting ')));
  } catch (thrown) {
    const cure = thrown instanceof DaemonSilent ? thrown.cure : 'journalctl -u pve-truenasd';
    return [error('TrueNAS', `the daemon could not be asked about it: ${messageOf(thrown)}`, cure)];
  }
}

async function ownLook(
  ports: Pick<DoctorPorts, 'inspectArray' | 'isRoot'>,
  config: StorageConfig,
  section: Readonly<Record<string, unknown>>,
  deadline: Deadline,
): Promise<readonly Finding[]> {
  if (!ports.isRoot) return [skipped('TrueNAS', 'neither the daemon nor the API key is open to this user', AS_ROOT)];
  const said = ok('login', 'the daemon is down: the doctor logged in to TrueNAS itself, once, and out again');
  try {
    return [said, ...completed(await ports.inspectArray(config, section, deadline))];
  } catch (thrown) {
    deadline.signal.throwIfAborted();
    return [said, ...completed([{ name: 'connection', state: 'critical', message: messageOf(thrown) }])];
  }
}

/** A check as the daemon tells it, or as it is made here. */
type Seen = Pick<Check, 'name' | 'state' | 'message'> & { readonly cure?: string | undefined };

/** The checks as findings, and those that could not be made since there is no session. */
function completed(checks: readonly Seen[]): readonly Finding[] {
  const findings = checks.map(
    ({ name, state, message, cure }): Finding => ({
      name,
      state: state === 'critical' ? 'error' : state,
      seen: message,
      ...(cure === undefined ? {} : { cure }),
    }),
  );
  const blocked = checks.some(({ name, state }) => (name === 'connection' || name === 'storage') && state === 'critical');
  if (!blocked) return findings;
  return [...findings, ...BEHIND_SESSION.map((name) => skipped(name, 'TrueNAS cannot be asked: see connection'))];
}
