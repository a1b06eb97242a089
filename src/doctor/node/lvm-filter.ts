import type { Deadline } from '../../core/ports.ts';
import { type Finding, ok, skipped, warning } from '../finding.ts';
import type { DoctorPorts } from '../ports.ts';
import { notSeen } from '../reasons.ts';

const NAME = 'LVM filter';
/** TrueNAS's part of every NAA that it gives. */
const NAA = '6589cfc00000012345678901234567ab';

/** All names that udev gives to one disk: LVM needs only one that its filter lets pass. */
const DISK = [
  '/dev/sdz',
  `/dev/disk/by-id/scsi-3${NAA}`,
  `/dev/disk/by-id/wwn-0x${NAA}`,
  '/dev/disk/by-path/ip-192.0.2.10:3260-iscsi-iqn.2005-10.org.freenas.ctl:proxmox-lun-1',
];
const MAP = [
  '/dev/dm-9',
  `/dev/mapper/3${NAA}`,
  `/dev/disk/by-id/dm-name-3${NAA}`,
  `/dev/disk/by-id/dm-uuid-mpath-3${NAA}`,
  `/dev/disk/by-id/wwn-0x${NAA}`,
  `/dev/disk/by-id/scsi-3${NAA}`,
];

interface LvmSettings {
  readonly globalFilter: readonly string[];
  readonly filter: readonly string[];
  readonly devicesFile: boolean;
}

/** Whether the LVM of this node keeps off the disks of guests (F-117, F-752). `kinds`: what this node's storages make of a volume. */
export async function checkLvmFilter(
  ports: Pick<DoctorPorts, 'commands' | 'text' | 'isRoot'>,
  kinds: { readonly disks: boolean; readonly maps: boolean },
  deadline: Deadline,
): Promise<Finding> {
  if (!kinds.disks && !kinds.maps) return skipped(NAME, "no storage uses the kernel's initiator on this node: volumes are no devices here");
  try {
    const argv = ['lvmconfig', '--type', 'full', 'devices/global_filter', 'devices/filter', 'devices/use_devicesfile'];
    const { stdout } = await ports.commands.run(argv, { deadline });
    const settings = parseLvmConfig(stdout);
    if (settings.devicesFile && (await ports.text('/etc/lvm/devices/system.devices', deadline)) !== null)
      return ok(NAME, 'LVM looks only at the devices that its devices file lists');
    return judgeLvm(settings, kinds);
  } catch (thrown) {
    return notSeen(NAME, thrown, ports, 'lvmconfig devices/global_filter');
  }
}

export function judgeLvm(settings: LvmSettings, kinds: { readonly disks: boolean; readonly maps: boolean }): Finding {
  const names = [...(kinds.disks ? [DISK] : []), ...(kinds.maps ? [DISK, MAP] : [])];
  const filters = [settings.globalFilter, settings.filter];
  const seenByLvm = names.filter((one) => filters.every((filter) => accepts(filter, one)));
  const shown = `global_filter ${settings.globalFilter.length === 0 ? 'is not set' : settings.globalFilter.join(', ')}`.slice(0, 300);
  if (seenByLvm.length === 0) return ok(NAME, `LVM keeps off the disks of TrueNAS (${shown})`);
  return warning(
    NAME,
    `LVM of this node looks into the disks of guests: volume groups of guests may be found twice or be activated here (${shown})`,
    '/etc/lvm/lvm.conf, section devices, add to global_filter: "r|/dev/disk/by-id/scsi-36589cfc.*|","r|/dev/disk/by-id/wwn-0x6589cfc.*|","r|/dev/mapper/36589cfc.*|"',
  );
}

/** What `lvmconfig` prints: `global_filter=["r|/dev/zd.*|","a|.*|"]`. */
export function parseLvmConfig(text: string): LvmSettings {
  const list = (key: string): string[] => {
    const line = new RegExp(`^\\s*${key}\\s*=\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
    return [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => (match[1] ?? '').replaceAll('\\\\', '\\'));
  };
  return { globalFilter: list('global_filter'), filter: list('filter'), devicesFile: /^\s*use_devicesfile\s*=\s*1\s*$/m.test(text) };
}

/**
 * LVM's rule (lvm.conf(5)): for each name the first pattern that matches decides; one name that is accepted is enough; rejected is a
 * device whose matching names are all rejected; one that no pattern knows is accepted.
 */
export function accepts(filter: readonly string[], names: readonly string[]): boolean {
  const verdicts = names.map((name) => verdictOf(filter, name));
  return verdicts.includes('a') || !verdicts.includes('r');
}

function verdictOf(filter: readonly string[], name: string): 'a' | 'r' | null {
  for (const entry of filter) {
    const kind = entry[0];
    if (kind !== 'a' && kind !== 'r') continue;
    // the pattern stands between two equal characters, or a pair of brackets
    const pattern = entry.slice(2, -1);
    try {
      if (new RegExp(pattern).test(name)) return kind;
    } catch {
      // what LVM understands and JavaScript does not decides nothing here
    }
  }
  return null;
}
