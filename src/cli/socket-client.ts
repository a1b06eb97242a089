import { connect, type Socket } from 'node:net';
import * as z from 'zod';
import { withDeadline } from '../core/deadline.ts';
import type { Clock } from '../core/ports.ts';
import { errorData, PROTOCOL_VERSION } from '../protocol/envelope.ts';
import { METHODS, type MethodName, type Params, type Result } from '../protocol/methods.ts';
import { CliFailure, failure } from './failure.ts';

/** bytes; a list of 100,000 volumes stays below */
const MAX_ANSWER = 64 * 1024 * 1024;
/** ms by which we outwait the daemon, so that its own reason is what the user sees (F-049) */
const MARGIN_MS = 2_000;

export interface DaemonAddress {
  readonly socket: string;
  readonly clock: Clock;
  /** ms the daemon may take, 100..600000 */
  readonly timeoutMs: number;
}

const answer = z.object({
  jsonrpc: z.literal('2.0'),
  id: z.literal(1),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }).optional(),
});

/**
 * Asks the daemon one thing over a connection of its own and checks the answer against the method's schema. Failures are
 * CliFailure: the daemon's own ones with their code, DAEMON_UNREACHABLE when it does not run, does not answer within
 * `timeoutMs` (plus a margin of 2 s), or answers something that is no answer.
 */
export async function askDaemon<M extends MethodName>(
  address: DaemonAddress,
  method: M,
  params: Omit<Params<M>, 'protocol' | 'deadline_ms' | 'caller'>,
): Promise<Result<M>> {
  const request = {
    jsonrpc: '2.0',
    id: 1,
    method,
    params: { ...params, protocol: PROTOCOL_VERSION, deadline_ms: address.timeoutMs, caller: 'pve-truenas' },
  };
  const waited = address.timeoutMs + MARGIN_MS;
  const line = await withDeadline(address.clock, waited, 'the daemon', ({ signal }) =>
    exchange(address.socket, `${JSON.stringify(request)}\n`, signal),
  );
  const parsed = answer.safeParse(parseJson(line));
  if (!parsed.success) throw notUnderstood(method);
  const { error, result } = parsed.data;
  if (error !== undefined) throw refusal(error);
  const checked = METHODS[method].result.safeParse(result);
  if (!checked.success) throw notUnderstood(method);
  // the schema just checked is that of `method`; TypeScript cannot follow the index
  return checked.data as Result<M>;
}

/** Sends one line and waits for one line. */
function exchange(path: string, request: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ path });
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (end: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      end();
    };
    const onAbort = (): void => settle(() => reject(failure('DAEMON_UNREACHABLE', `the daemon did not answer in time on ${path}`, SLOW)));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('connect', () => socket.write(request));
    socket.on('error', (error: NodeJS.ErrnoException) => settle(() => reject(unreachable(path, error.code))));
    socket.on('close', () => settle(() => reject(failure('DAEMON_UNREACHABLE', `the daemon closed ${path} without an answer`, SLOW))));
    socket.on('data', (chunk: Buffer) => {
      const end = chunk.indexOf(0x0a);
      chunks.push(end === -1 ? chunk : chunk.subarray(0, end));
      size += chunk.length;
      if (end !== -1) settle(() => resolve(Buffer.concat(chunks).toString('utf8')));
      else if (size > MAX_ANSWER)
        settle(() => reject(failure('DAEMON_UNREACHABLE', 'the answer of the daemon is longer than 64 MiB', SLOW)));
    });
  });
}

const SLOW = {
  causes: ['the daemon hangs or was stopped while it worked'],
  hints: ['journalctl -u pve-truenasd', 'systemctl restart pve-truenasd'],
};

function unreachable(path: string, code: string | undefined): CliFailure {
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return failure('DAEMON_UNREACHABLE', `the daemon is not running: nobody listens on ${path}`);
    case 'EACCES':
    case 'EPERM':
      return failure('DAEMON_UNREACHABLE', `${path} may not be opened by this user`, {
        causes: ['only root may ask the daemon'],
        hints: ['sudo pve-truenas …'],
      });
    case undefined:
    default:
      return failure('DAEMON_UNREACHABLE', `${path} cannot be opened (${code ?? 'unknown error'})`);
  }
}

function refusal(error: { message: string; data?: unknown }): CliFailure {
  const data = errorData.safeParse(error.data);
  if (!data.success) return failure('INTERNAL', error.message);
  const { code, kind, causes, hints, state } = data.data;
  return new CliFailure({ code, kind, message: error.message, causes, hints, ...(state === undefined ? {} : { state }) });
}

function notUnderstood(method: string): CliFailure {
  return failure('DAEMON_UNREACHABLE', `the answer of the daemon to ${method} is not understood`, {
    causes: ['daemon and command are of different versions', 'something else listens on the socket'],
    hints: ['systemctl restart pve-truenasd', 'pve-truenas --version'],
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
