import type * as z from 'zod';
import type { PoolStatus } from '../state/pool-state.ts';

/** Releases the simulator can be (`--release`). */
export const SIM_RELEASES = ['25.04', '25.10', '26.0'] as const;
export type SimRelease = (typeof SIM_RELEASES)[number];

/** errno numbers as TrueNAS's Python uses them (Linux), and middlewared's own from 201 (truenas-api 2.2). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ENOSPC: 28,
  ENOTEMPTY: 39,
  EBADMSG: 74,
  EOPNOTSUPP: 95,
  ENOMETHOD: 201,
  ESERVICESTARTFAILURE: 202,
  ENOTAUTHENTICATED: 207,
} as const;
export type ErrnoName = keyof typeof ERRNO;

/** middlewared's CallError: -32001, reason `[ERRNAME] text`. */
export class CallError extends Error {
  readonly errname: ErrnoName;
  readonly text: string;
  readonly extra: unknown;
  constructor(text: string, errname: ErrnoName = 'EFAULT', extra: unknown = null) {
    super(`[${errname}] ${text}`);
    this.name = 'CallError';
    this.errname = errname;
    this.text = text;
    this.extra = extra;
  }
}

export type ValidationItem = readonly [attribute: string | null, message: string, errno: number];

/** middlewared's ValidationErrors: -32602, data.error always EINVAL, the true errno in `items[i][2]`. */
export class ValidationErrors extends Error {
  readonly items: readonly ValidationItem[];
  constructor(items: readonly ValidationItem[]) {
    super(items.map(([attribute, message]) => `${attribute ?? ''}: ${message}`).join('; '));
    this.name = 'ValidationErrors';
    this.items = items;
  }
}

export function validationError(attribute: string | null, message: string, errname: ErrnoName = 'EINVAL'): ValidationErrors {
  return new ValidationErrors([[attribute, message, ERRNO[errname]]]);
}

/** Any other Python exception inside a method: -32001, errno EINVAL, reason = its text (`MatchNotFound()`, sqlite errors, TypeError). */
export class PythonError extends Error {
  readonly className: string;
  constructor(className: string, reason: string) {
    super(reason);
    this.name = 'PythonError';
    this.className = className;
  }
}

/** `access` as in truenas-schemas: any ONE of the roles suffices. */
export type Access = 'no-auth' | 'any-login' | 'full-admin' | { readonly roles: readonly string[] };

