import type { Deadline } from '../../core/ports.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import type { DoctorPorts } from '../ports.ts';
import { messageOf, notSeen } from '../reasons.ts';

const NAME = 'multipath settings';
const CONF = '/etc/multipath.conf';
const DEVICE = { vendor: 'TrueNAS', product: 'iSCSI Disk' } as const;
const EXAMPLE = 'docs/how-to/configuration-examples.md has the section for TrueNAS; then systemctl reload multipathd';

/** What counts for disks of TrueNAS; null: nothing says so, multipath's own defaults hold. */
export interface MultipathSettings {
  readonly hasSection: boolean;
  readonly prio: string | null;
  /** multipathd asks each device whether it knows ALUA, and takes that before any `prio`; so it does unless it is forbidden. */
  readonly detectPrio: boolean;
  readonly noPathRetry: string | null;
  readonly fastIoFail: string | null;
}

interface MultipathSeen {
  readonly findings: readonly Finding[];
  /** multipathd puts a fast_io_fail_tmo in the place of iscsid's replacement_timeout. */
  readonly failFast: boolean;
}

/** What multipathd works with, as it says itself; by /etc/multipath.conf where it cannot be asked. `wanted`: a storage has use_multipath. */
export async function seeMultipath(
  ports: Pick<DoctorPorts, 'commands' | 'text' | 'isRoot'>,
  wanted: boolean,
  deadline: Deadline,
): Promise<MultipathSeen> {
  if (!wanted) return { findings: [skipped(NAME, 'no storage has use_multipath')], failFast: false };
  const findings: Finding[] = [];
  let text: string | null = null;
  try {
    text = (await ports.commands.run(['multipathd', 'show', 'config'], { deadline })).stdout;
    if (!/^\s*(?:defaults|devices)\s*\{/m.test(text)) throw new Error(`multipathd says: ${text.trim().slice(0, 200)}`);
    findings.push(ok('multipathd', 'runs and answers'));
  } catch (thrown) {
    deadline.signal.throwIfAborted();
    text = null;
    findings.push(
      /is not installed/.test(messageOf(thrown))
        ? error('multipathd', messageOf(thrown), 'apt install multipath-tools: a storage has use_multipath')
        : notSeen('multipathd', thrown, ports, 'systemctl enable --now multipathd: a storage has use_multipath'),
    );
  }
  try {
    text ??= await ports.text(CONF, deadline);
    const settings = readMultipathConf(text ?? '');
    findings.push(judgeMultipath(settings));
    return { findings, failFast: settings.fastIoFail !== null && settings.fastIoFail !== 'off' };
  } catch (thrown) {
    findings.push(notSeen(NAME, thrown, ports, `ls -l ${CONF}`));
    return { findings, failFast: false };
  }
}

export function judgeMultipath({ hasSection, prio, detectPrio, noPathRetry, fastIoFail }: MultipathSettings): Finding {
  const seen =
    `${hasSection ? 'a device section for TrueNAS' : 'no device section for TrueNAS'}: prio ${prio ?? 'by default'}` +
    `${detectPrio ? ' (ALUA where the device has it)' : ''}, ` +
    `no_path_retry ${noPathRetry ?? 'by default'}, fast_io_fail_tmo ${fastIoFail ?? 'by default'}`;
  if (!detectPrio && prio !== 'alua' && prio !== 'sysfs')
    return warning(NAME, `${seen}; without ALUA the way through the idle controller counts as much`, `prio alua; ${EXAMPLE}`);
  // what multipath does where nothing is said: fail
  if (noPathRetry === null || noPathRetry === 'fail' || noPathRetry === '0')
    return warning(NAME, `${seen}; guests get I/O errors as soon as no path is left`, `no_path_retry queue in ${CONF}; ${EXAMPLE}`);
  return ok(NAME, seen);
}

/** Reads multipath.conf, or what `multipathd show config` prints. Vendors and products are regular expressions there; of two sections that fit, the later one counts. */
export function readMultipathConf(text: string): MultipathSettings {
  const defaults = new Map<string, string>();
  let device = new Map<string, string>();
  let fitting: ReadonlyMap<string, string> | null = null;
  const open: string[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/(^|\s)[#!].*$/, '').trim();
    const begins = /^([a-z_]+)\s*\{$/.exec(line)?.[1];
    if (begins !== undefined) {
      open.push(begins);
      if (begins === 'device') device = new Map();
    } else if (line === '}') {
      if (open.pop() === 'device' && open.at(-1) === 'devices' && fits(device)) fitting = device;
    } else {
      const [, key, quoted, plain] = /^([a-z_]+)\s+(?:"([^"]*)"|(\S.*))$/.exec(line) ?? [];
      const value = quoted ?? plain;
      if (key === undefined || value === undefined) continue;
      if (open.at(-1) === 'device') device.set(key, value);
      else if (open.length === 1 && open[0] === 'defaults') defaults.set(key, value);
    }
  }
  const value = (key: string): string | null => fitting?.get(key) ?? defaults.get(key) ?? null;
  return {
    hasSection: fitting !== null,
    prio: value('prio'),
    detectPrio: value('detect_prio') !== 'no',
    noPathRetry: value('no_path_retry'),
    fastIoFail: value('fast_io_fail_tmo'),
  };
}

function fits(device: ReadonlyMap<string, string>): boolean {
  const vendor = device.get('vendor');
  const product = device.get('product') ?? '.*';
  // `.*` alone is somebody's default for everything, not a section for TrueNAS
  return vendor !== undefined && vendor !== '.*' && matches(vendor, DEVICE.vendor) && matches(product, DEVICE.product);
}

function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern).test(text);
  } catch {
    return pattern === text;
  }
}
