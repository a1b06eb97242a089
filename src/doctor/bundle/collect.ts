import { STORAGE_TYPE } from '../../config/schema.ts';
import { readStorageCfg } from '../../config/storage-cfg.ts';
import { withDeadline } from '../../core/deadline.ts';
import type { Deadline } from '../../core/ports.ts';
import { within } from '../../host/waiting.ts';
import type { DoctorReport } from '../doctor.ts';
import type { DoctorPorts } from '../ports.ts';
import { messageOf } from '../reasons.ts';
import { STORAGE_CFG } from '../storage-cfg.ts';

export interface Piece {
  readonly name: string;
  readonly text: string;
}

/** ms a piece may take */
const PIECE_MS = 8_000;
/** characters of one piece */
const MAX_PIECE = 1024 * 1024;

type Look = (deadline: Deadline) => Promise<string>;

/** What a support archive holds besides the report, raw: whoever writes it takes the secrets out. A piece that cannot be had says why. */
export async function collectPieces(ports: DoctorPorts, report: DoctorReport, stop: AbortSignal): Promise<readonly Piece[]> {
  const looks = { ...daemonLooks(ports), ...fileLooks(ports), ...commandLooks(ports), ...factLooks(ports) };
  const pieces = await Promise.all(
    Object.entries(looks).map(async ([name, look]): Promise<Piece> => ({ name, text: bounded(await textOf(ports, name, look, stop)) })),
  );
  return [{ name: 'doctor.json', text: `${JSON.stringify(report, null, 2)}\n` }, ...pieces];
}

async function textOf(ports: DoctorPorts, name: string, look: Look, stop: AbortSignal): Promise<string> {
  try {
    return await withDeadline(ports.clock, PIECE_MS, `collecting ${name}`, (deadline) => within(look(deadline), deadline), stop);
  } catch (thrown) {
    return `could not be had: ${messageOf(thrown)}\n`;
  }
}

/** The end of what is too long: the newest lines of a log are what is wanted. */
function bounded(text: string): string {
  return text.length <= MAX_PIECE ? text : `(the first ${text.length - MAX_PIECE} characters are left out)\n${text.slice(-MAX_PIECE)}`;
}

function daemonLooks(ports: DoctorPorts): Record<string, Look> {
  const json = async (asked: Promise<unknown>): Promise<string> => `${JSON.stringify(await asked, null, 2)}\n`;
  const ms = PIECE_MS - 2_500;
  return {
    'daemon/hello.json': () => json(ports.askDaemon('daemon.hello', {}, ms)),
    'daemon/status.json': () => json(ports.askDaemon('overview.status', {}, ms)),
    'daemon/volumes.json': () => json(ports.askDaemon('overview.list', {}, ms)),
    'daemon/orphans.json': () => json(ports.askDaemon('overview.orphans', {}, ms)),
    'daemon/metrics.txt': async () => (await ports.askDaemon('overview.exposition', { format: 'openmetrics' }, ms)).text,
  };
}

function fileLooks(ports: DoctorPorts): Record<string, Look> {
  const file =
    (path: string): Look =>
    async (deadline) =>
      (await ports.text(path, deadline)) ?? `${path} is not there\n`;
  return {
    'etc/storage.cfg': async (deadline) => ourSections((await ports.text(STORAGE_CFG, deadline)) ?? ''),
    'etc/iscsid.conf': file('/etc/iscsi/iscsid.conf'),
    'etc/initiatorname.iscsi': file('/etc/iscsi/initiatorname.iscsi'),
    'etc/multipath.conf': file('/etc/multipath.conf'),
    'etc/os-release': file('/etc/os-release'),
    'etc/hosts': file('/etc/hosts'),
    'etc/resolv.conf': file('/etc/resolv.conf'),
    'etc/members.json': file('/etc/pve/.members'),
  };
}

/** Our sections and no other: what else this cluster has is nobody's business. */
function ourSections(text: string): string {
  const { sections, warnings } = readStorageCfg(text);
  const ours = sections.filter(({ type }) => type === STORAGE_TYPE);
  const lines = ours.flatMap(({ type, id, properties }) => [
    `${type}: ${id}`,
    ...Object.entries(properties).map(([name, value]) => `\t${name}${value === null ? '' : ` ${value}`}`),
    '',
  ]);
  const noted = warnings.map(({ line, message }) => `# line ${line} ${message}`);
  return `${[...lines, ...noted, `# ${sections.length - ours.length} sections of other types are left out`].join('\n')}\n`;
}

function commandLooks(ports: DoctorPorts): Record<string, Look> {
  const command =
    (...argv: readonly string[]): Look =>
    async (deadline) => {
      const { exitCode, stdout, stderr } = await ports.commands.run(argv, { deadline, okExitCodes: 'any' });
      return `$ ${argv.join(' ')}\n${stdout}${stderr}${exitCode === 0 ? '' : `(exit code ${exitCode})\n`}`;
    };
  return {
    'node/uname.txt': command('uname', '-a'),
    'node/pveversion.txt': command('pveversion', '--verbose'),
    'node/addresses.txt': command('ip', '-details', 'address', 'show'),
    'node/routes.txt': command('ip', 'route', 'show', 'table', 'all'),
    'node/multipath.txt': command('multipath', '-ll'),
    'node/multipathd-config.txt': command('multipathd', 'show', 'config', 'local'),
    'node/lvmconfig.txt': command('lvmconfig', '--type', 'full', 'devices'),
    'node/block-devices.txt': command('lsblk', '-o', 'NAME,KNAME,TYPE,SIZE,TRAN,WWN,MOUNTPOINT'),
    'node/services.txt': command('systemctl', '--no-pager', 'status', 'pve-truenasd', 'iscsid', 'multipathd', 'pve-cluster'),
    'logs/pve-truenasd.txt': command('journalctl', '--no-pager', '-o', 'short-iso', '-n', '3000', '-u', 'pve-truenasd'),
    'logs/iscsid.txt': command('journalctl', '--no-pager', '-o', 'short-iso', '-n', '1000', '-u', 'iscsid', '-u', 'multipathd'),
    'logs/kernel.txt': command('journalctl', '--no-pager', '-o', 'short-iso', '-n', '1000', '-k'),
  };
}

function factLooks(ports: DoctorPorts): Record<string, Look> {
  return {
    'node/links.txt': async () => {
      const lines: string[] = [];
      for (const storage of await ports.sys.list('/dev/pve-truenas')) {
        for (const volume of await ports.sys.list(`/dev/pve-truenas/${storage}`)) {
          lines.push(`${storage}/${volume} -> ${(await ports.sys.readLink(`/dev/pve-truenas/${storage}/${volume}`)) ?? ''}`);
        }
      }
      return `${lines.length === 0 ? 'no volume is attached' : lines.join('\n')}\n`;
    },
    'node/iscsi-sessions.txt': async () => {
      const lines: string[] = [];
      for (const session of await ports.sys.list('/sys/class/iscsi_session')) {
        const read = async (name: string): Promise<string> =>
          `${name} ${(await ports.sys.read(`/sys/class/iscsi_session/${session}/${name}`)) ?? '-'}`;
        lines.push([session, ...(await Promise.all(['targetname', 'state', 'recovery_tmo'].map(read)))].join('  '));
      }
      return `${lines.length === 0 ? 'no session' : lines.join('\n')}\n`;
    },
  };
}
