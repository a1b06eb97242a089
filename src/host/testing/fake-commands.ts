import { commandFailed, type CommandOptions, type CommandResult, type Commands } from '../commands.ts';
import type { FakeNodeState } from './fake-node-state.ts';

function answer(exitCode: number, stdout = '', stderr = ''): CommandResult {
  return { exitCode, stdout, stderr };
}

/** What iscsiadm says of its exit code when a login failed; before that of 20, why it could not start iscsid. */
const LOGIN_ERRORS: ReadonlyMap<number, string> = new Map([
  [8, 'connection timed out'],
  [19, 'encountered non-retryable iSCSI login failure'],
  [20, 'could not connect to iscsid'],
  [24, 'iSCSI login failed due to authorization failure'],
]);
const NO_ISCSID =
  'iscsiadm: iscsid is not running. Could not start it up automatically using the startup command in the iscsid.conf iscsid.startup setting. ' +
  'Please check that the file exists or that your init scripts have started iscsid.\niscsiadm: can not connect to iSCSI daemon (111)!\n';

const WWIDS = `# Multipath wwids, Version : 1.0
# NOTE: This file is automatically maintained by multipath and multipathd.
# You should not need to edit this file in normal circumstances.
#
# Valid WWIDs:
`;

/** The programs of a node, with the exit codes and texts of the real ones (./recorded; recorded.test.ts holds one against the other). */
export class FakeCommands implements Commands {
  readonly log: (readonly string[])[] = [];
  /** How long (ms) a login takes. */
  loginDelay = 200;
  /** Runs before each command, for what happens in between. */
  before: (argv: readonly string[]) => void = () => undefined;
  readonly #node: FakeNodeState;

  constructor(node: FakeNodeState) {
    this.#node = node;
  }

  /** Commands so far whose words begin with these. */
  count(...words: readonly string[]): number {
    return this.log.filter((argv) => words.every((word, index) => argv[index] === word)).length;
  }

  async run(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
    options.deadline.signal.throwIfAborted();
    this.log.push(argv);
    this.before(argv);
    const result = await this.#execute(argv, options);
    const accepted = options.okExitCodes ?? [0];
    if (accepted === 'any' || accepted.includes(result.exitCode)) return result;
    throw commandFailed(argv, result, null);
  }

