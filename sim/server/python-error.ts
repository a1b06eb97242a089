import { CallError, ERRNO, PythonError, ValidationErrors, type SimRelease } from '../api/contract.ts';

/** JSON-RPC codes of middlewared (truenas-api 2.2). */
export const RPC = {
  invalidJson: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  tooManyCalls: -32000,
  callError: -32001,
} as const;

export interface ErrorData {
  readonly error: number;
  readonly errname: string;
  readonly reason: string;
  readonly trace: Readonly<Record<string, unknown>> | null;
  readonly extra: unknown;
}

export interface WireError {
  readonly code: number;
  readonly message: string;
  readonly data?: ErrorData;
}

/** An answer that a fault asked for, in the words of the wire. */
export class ScriptedError extends Error {
  readonly wire: WireError;
  constructor(wire: WireError) {
    super(wire.message);
    this.name = 'ScriptedError';
    this.wire = wire;
  }
}

const NAMES = new Map<number, string>(Object.entries(ERRNO).map(([name, value]) => [value, name]));

/** `EINVAL` for 22; numbers that TrueNAS has no name for read `EUNKNOWN`. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? 'EUNKNOWN';
}

interface Described {
  readonly code: number;
  readonly message: string;
  readonly errno: number;
  readonly reason: string;
  readonly className: string;
  readonly repr: string;
  readonly extra: unknown;
}

/** What an exception of a method looks like to Python; shared by JSON-RPC, DDP and REST. */
export function describeException(error: unknown): Described {
  if (error instanceof CallError) {
    const errno = ERRNO[error.errname];
    return {
      code: RPC.callError,
      message: 'Method call error',
      errno,
      reason: error.message,
      className: 'CallError',
      repr: `CallError(${JSON.stringify(error.text)}, ${errno})`,
      extra: error.extra,
    };
  }
  if (error instanceof ValidationErrors) {
    // One line per error, each ends with a newline (truenas-api 2.2).
    const reason = error.items.map(([attribute, text, errno]) => `[${errnoName(errno)}] ${attribute ?? 'None'}: ${text}\n`).join('');
    return {
      code: RPC.invalidParams,
      message: 'Invalid params',
      errno: ERRNO.EINVAL,
      reason,
      className: 'ValidationErrors',
      repr: 'ValidationErrors()',
      extra: error.items,
    };
  }
  if (error instanceof PythonError) {
    return {
      code: RPC.callError,
      message: 'Method call error',
      errno: ERRNO.EINVAL,
      reason: error.message,
      className: error.className,
      repr: error.message.startsWith(`${error.className}(`) ? error.message : `${error.className}(${JSON.stringify(error.message)})`,
      extra: null,
    };
  }
  const text = error instanceof Error ? error.message : String(error);
  return {
    code: RPC.callError,
    message: 'Method call error',
    errno: ERRNO.EINVAL,
    reason: `pve-truenas-sim failed itself: ${text}`,
    className: 'RuntimeError',
    repr: `RuntimeError(${JSON.stringify(text)})`,
    extra: null,
  };
}

/** The trace object; `frames` only in 25.x (truenas-api 2.2). */
export function traceOf(described: Described, release: SimRelease): Readonly<Record<string, unknown>> {
  const trace = {
    class: described.className,
    formatted: `Traceback (most recent call last):\n  File "pve-truenas-sim", line 1, in call\n${described.className}: ${described.reason}\n`,
    repr: described.repr,
  };
  if (release === '26.0') return trace;
  return {
    ...trace,
    frames: [{ filename: 'pve-truenas-sim', lineno: 1, method: 'call', line: '', argspec: [], locals: {} }],
  };
}

/** The `error` object of a JSON-RPC answer for whatever a method threw. */
export function wireError(error: unknown, release: SimRelease): WireError {
  if (error instanceof ScriptedError) return error.wire;
  const described = describeException(error);
  return {
    code: described.code,
    message: described.message,
    data: {
      error: described.errno,
      errname: errnoName(described.errno),
      reason: described.reason,
      trace: traceOf(described, release),
      extra: described.extra,
    },
  };
}
