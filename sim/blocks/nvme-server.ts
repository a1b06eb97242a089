/** What the running NVMe-oF service shows. */
export interface ServedNamespace {
  readonly nsid: number;
  /** `/dev/zvol/tank/vm-100-disk-0` */
  readonly device: string;
  readonly uuid: string;
  readonly nguid: string;
  /** bytes */
  readonly size: number;
}

export interface ServedSubsystem {
  readonly nqn: string;
  /** 20 hex digits */
  readonly serial: string;
  /** NQNs that may connect; null: every host */
  readonly hosts: readonly string[] | null;
  readonly namespaces: readonly ServedNamespace[];
  /** attributes of configfs that the configuration sets, such as `attr_qid_max` */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ServedNvmePort {
  readonly index: number;
  readonly address: string;
  readonly port: number;
  /** NQNs of the subsystems to be had there */
  readonly subsystems: readonly string[];
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ServedHost {
  readonly nqn: string;
  /** `DHHC-1:...`; null: the host does not prove who it is */
  readonly key: string | null;
  /** by which the subsystem proves who it is; null: it does not */
  readonly controllerKey: string | null;
  /** in the kernel's words: `hmac(sha256)` */
  readonly hash: string;
  /** in the kernel's words: `null`, `ffdhe2048` */
  readonly group: string;
}

export interface ServedNvme {
  readonly subsystems: readonly ServedSubsystem[];
  readonly ports: readonly ServedNvmePort[];
  readonly hosts: readonly ServedHost[];
}

/** The running NVMe-oF service. Calls come one at a time. */
export interface NvmeServer {
  /** Makes what is served equal to `wanted`: only what differs is touched. */
  apply(wanted: ServedNvme): Promise<void>;
}
