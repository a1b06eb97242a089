import type { StorageConfig } from '../../config/storage-config.ts';
import { formatDuration } from '../../core/durations.ts';
import type { Deadline } from '../../core/ports.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import type { ClockFacts, DoctorPorts } from '../ports.ts';
import { messageOf } from '../reasons.ts';

const NAME = 'clocks';
/** ms */
const WORRYING = 10_000;
const WRONG = 300_000;
/** ms: HTTP's date has whole seconds */
const GRAIN = 1_000;

/** The clock of the array against this node's, by the date of its web server's answer: needs no login. */
export async function checkClocks(ports: Pick<DoctorPorts, 'network'>, config: StorageConfig, deadline: Deadline): Promise<Finding> {
  try {
    const [address] = await ports.network.resolve(config.apiHost, deadline);
    if (address === undefined) return skipped(NAME, `${config.apiHost} has no address`);
    return judgeClocks(await ports.network.httpDate(config, address, deadline));
  } catch (thrown) {
    deadline.signal.throwIfAborted();
    return skipped(NAME, `TrueNAS did not tell its time: ${messageOf(thrown)}`);
  }
}

export function judgeClocks({ array, before, after }: ClockFacts): Finding {
  if (array === null || Number.isNaN(array)) return skipped(NAME, 'the web server of TrueNAS tells no time');
  // What the clocks differ by at least: the question was on its way from `before` to `after`, and the date is cut to a second.
  const ahead = array - after;
  const behind = before - (array + GRAIN);
  const off = Math.max(ahead, behind, 0);
  const cure = 'timedatectl on this node; TrueNAS: System > General Settings > NTP Servers';
  const seen =
    off === 0
      ? 'TrueNAS and this node agree to the second'
      : `TrueNAS is ${formatDuration(off)} ${ahead > 0 ? 'ahead of' : 'behind'} this node`;
  if (off >= WRONG) return error(NAME, `${seen}: certificates, the end of keys and the age of what is left over are judged wrongly`, cure);
  return off >= WORRYING ? warning(NAME, `${seen}: times in their logs do not fit together`, cure) : ok(NAME, seen);
}
