import type { PortalAddress } from '../core/host-port.ts';

/** One storage.cfg section of type `truenasplugin`, parsed and with defaults: the output of schema.ts. */
export interface StorageConfig {
  readonly id: string;
  readonly disabled: boolean;
  /** Names of the nodes that may use it; null: all. */
  readonly nodes: readonly string[] | null;

  readonly apiHost: string;
  /** 1..65535; default 443 (wss) or 80 (ws) */
  readonly apiPort: number;
  readonly apiScheme: 'wss' | 'ws';
  /** Skip certificate verification; warned about. */
  readonly apiInsecure: boolean;
  /** SHA-256 fingerprint of the server certificate, upper-case hex pairs with colons, or null. */
  readonly fingerprint: string | null;
  /** Path of a PEM file with the CA to trust besides the system's, or null. */
  readonly caFile: string | null;
  /** Owner of the API key. Null: learnt by logging in with the key alone (auth.login_with_api_key). */
  readonly apiUsername: string | null;
  readonly preferIpv4: boolean;
  /** ms, 1000..300000, default 30000 */
  readonly apiTimeoutMs: number;
  /** 0..10, default 3: retries of reads */
  readonly apiRetryMax: number;
  /** ms, 100..60000, default 1000; the exponential back-off starts here */
  readonly apiRetryDelayMs: number;

  /** ms, 1000..2419200000, default 3600000: age at which the session is replaced */
  readonly connectionMaxAgeMs: number;

  /** Parent dataset, `tank/proxmox`. */
  readonly dataset: string;
  /** bytes; default 16384 */
  readonly volblocksize: number;
  /** thin volumes; default true */
  readonly sparse: boolean;
  /** per cent, 0..100, default 20: what ZFS is taken to need beyond a volume's size */
  readonly spaceOverheadPercent: number;
  /** Lift TrueNAS's 80 % rule; default false */
  readonly forceSize: boolean;
  /** TrueNAS's compression word in upper case, or null to inherit. */
  readonly compression: string | null;

  readonly transport: 'iscsi' | 'nvme-tcp';
  /** Full IQN or short target name. */
  readonly target: string;
  readonly portals: readonly PortalAddress[];
  readonly multipath: boolean;
  /** `kernel`: the node's iSCSI initiator; `qemu`: QEMU's own, without any device on the node. */
  readonly initiator: 'kernel' | 'qemu';
  /** One-way CHAP user; the secret is read from the secret store. */
  readonly chapUser: string | null;
  /** ms, 0..604800000, default 3600000: how long a freed LUN number rests */
  readonly lunRestMs: number;
  /** ms to wait for a device to appear, default 60000 */
  readonly deviceTimeoutMs: number;
}

/** `error`: the storage does not work. `warning`: it works, but not as it seems. `hint`: it works, and could be done better. */
export type Severity = 'error' | 'warning' | 'hint';

/** One finding about a section. `cure` says what to do. */
export interface ConfigFault {
  /** The setting as the user wrote it (its own name or alias). */
  readonly setting: string;
  readonly severity: Severity;
  readonly message: string;
  readonly cure: string;
}
