import { createJSONRPCErrorResponse, isJSONRPCID, type JSONRPCID, JSONRPCServer } from 'json-rpc-2.0';
import * as z from 'zod';
import { asStorageError, StorageError } from '../core/errors.ts';
import { deadlineAfter } from '../core/deadline.ts';
import { formatDuration } from '../core/durations.ts';
import type { Meter } from '../core/metrics.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { DEADLINE_RANGE, type ErrorData, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, RPC_CODES } from '../protocol/envelope.ts';
import { isChanging } from '../volumes/left-state.ts';
import { logFailure } from './failed-call.ts';
import { METHODS, type MethodName, type Params, type Result } from '../protocol/methods.ts';

/** A use case behind a method. */
export type Handler<M extends MethodName> = (params: Params<M>, deadline: Deadline) => Promise<Result<M>>;
export type Handlers = { readonly [M in MethodName]: Handler<M> };

interface CallEnvironment {
  readonly signal: AbortSignal;
}

/**
 * Inner deadlines end before the caller's own by a twentieth of it within these bounds (ms), so that the caller gets the real
 * reason (F-049), also of what has to be taken back first.
 */
const MARGIN = { least: 250, most: 2_000 };
/** ms before the caller's deadline at which he is answered in any case. */
const LAST_WORD_MS = 50;

const versionParam = z.object({ protocol: z.int() }).loose();

/**
 * JSON-RPC 2.0 over lines: parses each call by its schema, gives it its deadline, turns failures into errors with code,
 * causes and hints, and counts them. The text of an unexpected failure stays in the log.
 */
export function createRpc(
  handlers: Handlers,
  clock: Clock,
  log: Log,
  meter: Meter,
): (line: string, signal: AbortSignal) => Promise<string | null> {
  const server = new JSONRPCServer<CallEnvironment>({ errorListener: () => undefined });
  server.mapErrorToJSONRPCErrorResponse = (id, error) => errorResponse(id, asStorageError(error));
  for (const name of Object.keys(METHODS) as MethodName[]) {
    server.addMethod(name, (raw, environment) => call(name, handlers[name], raw, environment.signal));
  }

  async function call(name: MethodName, handler: Handler<MethodName>, raw: unknown, signal: AbortSignal): Promise<unknown> {
    const started = clock.monotonic();
    let storage = ''; // stays empty for calls about none, and for those that cannot be read
    const measure = (outcome: string): void => {
      meter.count('pve_truenas_operations_total', { storage, operation: name, outcome });
      meter.observe('pve_truenas_operation_duration_seconds', { storage, operation: name }, (clock.monotonic() - started) / 1000);
    };
    try {
      assertProtocol(raw);
      const parsed = METHODS[name].params.safeParse(raw);
      if (!parsed.success) throw new StorageError('BAD_REQUEST', `${name}: ${z.prettifyError(parsed.error)}`);
      const params = parsed.data as Params<MethodName>;
      if ('storage' in params) storage = params.storage.id;
      const asked = params.deadline_ms ?? DEADLINE_RANGE.default;
      const margin = Math.min(Math.max(asked / 20, MARGIN.least), MARGIN.most, asked / 4);
      const span = Math.max(asked - margin, 50);
      const deadline = deadlineAfter(clock, span, name, signal);
      try {
        const result = await inTime(name, handler(params, deadline), Math.max(asked - LAST_WORD_MS, span), deadline);
        measure('ok');
        log.debug('call', { method: name, ms: Math.round(clock.monotonic() - started) });
        return result;
      } finally {
        deadline.release();
      }
    } catch (thrown) {
      const error = asStorageError(thrown);
      measure(error.code);
      logFailure(log, name, raw, error, Math.round(clock.monotonic() - started));
      throw error;
    }
  }

  /** The outcome of `work`, or after `ms` that it is not known yet: what is still being finished or taken back then goes on. */
  async function inTime<T>(name: MethodName, work: Promise<T>, ms: number, { signal }: Deadline): Promise<T> {
    let cancel: () => void = () => undefined;
    const late = new Promise<never>((_resolve, reject) => {
      cancel = clock.after(ms, () => {
        reject(notYet(name, ms, signal.reason));
        work.then(
          () => log.info('a call was finished after its caller was answered', { method: name }),
          (error: unknown) => log.info('a call failed after its caller was answered', { method: name, error: String(error) }),
        );
      });
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      cancel();
    }
  }

  return async (line, signal) => {
    let request: unknown;
    try {
      request = JSON.parse(line);
    } catch {
      return JSON.stringify(parseError());
    }
    if (Array.isArray(request)) {
      return JSON.stringify(createJSONRPCErrorResponse(null, -32600, 'batches are not supported: one call a line'));
    }
    const response = await server.receive(request as Parameters<typeof server.receive>[0], { signal });
    return response === null ? null : JSON.stringify(response);
  };
}

/** `reason`: of the deadline that ended before, which names what was under way. */
function notYet(name: MethodName, ms: number, reason: unknown): StorageError {
  const known = reason instanceof StorageError && reason.code === 'DEADLINE' ? reason : null;
  return new StorageError('DEADLINE', known?.message ?? `${name}: not done within ${formatDuration(ms)}`, {
    ...(known === null ? {} : { facts: known.facts }),
    ...(isChanging(name) ? { state: 'not known yet: the daemon goes on, and takes back what it does not finish' } : {}),
  });
}

/** The answer to a line that is no JSON. */
function parseError(): object {
  return createJSONRPCErrorResponse(null, -32700, 'not JSON: one JSON-RPC 2.0 object a line');
}

/** The answer to a line that is too long. */
export function overlongAnswer(): string {
  return JSON.stringify(createJSONRPCErrorResponse(null, -32600, 'the line is too long (at most 1 MiB)'));
}

function assertProtocol(raw: unknown): void {
  const parsed = versionParam.safeParse(raw);
  if (!parsed.success) throw new StorageError('BAD_REQUEST', 'the call has no `protocol` version');
  const { protocol } = parsed.data;
  if (protocol < OLDEST_PROTOCOL_VERSION || protocol > PROTOCOL_VERSION) {
    throw new StorageError(
      'PROTOCOL_VERSION',
      `protocol version ${protocol} is not served: this daemon speaks ${OLDEST_PROTOCOL_VERSION} to ${PROTOCOL_VERSION}`,
    );
  }
}

function errorResponse(id: JSONRPCID, error: StorageError): ReturnType<typeof createJSONRPCErrorResponse> {
  const data: ErrorData = {
    code: error.code,
    kind: error.kind,
    causes: [...error.causes],
    hints: [...error.hints],
    ...(error.state === undefined ? {} : { state: error.state }),
    ...(Object.keys(error.facts).length === 0 ? {} : { facts: { ...error.facts } }),
  };
  return createJSONRPCErrorResponse(isJSONRPCID(id) ? id : null, RPC_CODES[error.kind], error.message, data);
}
