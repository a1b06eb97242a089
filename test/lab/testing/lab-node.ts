import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';
import { LabAgent } from '../../../sim/blocks/lab/lab-agent.ts';
import { METHODS, type MethodName, type Result } from '../../../src/protocol/methods.ts';
import { rehearseDaemon } from './daemon-rehearsal.ts';
import { type ExportedLun, LabSimulator } from './lab-simulator.ts';
import { Machine } from './machine.ts';
import { MACHINE } from './places.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const AT = '/opt/pve-truenas';
const LOG = '/tmp/daemon.log';
/** Of the rehearsal: storage and port of its array, which no test meets again. */
const REHEARSAL = { storage: 'rehearsal', port: 444 } as const;
/** The others are the simulator's: a call of the daemon waits for what the simulator asks its ZFS. */
const PORTS = [2];
/** Longer than PVE would wait: the CPU is emulated, and what is tested is what happens, not how fast. */
const CALL_SECONDS = 300;
/** What of the tree the node gets: the daemon's bundle, and the Perl module with the stand-in for PVE's base class. */
const INSTALLED = ['dist/pve-truenasd.mjs', 'perl'];
/** tar's: what does not depend on when and by whom the tree was made. */
const SAME = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--mode=go=rX'] as const;
export const GIB = 2 ** 30;

/** One line to the daemon's socket, its answer to standard output. */
const ASK = `perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => "/run/pve-truenas/daemon.sock") or die "daemon: $!\\n";
  print $s scalar <STDIN>; $s->flush; print scalar <$s>'`;
const START = `setsid node ${AT}/dist/pve-truenasd.mjs --log-format text --log-level debug >> ${LOG} 2>&1 < /dev/null &
  echo $! > /tmp/daemon.pid; wait_for 400 grep -q ' ready {' ${LOG} || { cat ${LOG}; exit 1; }`;

const answer = z.object({
  result: z.unknown().optional(),
  error: z.object({ message: z.string(), data: z.object({ code: z.string() }).optional() }).optional(),
});
/** What the rehearsal left: session and records of its target, the array's side of it, configuration and log. */
const FORGET = `iscsiadm -m node -T $IQN --logout; iscsiadm -m node -T $IQN -o delete; [ ! -d $C/target/iscsi/$IQN ] || lio_gone; wait_for 20 zfs destroy -r $DATASET; udevadm settle
  rm -rf /etc/pve/storage.cfg /etc/pve/priv/storage/* /dev/pve-truenas; : > ${LOG}
  left=$(cd /sys; ls -d class/iscsi_session/* class/scsi_device/* kernel/config/target/iscsi/iqn* kernel/config/target/core/*/*.*; ls /var/lib/pve-truenas/journal) 2> /dev/null || true
  [ -z "$left" ] || { echo "the rehearsal left: $left"; exit 1; }`;

export type Answer = z.infer<typeof answer>;

/**
 * An array and a node in one VM: the simulator's API before the VM's real ZFS and LIO, the bundled daemon on Debian's Node.js, the Perl
 * module, the kernel's own initiator.
 */
export class LabNode {
  readonly machine: Machine;
  readonly sim: LabSimulator;
  readonly #storage: string;
  readonly #functions: string;
  readonly #config: Record<string, string | number>;

