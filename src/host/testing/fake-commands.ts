import { commandFailed, type CommandOptions, type CommandResult, type Commands } from '../commands.ts';
import type { FakeNodeState } from './fake-node-state.ts';

function answer(exitCode: number, stdout = '', stderr = ''): CommandResult {
  return { exitCode, stdout, stderr };
}

/** The programs of a node, with the exit codes and texts that the real ones were seen to give (RP-13, RP-16, RP-20, open-iscsi 2.1.8). */
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
    if (args.includes('new')) {
      if (existing === '') return answer(6, '', 'iscsiadm: Error while adding record: encountered iSCSI database failure\n');
      node.files.put(
        record,
        `# BEGIN RECORD 2.1.8\nnode.name = ${iqn}\nnode.startup = manual\nnode.session.auth.authmethod = None\nnode.session.scan = auto\n# END RECORD\n`,
        0o600,
      );
      return answer(0, `New iSCSI node [tcp:[hw=,ip=,net_if=,iscsi_if=default] ${portal},-1 ${iqn}] added\n`);
    }
    if (existing === null || existing === '') return answer(21, '', 'iscsiadm: No records found\n');
    await node.clock.sleep(this.loginDelay, options.deadline.signal);
    const target = node.targetAt(iqn, portal);
    if (target === undefined) return answer(8, '', 'iscsiadm: connection login retries (reopen_max) 5 exceeded\n');
    const refusal = target.refusals.get(portal);
    if (refusal !== undefined)
      return answer(refusal, '', `iscsiadm: Could not login to [iface: default, target: ${iqn}, portal: ${portal}].\n`);
    if (node.sessionOf(target, portal)) {
      return answer(15, '', 'iscsiadm: default: 1 session requested, but 1 already present.\n');
    }
    node.login(target, portal);
    return answer(0, 'Login successful.\n');
  }

  #scsiId(args: readonly string[]): CommandResult {
    const block = args.find((arg) => arg.startsWith('--device=/dev/'))?.slice('--device=/dev/'.length) ?? '';
    const device = this.#node.deviceOf(block);
    const disk = device === undefined ? null : this.#node.served(device);
    return disk === null ? answer(1) : answer(0, `3${disk.naa.slice(2)}\n`);
  }

  async #multipath(args: readonly string[]): Promise<CommandResult> {
    const node = this.#node;
    const [option, name = ''] = args;
    if (option === '-a') node.wwids.add(name);
    if (option === '-w') node.wwids.delete(name);
    if (option === '-a' || option === '-w') {
      node.files.put('/etc/multipath/wwids', `# Multipath wwids\n${[...node.wwids].map((wwid) => `/${wwid}/\n`).join('')}`);
      return answer(0);
    }
    const map = [...node.maps.values()].find((candidate) => candidate.name === name);
    if (map === undefined) return answer(1, '', `${name} is not a multipath device\n`);
    const held =
      node.files.exclusive.has(`/dev/${map.block}`) || (await node.files.list(`/sys/class/block/${map.block}/holders`)).length > 0;
    if (held || node.busyFlushes > 0) {
      node.busyFlushes -= 1;
      return answer(1, '', `${name}: map or partition in use\n`);
    }
    node.dropMap(map);
    return answer(0);
  }

  #multipathd(args: readonly string[]): CommandResult {
    const node = this.#node;
    if (!node.multipathdRuns) return answer(1, '', 'multipathd: timeout\n');
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
    return answer(1, 'fail\n');
  }
}
