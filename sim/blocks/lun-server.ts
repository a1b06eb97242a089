/** One disk of a target as the running service shows it. Sizes in bytes. */
export interface ServedLun {
  readonly lun: number;
  /** guid of the zvol */
  readonly key: string;
  /** `/dev/zvol/tank/vm-100-disk-0` */
  readonly device: string;
  readonly size: number;
  readonly serial: string;
  readonly naa: string;
  readonly vendor: string;
  readonly productId: string;
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly rotational: boolean;
}

export interface ChapAccount {
  readonly user: string;
  readonly secret: string;
}

export interface ServedTarget {
  readonly id: number;
  readonly iqn: string;
  /** where it is to be had; `ip` may be 0.0.0.0 or :: */
  readonly portals: readonly { readonly ip: string; readonly port: number }[];
  readonly luns: readonly ServedLun[];
  /** 'ALL', or the initiator names that may log in; an empty list admits nobody */
  readonly initiators: 'ALL' | readonly string[];
  readonly incoming: readonly ChapAccount[];
  readonly outgoing: ChapAccount | null;
}

export interface IscsiSession {
  readonly initiator: string;
  readonly address: string;
  /** full IQN */
  readonly target: string;
}

/** The running target service. Calls come one at a time. */
export interface LunServer {
  /** The lowest LUN a disk can have: 0 as on TrueNAS, 1 where LUN 0 is taken by the target itself. */
  readonly firstLun: number;
  start(): Promise<void>;
  /** Ends everything that was started; no error when nothing was. */
  stop(): Promise<void>;
  /** Makes what is served equal to `targets`: only what differs is touched. */
  apply(targets: readonly ServedTarget[]): Promise<void>;
  sessions(): Promise<readonly IscsiSession[]>;
}