  private constructor(machine: Machine, sim: LabSimulator, functions: string, storage = 'nas') {
    const { host, port, fingerprint, dataset, targetIqn, portal } = sim.about;
    this.machine = machine;
    this.sim = sim;
    this.#storage = storage;
    this.#functions = functions;
    this.#config = {
      api_timeout: CALL_SECONDS,
      api_host: host,
      api_port: port,
      fingerprint,
      dataset,
      target_iqn: targetIqn,
      discovery_portal: portal,
    };
  }

  /** A node on which the daemon runs and that knows the storage `nas`. `settings`: more lines of its section in storage.cfg. */
  static async start(settings: Readonly<Record<string, string | number>> = {}): Promise<LabNode> {
    const functions = await readFile(join(MACHINE, 'guest/targets.sh'), 'utf8');
    const machine = await LabNode.#installed(functions);
    const sim = await LabSimulator.start(machine.directory);
    const node = new LabNode(machine, sim, functions);
    Object.assign(node.#config, settings);
    try {
      await node.#configure();
      // PVE's own short limits are not for the first login on an emulated CPU.
      await node.call('storage.activate', {});
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.sim.stop();
    await this.machine.stop();
  }

  /** In the VM, with the functions of guest/targets.sh. Errors: exit status not 0. */
  sh(text: string, seconds = 60): Promise<string> {
    return this.machine.sh(`${this.#functions}\n${text}`, seconds);
  }

  async #configure(): Promise<void> {
    const section = Object.entries(this.#config).map(([name, value]) => `\t${name} ${value}`);
    const cfg = [`truenasplugin: ${this.#storage}`, ...section, '\tcontent images', ''].join('\n');
    await this.machine.sh(
      `cat > /etc/pve/storage.cfg; (umask 077; echo '${this.sim.about.apiKey}' > /etc/pve/priv/storage/${this.#storage}.api_key)`,
      60,
      cfg,
    );
  }

  /** One call of the daemon's socket; its answer, also an error. */
  async ask(method: MethodName, params: Record<string, unknown>): Promise<Answer> {
    const request = {
      jsonrpc: '2.0',
      id: 1,
      method,
      params: { protocol: 1, deadline_ms: CALL_SECONDS * 1000, storage: { id: this.#storage, config: this.#config }, ...params },
    };
    return answer.parse(JSON.parse(await this.machine.sh(ASK, CALL_SECONDS + 60, `${JSON.stringify(request)}\n`)));
  }

  /** One call that has to succeed. Errors: with the daemon's log. */
  async call<M extends MethodName>(method: M, params: Record<string, unknown>): Promise<Result<M>> {
    const { result, error } = await this.ask(method, params);
    if (error === undefined) return METHODS[method].result.parse(result) as Result<M>;
    throw new Error(`${method}: ${error.data?.code ?? ''} ${error.message}\n${await this.log()}`);
  }

  /** The code with which a call was refused. Errors: it succeeded. */
  async refused(method: MethodName, params: Record<string, unknown>): Promise<string> {
    const { result, error } = await this.ask(method, params);
    if (error === undefined) throw new Error(`${method} succeeded: ${JSON.stringify(result)}`);
    return error.data?.code ?? error.message;
  }

  /** An operation of `pvesm` through the real Perl module. */
  pvesm(...args: readonly string[]): Promise<string> {
    return this.machine.sh(pvesmCommand(...args), 120);
  }

  /** The last lines that the daemon wrote. */
  log(): Promise<string> {
    return this.machine.sh(`tail -n 25 ${LOG}`);
  }

  async killDaemon(): Promise<void> {
    await this.machine.sh('kill -KILL $(cat /tmp/daemon.pid); while kill -0 $(cat /tmp/daemon.pid) 2> /dev/null; do sleep 0.05; done');
  }

  async startDaemon(): Promise<void> {
    await this.sh(`: > ${LOG}; ${START}`, 450);
  }

  /** A new volume of guest 100. `size`: bytes. */
  async volume(size = GIB): Promise<ExportedLun> {
    const { volname } = await this.call('volume.allocate', { vmid: 100, size });
    const lun = (await this.sim.luns()).find((one) => one.volume === volname);
    if (lun === undefined) throw new Error(`${volname} has no LUN`);
    return lun;
  }

  /** Attaches a volume; the path that PVE gets. */
  async activate({ volume }: Pick<ExportedLun, 'volume'>): Promise<string> {
    return (await this.call('volume.activate', { volume })).path;
  }

  zvol({ volume }: Pick<ExportedLun, 'volume'>): string {
    return `${this.sim.about.dataset}/${volume}`;
  }

  /** Random data in the first 4 MiB; their sha256. */
  write(path: string): Promise<string> {
    return this.machine.sh(
      `head -c 4M /dev/urandom > /tmp/data; test -b ${path}; dd if=/tmp/data of=${path} bs=1M oflag=direct status=none; sha256sum < /tmp/data | cut -d' ' -f1`,
    );
  }

  /** sha256 of the first 4 MiB as a reader on the node gets them, through the page cache. */
  read(path: string): Promise<string> {
    return this.machine.sh(sumOf(path));
  }

  /** As `read`, while a call of the daemon is under way: on a port of the simulator's, which must have nothing to do meanwhile. */
  async readMeanwhile(path: string): Promise<string> {
    return (await new LabAgent(this.machine.directory, [0]).run(sumOf(path))).stdout.toString().trim();
  }

  /** sha256 of the first 4 MiB on the array's side, past every cache. */
  async onArray(lun: Pick<ExportedLun, 'volume'>): Promise<string> {
    return this.machine.sh(`dd if=/dev/zvol/${this.zvol(lun)} bs=1M count=4 iflag=direct status=none | sha256sum | cut -d' ' -f1`);
  }

  /** Disks of iSCSI on this node and what is below /dev/pve-truenas, one a line. */
  devices(): Promise<string> {
    return this.machine.sh('ls /sys/block | grep ^sd || true; find /dev/pve-truenas -type l 2> /dev/null || true');
  }

  /** A VM on which the daemon has done the most used once and knows no storage: Node.js takes seconds to start there, and to compile. */
  static async #installed(functions: string): Promise<Machine> {
    const { stdout } = await promisify(execFile)('tar', ['-C', ROOT, ...SAME, '-c', ...INSTALLED], {
      encoding: 'buffer',
      maxBuffer: 64 * 1024 * 1024,
    });
    const prepare = async (machine: Machine): Promise<void> => {
      await machine.sh(`mkdir -p ${AT}; tar -C ${AT} -x; mkdir -p -m 700 /etc/pve/priv/storage`, 60, stdout);
      // The array's own side of the disks is no business of the node's LVM.
      await machine.sh(
        `sed -i 's#^devices {#devices {\\n\\tglobal_filter = [ "r|^/dev/zd.*|", "r|^/dev/zvol/.*|" ]#' /etc/lvm/lvm.conf; lvmconfig --validate > /dev/null`,
      );
      await machine.sh(`${functions}\niscsid; ${START}`, 450);
      await LabNode.#rehearse(machine, functions);
    };
    return Machine.prepared('st', 'lab-node', [stdout, functions], prepare, PORTS);
  }

  /** What most tests ask of the daemon, for the first time in this VM, against an array that leaves nothing. */
  static async #rehearse(machine: Machine, functions: string): Promise<void> {
    const sim = await LabSimulator.start(machine.directory, REHEARSAL.port);
    try {
      const node = new LabNode(machine, sim, functions, REHEARSAL.storage);
      await node.#configure();
      await rehearseDaemon((method, params) => node.call(method, params));
    } finally {
      await sim.stop();
    }
    await machine.sh(`${functions}\nIQN=${sim.about.targetIqn}; DATASET=${sim.about.dataset}; ${FORGET}`, 120);
  }
}

const sumOf = (path: string): string => `dd if=${path} bs=1M count=4 status=none | sha256sum | cut -d' ' -f1`;

/** The command line of an operation of `pvesm`. */
export function pvesmCommand(...args: readonly string[]): string {
  return `perl -T ${AT}/perl/t/bin/pvesm-lite --storage-cfg /etc/pve/storage.cfg ${args.map((word) => `'${word}'`).join(' ')}`;
}
