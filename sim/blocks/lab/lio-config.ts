import type { ChapAccount, ServedLun, ServedTarget } from '../lun-server.ts';

/** A backstore: how a zvol shows itself to initiators. */
export interface LioDisk {
  /** `major:minor` of the zvol's device, by which it stays the same when the zvol is renamed */
  readonly device: string;
  /** 25 hex digits: LIO makes the NAA of company id and serial */
  readonly serial: string;
  readonly vendor: string;
  readonly product: string;
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly rotational: boolean;
}

export interface LioAccount {
  readonly user: string;
  readonly secret: string;
  /** '' without mutual CHAP */
  readonly peerUser: string;
  readonly peerSecret: string;
}

export interface LioTarget {
  readonly iqn: string;
  /** `10.77.0.10:3260`, `[::1]:3260` */
  readonly portals: readonly string[];
  /** LUN number → name of the backstore */
  readonly luns: ReadonlyMap<number, string>;
  /** null: everybody */
  readonly initiators: readonly string[] | null;
  /** null: no CHAP */
  readonly account: LioAccount | null;
}

/** What shall stand in configfs. */
export interface LioConfig {
  /** by the name of the backstore, which is the NAA */
  readonly disks: ReadonlyMap<string, LioDisk>;
  /** device paths by the name of the backstore */
  readonly paths: ReadonlyMap<string, string>;
  readonly targets: ReadonlyMap<string, LioTarget>;
  /** what LIO cannot be made to do; these targets are left out */
  readonly refused: readonly string[];
}

/** The part of an NAA that is the same for every extent: `0x6589cfc`. */
const NAA_PREFIX = '0x6589cfc';

/** The directory of the disks of this simulator; others are somebody else's. */
export const HBA = 'target/core/iblock_17';
export const FABRIC = 'target/iscsi';

/**
 * The configuration that shows `targets`. `devices`: numbers of the zvols' devices; a disk whose device is not there is left
 * out, as SCST leaves it out. `addresses`: of the machine, in the place of 0.0.0.0 and ::.
 */
export function lioConfig(targets: readonly ServedTarget[], devices: ReadonlyMap<string, string>, addresses: readonly string[]): LioConfig {
  const disks = new Map<string, LioDisk>();
  const paths = new Map<string, string>();
  const wanted = new Map<string, LioTarget>();
  const refused: string[] = [];
  for (const target of targets) {
    const account = accountOf(target);
    if (account === undefined) {
      refused.push(`${target.iqn} has several CHAP accounts, LIO takes one for a target`);
      continue;
    }
    const luns = new Map<number, string>();
    for (const lun of target.luns) {
      const device = devices.get(lun.device);
      if (device === undefined) continue;
      const name = lun.naa.slice('0x'.length);
      disks.set(name, diskOf(lun, device));
      paths.set(name, lun.device);
      luns.set(lun.lun, name);
    }
    const portals = [...new Set(target.portals.flatMap(({ ip, port }) => bound(ip, addresses).map((one) => endpoint(one, port))))];
    const initiators = target.initiators === 'ALL' ? null : target.initiators;
    wanted.set(target.iqn, { iqn: target.iqn, portals, luns, initiators, account });
  }
  return { disks, paths, targets: wanted, refused };
}

function diskOf(lun: ServedLun, device: string): LioDisk {
  return {
    device,
    serial: lun.naa.slice(NAA_PREFIX.length),
    vendor: lun.vendor,
    product: lun.productId,
    blockSize: lun.blockSize,
    readOnly: lun.readOnly,
    rotational: lun.rotational,
  };
}

/** Null: no CHAP; undefined: more than LIO can do. */
function accountOf({ incoming, outgoing }: ServedTarget): LioAccount | null | undefined {
  const accounts = new Map(incoming.map((one: ChapAccount) => [`${one.user}\0${one.secret}`, one]));
  const [account] = accounts.values();
  if (account === undefined) return null;
  if (accounts.size > 1) return undefined;
  return { user: account.user, secret: account.secret, peerUser: outgoing?.user ?? '', peerSecret: outgoing?.secret ?? '' };
}

/** Every address for itself, so that a portal on all addresses and one on a single address do not claim the same port. */
function bound(ip: string, addresses: readonly string[]): readonly string[] {
  if (ip === '0.0.0.0') return addresses.filter((one) => !one.includes(':'));
  if (ip === '::') return addresses.filter((one) => one.includes(':'));
  return [ip];
}

function endpoint(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
