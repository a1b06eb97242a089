import type { ChapAccount, IscsiSession, LunServer, ServedLun, ServedTarget } from './lun-server.ts';

/** What it needs of a tgtd (TgtDaemon). */
interface Daemon {
  start(): Promise<void>;
  stop(): Promise<void>;
  admin(args: readonly string[]): Promise<string>;
}

/** What it needs of the volumes (FileBlocks). */
interface Files {
  path(key: string): string;
  exists(key: string): boolean;
  generation(key: string): number;
}

interface BoundAccount {
  readonly account: ChapAccount;
  readonly outgoing: boolean;
}

interface Applied {
  readonly tid: number;
  readonly luns: Map<number, string>;
  initiators: readonly string[];
  accounts: readonly BoundAccount[];
}

/** What admits everybody in tgt's own words. */
const EVERYBODY = 'ALL';

/**
 * Serves volumes by a real `tgtd`. tgt keeps LUN 0 of every target for a controller that cannot be deleted, so disks begin
 * at 1; it cannot resize a LUN, so a grown or rolled back volume is taken away and given again (who has it open gets I/O
 * errors for that moment, real-parts 2). The NAA that initiators see is tgt's own; the serial is the extent's, in VPD
 * pages 0x80 and 0x83.
 */
export class TgtLunServer implements LunServer {
  readonly firstLun = 1;
  private readonly daemon: Daemon;
  private readonly files: Files;
  private readonly applied = new Map<string, Applied>();
  private readonly secrets = new Map<string, string>();

  constructor(daemon: Daemon, files: Files) {
    this.daemon = daemon;
    this.files = files;
  }

  start(): Promise<void> {
    this.applied.clear();
    this.secrets.clear();
    return this.daemon.start();
  }

  async stop(): Promise<void> {
    try {
      for (const iqn of [...this.applied.keys()]) await this.removeTarget(iqn);
    } finally {
      this.applied.clear();
      await this.daemon.stop();
    }
  }

  async apply(targets: readonly ServedTarget[]): Promise<void> {
    const wanted = new Map(targets.map((target) => [target.iqn, target]));
    for (const iqn of [...this.applied.keys()]) if (!wanted.has(iqn)) await this.removeTarget(iqn);
    for (const target of targets) await this.applyTarget(target);
  }

  async sessions(): Promise<readonly IscsiSession[]> {
    const sessions: IscsiSession[] = [];
    for (const [target, { tid }] of this.applied) {
      const text = await this.daemon.admin(['--mode', 'conn', '--op', 'show', '--tid', String(tid)]);
      sessions.push(...parseConnections(text).map((one) => ({ ...one, target })));
    }
    return sessions;
  }

  private async applyTarget(target: ServedTarget): Promise<void> {
    const applied = this.applied.get(target.iqn) ?? (await this.newTarget(target.iqn));
    const tid = String(applied.tid);
    const wanted = new Map(target.luns.map((lun) => [lun.lun, lun]));
    for (const [number, signature] of [...applied.luns]) {
      const lun = wanted.get(number);
      if (lun !== undefined && this.signature(lun) === signature) continue;
      await this.daemon.admin(['--mode', 'logicalunit', '--op', 'delete', '--tid', tid, '--lun', String(number)]);
      applied.luns.delete(number);
    }
    for (const [number, lun] of wanted) {
      // a volume that is being destroyed right now is left out, as SCST leaves out a device that is not there
      if (applied.luns.has(number) || !this.files.exists(lun.key)) continue;
      await this.addLun(tid, lun);
      applied.luns.set(number, this.signature(lun));
    }
    // who may log in comes last, so that nobody sees a target that is half made or without its CHAP
    await this.applyAccounts(applied, target);
    await this.applyInitiators(applied, target.initiators === 'ALL' ? [EVERYBODY] : target.initiators);
  }

  private async newTarget(iqn: string): Promise<Applied> {
    const used = new Set([...this.applied.values()].map((one) => one.tid));
    let tid = 1;
    while (used.has(tid)) tid += 1;
    await this.daemon.admin(['--mode', 'target', '--op', 'new', '--tid', String(tid), '-T', iqn]);
    const applied: Applied = { tid, luns: new Map(), initiators: [], accounts: [] };
    this.applied.set(iqn, applied);
    return applied;
  }

  private async removeTarget(iqn: string): Promise<void> {
    const applied = this.applied.get(iqn);
    if (applied === undefined) return;
    await this.daemon.admin(['--mode', 'target', '--op', 'delete', '--force', '--tid', String(applied.tid)]);
    this.applied.delete(iqn);
  }