  async #execute(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
    const [program = '', ...args] = argv;
    switch (program) {
      case 'iscsiadm':
        return this.#iscsiadm(args, options);
      case '/lib/udev/scsi_id':
        return this.#scsiId(args);
      case 'multipath':
        return this.#multipath(args);
      case 'multipathd':
        return this.#multipathd(args);
      case 'blockdev':
        return answer(0);
      default:
        throw new Error(`the fake node has no program ${program}`);
    }
  }

  async #iscsiadm(args: readonly string[], options: CommandOptions): Promise<CommandResult> {
    const node = this.#node;
    const iqn = args[args.indexOf('-T') + 1] ?? '';
    const portal = (args[args.indexOf('-p') + 1] ?? '').replace(/^\[(.*)\]:/, '$1:');
    const cut = portal.lastIndexOf(':');
    const record = `${node.iscsiDatabase}/nodes/${iqn}/${portal.slice(0, cut)},${portal.slice(cut + 1)}`;
    const existing = await node.files.read(record);
    const at = `${portal.slice(0, cut)},${portal.slice(cut + 1)}`;
    if (args.includes('new')) {
      if (existing === '') {
        return answer(
          6,
          '',
          `iscsiadm: Could not stat ${node.iscsiDatabase}/nodes//,3260,-1/default to delete node: No such file or directory\n` +
            'iscsiadm: Error while adding record: encountered iSCSI database failure\n',
        );
      }
      node.files.put(record, newRecord(iqn, portal.slice(0, cut), portal.slice(cut + 1)), 0o600);
      return answer(0, `New iSCSI node [tcp:[hw=,ip=,net_if=,iscsi_if=default] ${at},-1 ${iqn}] added\n`);
    }
    if (existing === null || existing === '') return answer(21, '', 'iscsiadm: No records found\n');
    await node.clock.sleep(this.loginDelay, options.deadline.signal);
    const target = node.targetAt(iqn, portal);
    const refusal = target === undefined ? 8 : target.refusals.get(portal);
    if (target === undefined || refusal !== undefined) return loginFailed(refusal ?? 8, iqn, at);
    if (node.sessionOf(target, portal)) {
      return answer(15, '', 'iscsiadm: default: 1 session requested, but 1 already present.\niscsiadm: Could not log into all portals\n');
    }
    node.login(target, portal);
    return answer(0, `Login to [iface: default, target: ${iqn}, portal: ${at}] successful.\n`);
  }

  #scsiId(args: readonly string[]): CommandResult {
    const block = args.find((arg) => arg.startsWith('--device=/dev/'))?.slice('--device=/dev/'.length) ?? '';
    const device = this.#node.deviceOf(block);
    const disk = device === undefined ? null : this.#node.served(device);
    if (disk === null) return answer(1);
    return answer(0, disk.naa === null ? '1LIO-ORG \n' : `3${disk.naa.slice(2)}\n`);
  }

  async #multipath(args: readonly string[]): Promise<CommandResult> {
    const node = this.#node;
    const [option, name = ''] = args;
    if (option === '-a' || option === '-w') {
      const had = node.wwids.has(name);
      if (option === '-a') node.wwids.add(name);
      else node.wwids.delete(name);
      node.files.put('/etc/multipath/wwids', `${WWIDS}${[...node.wwids].map((wwid) => `/${wwid}/\n`).join('')}`);
      return answer(0, `wwid '${name}' ${option === '-a' ? 'added' : had ? 'removed' : 'not in wwids file'}\n`);
    }
    const map = [...node.maps.values()].find((candidate) => candidate.name === name);
    if (map === undefined) return answer(1, '', `212.202908 | ${name} is not a multipath device\n`);
    const held =
      node.files.exclusive.has(`/dev/${map.block}`) || (await node.files.list(`/sys/class/block/${map.block}/holders`)).length > 0;
    if (held || node.busyFlushes > 0) {
      node.busyFlushes -= 1;
      return answer(1, 'map or partition in use\n');
    }
    node.dropMap(map);
    return answer(0);
  }

  #multipathd(args: readonly string[]): CommandResult {
    const node = this.#node;
    if (!node.multipathdRuns) return answer(1, '', 'ERROR: failed to connect to multipathd\n');
    const [verb, what, name = ''] = args;
    if (verb === 'add') {
      const naa = what === 'map' ? name.slice(1) : node.deviceOf(name)?.cachedNaa;
      // find_multipaths strict (F-112): only what is registered gets a map.
      if (naa === undefined || !node.wwids.has(`3${naa}`)) return answer(0, 'ok\n');
      node.addMap(naa);
      return answer(0, 'ok\n');
    }
    const map = [...node.maps.values()].find((candidate) => candidate.name === name);
    if (verb === 'resize' && map !== undefined) {
      node.resizeMap(map.naa);
      return answer(0, 'ok\n');
    }
    return answer(1, 'device not found\n');
  }
}

function loginFailed(exitCode: number, iqn: string, at: string): CommandResult {
  const reason = LOGIN_ERRORS.get(exitCode);
  if (reason === undefined) throw new Error(`nobody has seen yet what iscsiadm says with exit code ${exitCode}`);
  return answer(
    exitCode,
    '',
    `${exitCode === 20 ? NO_ISCSID : ''}iscsiadm: Could not login to [iface: default, target: ${iqn}, portal: ${at}].\n` +
      `iscsiadm: initiator reported error (${exitCode} - ${reason})\niscsiadm: Could not log into all portals\n`,
  );
}

/** Of the record that iscsiadm makes, the lines that somebody reads. */
function newRecord(iqn: string, address: string, port: string): string {
  return `# BEGIN RECORD 2.1.11
node.name = ${iqn}
node.tpgt = -1
node.startup = manual
node.leading_login = No
iface.iscsi_ifacename = default
node.discovery_type = static
node.session.auth.authmethod = None
node.session.scan = auto
node.conn[0].address = ${address}
node.conn[0].port = ${port}
# END RECORD
`;
}
