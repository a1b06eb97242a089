import type { IscsiSession, LunServer, ServedTarget } from '../lun-server.ts';
import { ConfigfsShell } from './configfs-shell.ts';
import type { LabAgent } from './lab-agent.ts';
import { lioConfig } from './lio-config.ts';
import { lioPlan } from './lio-plan.ts';
import { LOGIN_MESSAGES, parseConnected, parseLogins, sessionsOf } from './lio-sessions.ts';
import { lioQuery, standing } from './lio-standing.ts';

const MESSAGES = LOGIN_MESSAGES.map((text) => `echo 'module iscsi_target_mod format "${text}" +pt' > /proc/dynamic_debug/control`);
const START = ['modprobe target_core_iblock iscsi_target_mod', 'mkdir -p /sys/kernel/config/target/iscsi', ...MESSAGES].join('\n');
const ADDRESSES = `ip -o address show up | awk '$3 ~ /^inet/ { split($4, a, "/"); print a[1] }'`;
const CONNECTIONS = `ss -Htn state established; printf '\\0'; dmesg | grep -E '${LOGIN_MESSAGES.join('|')}'; true`;

/**
 * Serves zvols of the lab's VM by its kernel (LIO). What shall be served is compared with what stands in configfs each time, and only
 * what differs is touched, so sessions of others go on and a simulator that is started again finds its targets in place.
 */
export class LioLunServer implements LunServer {
  readonly firstLun = 0;
  private readonly agent: LabAgent;
  private readonly shell: ConfigfsShell;
  private readonly keep: boolean;
  private own: readonly string[] = [];

  /** `keep`: what is served stays when the simulator ends, for the one that comes after it with the same state. */
  constructor(agent: LabAgent, keep: boolean) {
    this.agent = agent;
    this.shell = new ConfigfsShell(agent);
    this.keep = keep;
  }

  /** Addresses of the VM on which portals can be. Empty before the start. */
  addresses(): readonly string[] {
    return this.own;
  }

  async start(): Promise<void> {
    const { stdout, stderr, status } = await this.agent.run(`set -e\n${START}\n${ADDRESSES}`);
    if (status !== 0) throw new Error(`the VM of the lab has no iSCSI target: ${stderr.trim()}`);
    this.own = stdout
      .toString('utf8')
      .split('\n')
      .filter((one) => one !== '' && !one.startsWith('fe80:'));
  }

  async stop(): Promise<void> {
    if (!this.keep && this.own.length > 0) await this.apply([]);
  }

  /** Errors: Error with all that the kernel refused; the rest is as it should be. */
  async apply(targets: readonly ServedTarget[]): Promise<void> {
    const devices = [...new Set(targets.flatMap((target) => target.luns.map((lun) => lun.device)))];
    const tree = await this.shell.read(lioQuery(devices));
    const wanted = lioConfig(targets, tree.devices, this.own);
    await this.shell.change(lioPlan(wanted, standing(tree)));
    if (wanted.refused.length > 0) throw new Error(wanted.refused.join('; '));
  }

  async sessions(): Promise<readonly IscsiSession[]> {
    const now = standing(await this.shell.read(lioQuery([])));
    const { stdout } = await this.agent.run(CONNECTIONS);
    const [connections = '', messages = ''] = stdout.toString('utf8').split('\0');
    const portals = new Set([...now.targets.values()].flatMap((target) => [...target.portals]));
    return sessionsOf(now, parseConnected(connections, portals), parseLogins(messages));
  }
}
