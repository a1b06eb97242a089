import type { ErrorKind } from './catalogue/entry.ts';
import { type ErrorCode, ERROR_CATALOGUE } from './error-catalogue.ts';

export interface ErrorDetails {
  /** Likely reasons, most likely first. Overrides those of the catalogue. */
  readonly causes?: readonly string[];
  /** What to check: a TrueNAS menu path, a command on the node. Overrides those of the catalogue. */
  readonly hints?: readonly string[];
  /** What state the failed operation left behind, in one sentence. */
  readonly state?: string;
  /** Machine-readable facts for logs and `--json`; never a secret. */
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** The one base class of every failure a user can meet (design: Errors). `code` is stable, the message is not. */
export class StorageError extends Error {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly causes: readonly string[];
  readonly hints: readonly string[];
  readonly state: string | undefined;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    const entry = ERROR_CATALOGUE[code];
    this.name = 'StorageError';
    this.code = code;
    this.kind = entry.kind;
    this.causes = details.causes ?? entry.causes;
    this.hints = details.hints ?? entry.hints;
    this.state = details.state;
    this.facts = details.facts ?? {};
  }

  /** The same failure with what it left behind. */
  leaving(state: string): StorageError {
    const { causes, hints, facts } = this;
    return new StorageError(this.code, this.message, { causes, hints, facts, state, cause: this });
  }
}

/** A call that never left this node: nothing was changed, repeating is safe (law 2). */
export class NotSentError extends StorageError {}

/** The array answered with an error: nothing was changed unless the method says otherwise (law 2). */
export class RefusedError extends StorageError {
  /** errno as the array reports it, the true one out of `extra` where there is one (truenas-api 2.2). */
  readonly errno: number;
  /** `[attribute, message, errno]` of a validation error; empty for a call error. */
  readonly extra: readonly RefusalItem[];

  constructor(code: ErrorCode, message: string, refusal: { errno: number; extra?: readonly RefusalItem[] }, details: ErrorDetails = {}) {
    super(code, message, details);
    this.errno = refusal.errno;
    this.extra = refusal.extra ?? [];
  }
}

export interface RefusalItem {
  readonly attribute: string | null;
  readonly message: string;
  readonly errno: number;
}

/** The call was sent and no answer came: it may or may not have happened (law 2). */
export class OutcomeUnknownError extends StorageError {}

/** Turns anything thrown into a StorageError; what is none already is a fault of this program. */
export function asStorageError(thrown: unknown): StorageError {
  if (thrown instanceof StorageError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new StorageError('INTERNAL', `internal error: ${message}`, { cause: thrown });
}
