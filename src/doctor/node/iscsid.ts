import type { Deadline } from '../../core/ports.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import type { DoctorPorts } from '../ports.ts';
import { notSeen } from '../reasons.ts';

const CONF = '/etc/iscsi/iscsid.conf';
const NAME_FILE = '/etc/iscsi/initiatorname.iscsi';

/** seconds; what open-iscsi takes where iscsid.conf says nothing */
const DEFAULTS = { replacement: 120, noopInterval: 5, noopTimeout: 5 } as const;
/** seconds; within multipath a dead path must make room for the other one (RP-32) */
const WITH_MULTIPATH = 30;
/** seconds; without another path an error reaches the guest's file system when this is over */
const WITHOUT_MULTIPATH = 60;

export interface IscsiTimes {
  readonly replacement: number;
  readonly noopInterval: number;
  readonly noopTimeout: number;
}

/** The name by which TrueNAS knows this node: exactly one, and well-formed. */
export async function checkInitiatorName(ports: Pick<DoctorPorts, 'text' | 'isRoot'>, deadline: Deadline): Promise<Finding> {
  const name = 'initiator name';
  try {
    const text = await ports.text(NAME_FILE, deadline);
    const cure = 'apt install open-iscsi; systemctl restart open-iscsi';
    if (text === null) return error(name, `${NAME_FILE} is not there: open-iscsi is not installed`, cure);
    const names = [...text.matchAll(/^\s*InitiatorName\s*=\s*(\S+)/gm)].map((match) => match[1] ?? '');
    const [only] = names;
    if (only === undefined) return error(name, `${NAME_FILE} names no initiator`, cure);
    if (names.length > 1) return warning(name, `${NAME_FILE} names ${names.length} initiators: ${names.join(', ')}`, 'keep one line');
    if (!/^(?:iqn\.\d{4}-\d{2}\.[^\s:]+(?::\S*)?|eui\.[0-9A-F]{16}|naa\.[0-9A-F]{16,32})$/i.test(only))
      return error(name, `'${only}' is no name of an initiator`, 'iscsi-iname prints a usable one');
    return ok(name, `${only} (it must be another one on each node, and the initiator group of TrueNAS must admit it)`);
  } catch (thrown) {
    return notSeen(name, thrown, ports, `ls -l ${NAME_FILE}`);
  }
}

/** Timeouts of new sessions, by iscsid.conf; those of sessions that stand are looked at with each storage. */
export async function checkIscsidConf(
  ports: Pick<DoctorPorts, 'text' | 'isRoot'>,
  multipath: { readonly wanted: boolean; readonly failFast: boolean },
  deadline: Deadline,
): Promise<Finding> {
  const name = 'iscsid timeouts';
  try {
    const text = await ports.text(CONF, deadline);
    if (text === null) return skipped(name, `${CONF} is not there: open-iscsi is not installed`);
    const times = parseIscsidConf(text);
    return judgeTimes(name, times, multipath, `edit ${CONF}, then let the nodes log in anew (records keep their values): iscsiadm -m node`);
  } catch (thrown) {
    return notSeen(name, thrown, ports, `ls -l ${CONF}`);
  }
}

export function parseIscsidConf(text: string): IscsiTimes {
  const value = (key: string, otherwise: number): number => {
    // open-iscsi takes the last one
    const found = [...text.matchAll(new RegExp(`^[ \\t]*${key.replace(/[.[\]]/g, '\\$&')}[ \\t]*=[ \\t]*(-?\\d{1,7})[ \\t]*$`, 'gm'))].at(
      -1,
    )?.[1];
    return found === undefined ? otherwise : Number(found);
  };
  return {
    replacement: value('node.session.timeo.replacement_timeout', DEFAULTS.replacement),
    noopInterval: value('node.conn[0].timeo.noop_out_interval', DEFAULTS.noopInterval),
    noopTimeout: value('node.conn[0].timeo.noop_out_timeout', DEFAULTS.noopTimeout),
  };
}

/** `failFast`: multipath.conf has a fast_io_fail_tmo, which multipathd puts in the place of replacement_timeout (F-114). */
export function judgeTimes(
  name: string,
  times: IscsiTimes,
  { wanted, failFast }: { readonly wanted: boolean; readonly failFast: boolean },
  cure: string,
): Finding {
  const { replacement, noopInterval, noopTimeout } = times;
  const seen = `replacement_timeout ${replacement} s, noop_out_interval ${noopInterval} s, noop_out_timeout ${noopTimeout} s`;
  if (noopInterval === 0 || noopTimeout === 0) return warning(name, `${seen}: a portal that went without a word is not noticed`, cure);
  if (wanted && !failFast && (replacement < 0 || replacement > WITH_MULTIPATH))
    return warning(
      name,
      `${seen}: with multipath, I/O waits ${replacement < 0 ? 'for ever' : `${replacement} s`} for a dead path before it takes the other one`,
      `replacement_timeout 15 in ${CONF}, or fast_io_fail_tmo in /etc/multipath.conf; ${cure}`,
    );
  if (!wanted && replacement >= 0 && replacement < WITHOUT_MULTIPATH)
    return warning(
      name,
      `${seen}: without multipath guests get I/O errors when TrueNAS is away for ${replacement} s, as it is when it restarts`,
      `replacement_timeout ${DEFAULTS.replacement} in ${CONF}; ${cure}`,
    );
  return ok(name, seen);
}