  private async addLun(tid: string, lun: ServedLun): Promise<void> {
    const at = ['--tid', tid, '--lun', String(lun.lun)];
    const file = this.files.path(lun.key);
    await this.daemon.admin([
      '--mode',
      'logicalunit',
      '--op',
      'new',
      ...at,
      '--bstype',
      'rdwr',
      '--blocksize',
      String(lun.blockSize),
      '-b',
      file,
    ]);
    const parameters = [
      `vendor_id=${plain(lun.vendor)}`,
      `product_id=${plain(lun.productId)}`,
      `scsi_sn=${plain(lun.serial)}`,
      `scsi_id=${plain(lun.serial)}`,
      'thin_provisioning=1',
      ...(lun.readOnly ? ['readonly=1'] : []),
    ];
    try {
      await this.daemon.admin(['--mode', 'logicalunit', '--op', 'update', ...at, '--params', parameters.join(',')]);
    } catch (error) {
      await this.daemon.admin(['--mode', 'logicalunit', '--op', 'delete', ...at]);
      throw error;
    }
  }

  private async applyInitiators(applied: Applied, wanted: readonly string[]): Promise<void> {
    const tid = String(applied.tid);
    const flag = (name: string): string[] => (name === EVERYBODY ? ['-I', name] : ['-Q', name]);
    for (const name of applied.initiators.filter((one) => !wanted.includes(one))) {
      await this.daemon.admin(['--mode', 'target', '--op', 'unbind', '--tid', tid, ...flag(name)]);
    }
    for (const name of wanted.filter((one) => !applied.initiators.includes(one))) {
      await this.daemon.admin(['--mode', 'target', '--op', 'bind', '--tid', tid, ...flag(name)]);
    }
    applied.initiators = wanted;
  }

  /** tgt knows accounts by name alone; a changed secret means the account is made anew. */
  private async applyAccounts(applied: Applied, target: ServedTarget): Promise<void> {
    const tid = String(applied.tid);
    const wanted: readonly BoundAccount[] = [
      ...target.incoming.map((account) => ({ account, outgoing: false })),
      ...(target.outgoing === null ? [] : [{ account: target.outgoing, outgoing: true }]),
    ];
    const same = wanted.length === applied.accounts.length && wanted.every((one, index) => isSame(one, applied.accounts[index]));
    if (same) return;
    for (const { account, outgoing } of applied.accounts) {
      await this.daemon.admin([
        '--mode',
        'account',
        '--op',
        'unbind',
        '--tid',
        tid,
        '--user',
        account.user,
        ...(outgoing ? ['--outgoing'] : []),
      ]);
    }
    applied.accounts = [];
    for (const { account, outgoing } of wanted) {
      await this.account(account);
      await this.daemon.admin([
        '--mode',
        'account',
        '--op',
        'bind',
        '--tid',
        tid,
        '--user',
        account.user,
        ...(outgoing ? ['--outgoing'] : []),
      ]);
    }
    applied.accounts = wanted;
  }

  /** tgtadm takes secrets only as arguments; they are those of a simulated array. */
  private async account({ user, secret }: ChapAccount): Promise<void> {
    const known = this.secrets.get(user);
    if (known === secret) return;
    if (known !== undefined) await this.daemon.admin(['--mode', 'account', '--op', 'delete', '--user', user]);
    await this.daemon.admin(['--mode', 'account', '--op', 'new', '--user', user, '--password', secret]);
    this.secrets.set(user, secret);
  }

  private signature(lun: ServedLun): string {
    return JSON.stringify([
      lun.key,
      lun.size,
      this.files.generation(lun.key),
      lun.serial,
      lun.vendor,
      lun.productId,
      lun.blockSize,
      lun.readOnly,
    ]);
  }
}

function isSame(one: BoundAccount, other: BoundAccount | undefined): boolean {
  return (
    other !== undefined &&
    one.outgoing === other.outgoing &&
    one.account.user === other.account.user &&
    one.account.secret === other.account.secret
  );
}

/** tgtadm splits its parameters at commas. */
function plain(text: string): string {
  return text.replaceAll(/[,=\n]/g, ' ');
}

/** `tgtadm --mode conn --op show`: initiator and address of each connection. */
export function parseConnections(text: string): { initiator: string; address: string }[] {
  const found: { initiator: string; address: string }[] = [];
  let initiator: string | null = null;
  for (const line of text.split('\n')) {
    const name = /^\s*Initiator: (\S+)/.exec(line)?.[1];
    if (name !== undefined) initiator = name;
    const address = /^\s*IP Address: (\S+)/.exec(line)?.[1];
    if (address === undefined || initiator === null) continue;
    found.push({ initiator, address });
    initiator = null;
  }
  return found;
}