export interface EventMessage {
  readonly msg: 'added' | 'changed' | 'removed';
  readonly collection: string;
  readonly id?: number | string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** What a handler knows of its caller. */
export interface CallContext {
  readonly release: SimRelease;
  /** True when the caller's user has FULL_ADMIN or one of the roles (secrets are shown unmasked then). */
  hasRole(...roles: readonly string[]): boolean;
  readonly username: string | null;
  /** Aborted when the connection goes on 26.0 (truenas-api 2, Disconnect) or the simulator stops. */
  readonly signal: AbortSignal;
  /** Within a job: progress for core.get_jobs. */
  progress(percent: number, description: string): void;
}

/**
 * One API method: a handler per method and per release where it differs. The server checks, in TrueNAS's order: method
 * exists → authentication → authorisation → `params` (positional, strict) → `run`.
 */
export interface SimMethod {
  readonly name: string;
  /** Default: all. */
  readonly releases?: readonly SimRelease[];
  access(release: SimRelease): Access;
  readonly job?: boolean;
  /**
   * Positional parameters in order: name, model, default when left out (undefined = required). The server reports a
   * failing model as ValidationErrors with `attributePath` (default: the parameter's name) before the path.
   */
  params(release: SimRelease): readonly SimParam[];
  /** `query` methods get filter and options applied by the server when they set this: `run` then returns ALL rows. */
  readonly query?: boolean;
  run(args: readonly unknown[], context: CallContext): unknown;
}

/**
 * A `query` method may answer with this instead of rows: the server sends `value` as it is, without filter and options
 * (pool.dataset.query with `count` on 25.10 and 26.0 ignores the filters, truenas-api 7.2).
 */
export class FinishedQuery {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}

export interface SimParam {
  readonly name: string;
  readonly schema: z.ZodType;
  readonly fallback?: unknown;
  /** e.g. `iscsi_extent_create` where the model's errors read `iscsi_extent_create.name`. */
  readonly attributePath?: string;
}

/** A part of the simulated array that survives a restart with `--state DIR`. */
export interface Persistent {
  /** file name stem */
  readonly name: string;
  dump(): unknown;
  load(data: unknown): void;
}

/** What tests and the control socket can do to the array besides calling its API. */
export interface ArrayControls {
  /** Health of the pool; `detail` left out: zpool's own sentence for this state. */
  setPool(status: PoolStatus, detail?: string | null): void;
  /** The dataset is encrypted and its key is not loaded: nothing can be made in it, nothing below it is exported. */
  lockDataset(dataset: string, locked: boolean): Promise<void>;
  /** Something on the array keeps a zvol open: destroying it is refused as busy. Errors: ZfsError not-found. */
  holdZvol(zvol: string, open: boolean): Promise<void>;
  /** For zvols made from now on: how many looks at the device node find nothing. */
  setZvolDeviceLag(looks: number): void;
  /** Reloading the target service fails (errno 202). */
  setReloadFails(fails: boolean): void;
  /** `memory` blocks only: an initiator logs in to a target (name or full IQN). Returns its logout, null when it is refused. */
  openSession(session: { readonly initiator: string; readonly address: string; readonly target: string }): (() => void) | null;
  /** `memory` blocks only: ends the initiator's sessions on a target (name or full IQN); how many there were. */
  closeSessions(initiator: string, target: string): number;
  /** A host connects to an NVMe-oF subsystem (name or NQN). False when it is refused. */
  connectHost(subsystem: string, hostnqn: string, address: string): boolean;
  /** Ends the host's sessions on a subsystem; how many there were. */
  disconnectHost(subsystem: string, hostnqn: string): number;
}

/** What models give to the server: their methods and their persistent parts. Built by sim/state/array.ts `createArray`. */
export interface SimArray {
  readonly methods: readonly SimMethod[];
  readonly persistent: readonly Persistent[];
  /** `full` true: every allocation fails for lack of space, `available` shows next to nothing (fault "pool full"). */
  setPoolFull(full: boolean): void;
  readonly controls: ArrayControls;
  /** Starts what real blocks need (tgtd); resolves when LUNs are served. */
  start(): Promise<void>;
  /** Stops it; leaves no process, socket or target behind. */
  stop(): Promise<void>;
}

/** What the server gives to the models. */
export interface SimServices {
  readonly release: SimRelease;
  emit(event: EventMessage): void;
  /** Marks a persistent part dirty; written soon after and at stop, atomically. */
  changed(part: string): void;
  /** ms since the epoch */
  now(): number;
  log(message: string): void;
}

/** Options of the models from the command line. */
export interface ArrayOptions {
  readonly blocks: 'memory' | 'tgt' | 'lab';
  /** of `lab`: the directory of the running VM (`$LAB_RUN/st`), in which the pool is */
  readonly vm?: string;
  /** of `lab`: what is served stays when the array stops, since its state is kept and comes back; default false */
  readonly keep?: boolean;
  /** directory for block files and sockets (made by the caller) */
  readonly directory: string;
  /** iSCSI portal to listen on with `tgt` and, in the VM, with `lab`, e.g. 127.0.0.1:13260 */
  readonly portal: { readonly host: string; readonly port: number };
  /** further addresses of the portal to begin with */
  readonly morePortals?: readonly string[];
  /** pool to begin with; bytes */
  readonly pool: { readonly name: string; readonly size: number };
  /** dataset, target, portal, initiator group to begin with; absent = an array that holds only a pool */
  readonly seed?: { readonly dataset: string; readonly target: string };
  /** For every new zvol the first N looks at `/dev/zvol/...` find nothing yet (udev lag, truenas-api 9.1); default 0. */
  readonly zvolDeviceLag?: number;
}
