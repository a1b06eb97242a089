import type { Deadline } from '../../core/ports.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import type { DoctorPorts } from '../ports.ts';
import { messageOf, notSeen } from '../reasons.ts';

const MODULE = '/usr/share/perl5/PVE/Storage/Custom/TrueNASPlugin.pm';
const PACKAGES = [
  'pve-manager',
  'libpve-storage-perl',
  'pve-truenas',
  'nodejs',
  'open-iscsi',
  'multipath-tools',
  'pve-qemu-kvm',
  'lvm2',
] as const;

/** The module that PVE loads, where PVE looks for it. */
export async function checkModule(ports: Pick<DoctorPorts, 'text' | 'isRoot'>, deadline: Deadline): Promise<Finding> {
  const name = 'Perl module';
  try {
    const text = await ports.text(MODULE, deadline);
    if (text === null)
      return error(
        name,
        `${MODULE} is not there: PVE does not know the type truenasplugin on this node`,
        'install the package on this node',
      );
    if (!text.includes('/run/pve-truenas/daemon.sock'))
      return error(
        name,
        `${MODULE} is another plugin's, not the one of pve-truenas`,
        'remove the Perl plugin and install the package again',
      );
    return ok(name, MODULE);
  } catch (thrown) {
    return notSeen(name, thrown, ports, `ls -l ${MODULE}`);
  }
}

/** Versions of what the storage stands on; says, never judges, but for Node.js that is too old. */
export async function checkSoftware(ports: Pick<DoctorPorts, 'commands' | 'nodeJs'>, deadline: Deadline): Promise<Finding> {
  const name = 'software';
  const run = async (...argv: string[]): Promise<string> => {
    try {
      return (await ports.commands.run(argv, { deadline, okExitCodes: 'any' })).stdout.trim();
    } catch (thrown) {
      deadline.signal.throwIfAborted();
      return `(${messageOf(thrown)})`;
    }
  };
  const [kernel, packages] = await Promise.all([
    run('uname', '-r'),
    // what is not installed has no version and is left out
    run('dpkg-query', '-W', '-f', '${db:Status-Abbrev}${Package} ${Version}\\n', ...PACKAGES),
  ]);
  const installed = packages
    .split('\n')
    .filter((line) => line.startsWith('ii'))
    .map((line) => line.slice(2).trim());
  const seen = [`Linux ${kernel}`, `Node.js ${ports.nodeJs}`, ...installed].join(', ');
  const [major = 0, minor = 0] = ports.nodeJs.replace(/^v/, '').split('.').map(Number);
  if (major < 18 || (major === 18 && minor < 19)) return warning(name, seen, 'Node.js 18.19 or newer is needed: apt install nodejs');
  return ok(name, seen);
}

/** Whether this node's clock is kept right by anybody. */
export async function checkTimeService(ports: Pick<DoctorPorts, 'commands'>, deadline: Deadline): Promise<Finding> {
  const name = 'time service';
  try {
    const { stdout } = await ports.commands.run(['timedatectl', 'show', '--property', 'NTPSynchronized', '--value'], { deadline });
    if (stdout.trim() === 'yes') return ok(name, "this node's clock is synchronised");
    return warning(name, "this node's clock is not synchronised by a time service", 'systemctl status chrony; timedatectl');
  } catch (thrown) {
    deadline.signal.throwIfAborted();
    return skipped(name, `nobody tells whether it is synchronised: ${messageOf(thrown)}`);
  }
}
