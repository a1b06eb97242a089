import type { StorageConfig } from '../../config/storage-config.ts';
import type { Secret } from '../../config/secrets.ts';
import type { Clock } from '../../core/ports.ts';
import { systemClock } from '../../core/system-clock.ts';
import { commandMissing, type CommandOptions, type CommandResult, type Commands } from '../../host/commands.ts';
import { MemoryFiles } from '../../host/testing/memory-files.ts';
import type { MethodName, Result } from '../../protocol/methods.ts';
import type { Check } from '../../volumes/inspect/check.ts';
import { DaemonSilent, type ClockFacts, type DoctorPorts, type TlsFacts } from '../ports.ts';

const DAY_MS = 86_400_000;
export const FINGERPRINT = Array.from({ length: 32 }, () => 'AB').join(':');
/** A wait that only its deadline ends. */
export function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}

type Answer = Partial<CommandResult> | Error;

/** The programs of a node, by the beginning of their command line. What is not scripted is not installed. */
class ScriptedCommands implements Commands {
  readonly asked: string[] = [];
  readonly answers = new Map<string, Answer | ((argv: readonly string[]) => Answer | Promise<Answer>)>();

  async run(argv: readonly string[], { okExitCodes = [0] }: CommandOptions): Promise<CommandResult> {
    const line = argv.join(' ');
    this.asked.push(line);
    const found = [...this.answers].filter(([start]) => line.startsWith(start)).sort(([a], [b]) => b.length - a.length)[0]?.[1];
    if (found === undefined) throw commandMissing(argv[0] ?? '', Object.assign(new Error('ENOENT'), { code: 'ENOENT' }));
    const answer = typeof found === 'function' ? await found(argv) : found;
    if (answer instanceof Error) throw answer;
    const result = { stdout: '', stderr: '', exitCode: 0, ...answer };
    if (okExitCodes !== 'any' && !okExitCodes.includes(result.exitCode)) throw new Error(`${line} failed: ${result.stderr}`);
    return result;
  }
}

/** A node on which all is well; a test breaks one thing. */
export class FakeNode {
  readonly files = new MemoryFiles();
  readonly commands = new ScriptedCommands();
  readonly secrets = new Map<string, Secret>();
  /** What the daemon says; an Error is its refusal. Methods without an answer are not known. */
  readonly daemon = new Map<MethodName, unknown>();
  /** Calls to the daemon. */
  readonly asked: string[] = [];
  /** Paths whose reading does not end, or fails with this. */
  readonly stuck = new Map<string, Error | null>();
  isRoot = true;
  clock: Clock = systemClock;
  tls: () => Promise<TlsFacts> = () => Promise.resolve(this.goodTls());
  date: () => Promise<ClockFacts> = () =>
    Promise.resolve({ array: 1_000_000_000_000, before: 1_000_000_000_200, after: 1_000_000_000_300 });
  names = new Map<string, readonly string[]>([['nas', ['192.0.2.10']]]);
  inspectArray: (config: StorageConfig) => Promise<readonly Check[]> = () =>
    Promise.resolve([{ name: 'connection', state: 'ok', message: 'logged in' }]);

  constructor() {
    this.storageCfg('');
    this.files.put(
      '/etc/pve/.members',
      JSON.stringify({ nodename: 'pve1', nodelist: { pve1: { id: 1, online: 1 }, pve2: { id: 2, online: 1 } } }),
    );
    for (const node of ['pve1', 'pve2']) this.files.put(`/etc/pve/nodes/${node}/pve-truenas-version`, '1.0.0\n');
    this.files.put('/usr/share/perl5/PVE/Storage/Custom/TrueNASPlugin.pm', "my $SOCKET = '/run/pve-truenas/daemon.sock';");
    this.files.put('/etc/iscsi/initiatorname.iscsi', 'InitiatorName=iqn.1993-08.org.debian:01:abc\n');
    this.files.put('/etc/iscsi/iscsid.conf', 'node.session.timeo.replacement_timeout = 120\nnode.session.auth.password = chap-in-iscsid\n');
    this.files.put('/sys/class/net/ens18/mtu', '1500');
    this.secrets.set('nas.api_key', { value: '1-secret-key-of-nas', inline: false, padded: false });
    const { answers } = this.commands;
    answers.set('uname', { stdout: '6.8.12-pve\n' });
    answers.set('dpkg-query', { stdout: 'ii open-iscsi 2.1.8-1\nun multipath-tools \n' });
    answers.set('timedatectl', { stdout: 'yes\n' });
    answers.set('lvmconfig', {
      stdout: 'global_filter=["r|/dev/disk/by-id/wwn-0x6589cfc.*|","r|/dev/mapper/36589cfc.*|"]\nfilter=["a|.*|"]\nuse_devicesfile=0\n',
    });
    answers.set('ip -json route get', { stdout: JSON.stringify([{ dst: '192.0.2.10', dev: 'ens18', prefsrc: '192.0.2.1', metrics: [] }]) });
    answers.set('ping', { stdout: '2 packets transmitted, 2 received\n' });
    this.daemon.set('daemon.hello', { version: '1.0.0', protocol: 1, oldest_protocol: 1, node: 'pve1', pid: 77, uptime_s: 60 });
    this.health([{ name: 'connection', state: 'ok', message: 'logged in' }]);
  }

  /** The storage `nas` with these lines more. */
  storageCfg(lines: string, more = ''): void {
    this.files.put(
      '/etc/pve/storage.cfg',
      `truenasplugin: nas\n\tapi_host nas\n\tfingerprint ${FINGERPRINT}\n\tdataset tank/proxmox\n\ttarget_iqn proxmox\n\tdiscovery_portal 192.0.2.10\n${lines}\n\n${more}`,
    );
  }

  health(checks: readonly { name: string; state: string; message: string; cure?: string }[]): void {
    this.daemon.set('overview.health', {
      state: 'ok',
      daemon: { version: '1.0.0', open_operations: 0 },
      storages: [{ id: 'nas', state: 'ok', checks }],
    });
  }

  goodTls(): TlsFacts {
    const now = Date.now();
    return {
      protocol: 'TLSv1.3',
      fingerprint: FINGERPRINT,
      subject: 'nas',
      issuer: 'itself',
      validFrom: now - DAY_MS,
      validTo: now + 400 * DAY_MS,
      chainLength: 1,
      distrust: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    };
  }

  ports(): DoctorPorts {
    return {
      clock: this.clock,
      node: 'pve1',
      version: '1.0.0',
      nodeJs: 'v20.19.2',
      isRoot: this.isRoot,
      text: async (path) => {
        const stuck = this.stuck.get(path);
        if (stuck === null) return never();
        if (stuck !== undefined) throw stuck;
        return this.files.read(path);
      },
      list: (directory) => Promise.resolve(this.files.paths(`${directory}/`)),
      sys: this.files,
      commands: this.commands,
      network: {
        resolve: (host) => {
          const found = /^[\d.:]+$/.test(host) ? [host] : this.names.get(host);
          return found === undefined ? Promise.reject(new Error('the resolver knows no such name')) : Promise.resolve(found);
        },
        tls: () => this.tls(),
        httpDate: () => this.date(),
      },
      askDaemon: <M extends MethodName>(method: M): Promise<Result<M>> => {
        this.asked.push(method);
        const answer = this.daemon.get(method) ?? new DaemonSilent(`${method} is not known`, 'cure');
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as Result<M>);
      },
      secret: (id, name) => Promise.resolve(this.secrets.get(`${id}.${name}`) ?? null),
      inspectArray: (config) => this.inspectArray(config),
    };
  }
}
