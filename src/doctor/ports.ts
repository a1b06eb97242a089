import type { Secret, SecretName } from '../config/secrets.ts';
import type { StorageConfig } from '../config/storage-config.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import type { Commands } from '../host/commands.ts';
import type { SysFiles } from '../host/sys-files.ts';
import type { MethodName, Params, Result } from '../protocol/methods.ts';
import type { Check } from '../volumes/inspect/check.ts';

/** A certificate as the server shows it, and what Node.js thinks of it. Nothing is refused: judging comes after. */
export interface TlsFacts {
  /** `TLSv1.3` */
  readonly protocol: string;
  /** SHA-256, `AA:BB:...` */
  readonly fingerprint: string;
  readonly subject: string;
  readonly issuer: string;
  /** ms since the epoch; NaN when the certificate's text is no date */
  readonly validFrom: number;
  readonly validTo: number;
  /** Certificates that the server sent, its own included. */
  readonly chainLength: number;
  /** Why the chain or the name is not trusted (`DEPTH_ZERO_SELF_SIGNED_CERT`, ...), null when it is. */
  readonly distrust: string | null;
}

/** The `Date` of an answer of the array's web server, and this node's clock around it; all ms since the epoch. */
export interface ClockFacts {
  /** null: the answer had none */
  readonly array: number | null;
  readonly before: number;
  readonly after: number;
}

/** What the doctor asks over the network; nothing of it logs in anywhere. */
export interface Network {
  /** All addresses that the system's resolver has for a name. Fails as the resolver does. */
  resolve(host: string, deadline: Deadline): Promise<readonly string[]>;
  tls(config: StorageConfig, address: string, deadline: Deadline): Promise<TlsFacts>;
  httpDate(config: StorageConfig, address: string, deadline: Deadline): Promise<ClockFacts>;
}

/** Why the daemon gave no answer. */
export class DaemonSilent extends Error {
  readonly cure: string;

  constructor(message: string, cure: string) {
    super(message);
    this.name = 'DaemonSilent';
    this.cure = cure;
  }
}

/** Asks the daemon one thing within `ms`. Errors: DaemonSilent, with the daemon's own words where it refused. */
export type AskDaemon = <M extends MethodName>(
  method: M,
  params: Omit<Params<M>, 'protocol' | 'deadline_ms' | 'caller'>,
  ms: number,
) => Promise<Result<M>>;

/** Everything that the doctor touches. Except for a probe disk it only reads. */
export interface DoctorPorts {
  readonly clock: Clock;
  /** Name of this node, as PVE has it. */
  readonly node: string;
  /** Version of this program. */
  readonly version: string;
  /** Version of the Node.js that runs it, `v20.19.2`. */
  readonly nodeJs: string;
  readonly isRoot: boolean;
  /**
   * The text of a file, at most 1 MiB of it; null when there is none. Reads in a process of its own: a cluster file system that
   * hangs must not hold this one. Errors: with `Permission denied`, `Is a directory`, ... in the message.
   */
  readonly text: (path: string, deadline: Deadline) => Promise<string | null>;
  /** Paths of all files below a directory, at most 10000; none when it is not there. Errors: as text. */
  readonly list: (directory: string, deadline: Deadline) => Promise<readonly string[]>;
  /** sysfs and links only: never what may hang. */
  readonly sys: SysFiles;
  readonly commands: Commands;
  readonly network: Network;
  readonly askDaemon: AskDaemon;
  /** Errors: as readSecret. */
  readonly secret: (id: string, name: SecretName, section: Readonly<Record<string, unknown>>) => Promise<Secret | null>;
  /** Logs in to the array once, looks at all that `health` looks at, and logs out: only for when the daemon is down. */
  readonly inspectArray: (
    config: StorageConfig,
    section: Readonly<Record<string, unknown>>,
    deadline: Deadline,
  ) => Promise<readonly Check[]>;
}
