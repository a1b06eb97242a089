import * as z from 'zod';

/**
 * The socket: one JSON-RPC 2.0 object a line (newline-delimited), UTF-8, a connection per call (more calls on one
 * connection are answered too, each by its id). docs/reference/socket-protocol.md describes it for other clients.
 */
export const PROTOCOL_VERSION = 1;
/** Oldest version that this daemon still serves: during an upgrade an older Perl module talks to a newer daemon. */
export const OLDEST_PROTOCOL_VERSION = 1;
/** bytes; a longer line gets an error answer and the connection is closed */
export const MAX_LINE_BYTES = 1024 * 1024;
/** ms a client may take from its first byte to its newline (F-042) */
export const LINE_TIMEOUT_MS = 10_000;
/** Range of `deadline_ms`; a call without one gets the default. */
export const DEADLINE_RANGE = { min: 100, max: 600_000, default: 55_000 } as const;

export const DEFAULT_SOCKET = '/run/pve-truenas/daemon.sock';

const storageId = z
  .string()
  .regex(/^[a-z][a-z0-9\-_.]*[a-z0-9]$/i, 'must be a PVE storage id')
  .max(100);

/**
 * A storage.cfg section as PVE's loader hands it to the Perl module, without any secret. `content` and `nodes` are
 * hashes there, everything else is a string or a number.
 */
export const storageParam = z.strictObject({
  id: storageId,
  config: z.record(
    z.string().max(64),
    z.union([z.string().max(4096), z.number(), z.boolean(), z.record(z.string(), z.unknown()), z.null()]),
  ),
});
export type StorageParam = z.infer<typeof storageParam>;

/** What every call carries. */
export const commonParams = {
  protocol: z.int().min(1).max(1_000_000),
  deadline_ms: z.int().min(DEADLINE_RANGE.min).max(DEADLINE_RANGE.max).optional(),
  /** Who calls, for the log: program name and UPID of the PVE task. */
  caller: z.string().max(256).optional(),
};

/** JSON-RPC `error.data` of every failed call. */
export const errorData = z.object({
  code: z.string(),
  kind: z.string(),
  causes: z.array(z.string()),
  hints: z.array(z.string()),
  state: z.string().optional(),
  facts: z.record(z.string(), z.unknown()).optional(),
});
export type ErrorData = z.infer<typeof errorData>;

/** JSON-RPC codes by kind of error (implementation-defined range, JSON-RPC 2.0 section 5.1). */
export const RPC_CODES = {
  invalid: -32602,
  conflict: -32010,
  'not-found': -32011,
  refused: -32012,
  unavailable: -32013,
  'unknown-outcome': -32014,
  bug: -32603,
} as const;
