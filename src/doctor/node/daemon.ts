import type { Result } from '../../protocol/methods.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import { type DoctorPorts, DaemonSilent } from '../ports.ts';
import { AS_ROOT, messageOf } from '../reasons.ts';

/** ms: it answers from memory */
const HELLO_MS = 3_000;

export interface DaemonSeen {
  /** null: it gave no answer */
  readonly hello: Result<'daemon.hello'> | null;
  readonly finding: Finding;
}

/** Whether the daemon runs and is of this program's version. Never rejects. */
export async function meetDaemon(ports: Pick<DoctorPorts, 'askDaemon' | 'isRoot' | 'version'>): Promise<DaemonSeen> {
  try {
    const hello = await ports.askDaemon('daemon.hello', {}, HELLO_MS);
    return { hello, finding: judge(hello, ports.version) };
  } catch (thrown) {
    const cure = thrown instanceof DaemonSilent ? thrown.cure : 'systemctl restart pve-truenasd';
    const message = messageOf(thrown);
    if (!ports.isRoot && /may not be opened/.test(message)) return { hello: null, finding: skipped('daemon', message, AS_ROOT) };
    return { hello: null, finding: error('daemon', message, cure) };
  }
}

function judge({ version, pid, uptime_s: uptime }: Result<'daemon.hello'>, own: string): Finding {
  const seen = `pve-truenasd ${version} runs (pid ${pid}, for ${Math.round(uptime)} s)`;
  if (version === own) return ok('daemon', seen);
  return warning('daemon', `${seen}, but pve-truenas is ${own}`, 'systemctl restart pve-truenasd: the package was upgraded under it');
}
