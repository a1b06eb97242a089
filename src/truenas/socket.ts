import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { beginStep } from '../core/deadline.ts';
import { StorageError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { httpLimited, isHttpLimit, retryAfterMs, speaksOfLimit } from './rate-limits.ts';
import { authority, connectApi, connectionError, type Endpoint, unreachable } from './tls.ts';

/** Answers of TrueNAS have no limit of their own (truenas-api 2); thousands of zvols are megabytes. Bounded all the same (F-045). */
const MAX_FRAME = 128 * 1024 * 1024;

/** Close codes of RFC 6455 and its registry. */
const POLICY_VIOLATION = 1008;
const TRY_AGAIN_LATER = 1013;

export interface SocketListener {
  /** `bytes`: size of the message on the wire, without TLS. */
  onText(text: string, bytes: number): void;
  /** Anything at all came from the peer, pongs too. */
  onAlive(): void;
  /** Called once, when the socket is of no use any more. */
  onClose(reason: StorageError): void;
}

/** A WebSocket that is open: frames in, frames out, nothing about calls. */
export interface ApiSocket {
  /** Bytes that came so far: a large answer on a slow way is a sign of life before it is complete. */
  received(): number;
  /** Hands one text frame over; false when the socket is not open: then nothing was sent. */
  send(text: string): boolean;
  /** A ping frame; its answer is reported by `onAlive`. */
  ping(): void;
  /** Says goodbye; `onClose` follows. */
  close(): void;
  /** Cuts the connection at once; `onClose` follows. */
  terminate(): void;
}

/**
 * Opens `wss://host:port<path>`, or `ws://` on loopback. Errors: those of connectTls; ARRAY_PROTOCOL or RATE_LIMITED when the
 * upgrade is refused.
 * The listener hears nothing before the returned promise is resolved.
 */
export async function openSocket(
  endpoint: Endpoint,
  path: string,
  listener: SocketListener,
  clock: Clock,
  deadline: Deadline,
): Promise<ApiSocket> {
  const connection = await connectApi(endpoint, deadline);
  const at = authority(endpoint);
  const step = beginStep(deadline, `the WebSocket upgrade of ${at}${path}`);
  const socket = new WebSocket(`${endpoint.apiScheme}://${at}${path}`, {
    createConnection: () => connection,
    perMessageDeflate: false,
    maxPayload: MAX_FRAME,
    followRedirects: false,
  });
  return new Promise((resolve, reject) => {
    let open = false;
    let failure: StorageError | null = null;
    const abort = (): void => {
      failure = unreachable(endpoint, step.ranOut(), deadline.signal.reason);
      socket.terminate();
    };
    deadline.signal.addEventListener('abort', abort, { once: true });
    socket.on('unexpected-response', (request, response: IncomingMessage) => {
      failure = upgradeRefused(at, path, response, clock.now());
      request.destroy();
      socket.terminate();
    });
    socket.on('error', (error) => {
      failure ??= connectionError(endpoint, error);
    });
    socket.on('close', (code, reason) => {
      step.end();
      deadline.signal.removeEventListener('abort', abort);
      const why = failure ?? closed(endpoint, code, reason.toString('utf8'));
      if (open) listener.onClose(why);
      else reject(why);
    });
    socket.on('message', (data, isBinary) => {
      listener.onAlive();
      // ws gives a Buffer for text too; TrueNAS sends text frames only (truenas-api 2).
      if (isBinary || !Buffer.isBuffer(data)) listener.onText('', 0);
      else listener.onText(data.toString('utf8'), data.length);
    });
    socket.on('ping', () => listener.onAlive());
    socket.on('pong', () => listener.onAlive());
    socket.on('open', () => {
      open = true;
      step.end();
      deadline.signal.removeEventListener('abort', abort);
      resolve(facade(socket, connection));
    });
  });
}

function facade(socket: WebSocket, connection: Socket): ApiSocket {
  const ignore = (): undefined => undefined;
  return {
    received: () => connection.bytesRead,
    send: (text) => {
      if (socket.readyState !== WebSocket.OPEN) return false;
      // Errors of writing end the connection, which is reported by 'close'.
      socket.send(text, ignore);
      return true;
    },
    ping: () => {
      if (socket.readyState === WebSocket.OPEN) socket.ping(undefined, true, ignore);
    },
    close: () => socket.close(1000),
    terminate: () => socket.terminate(),
  };
}

/** The body is not waited for: the status, or its phrase, says it. `now`: ms since the epoch. */
function upgradeRefused(at: string, path: string, response: IncomingMessage, now: number): StorageError {
  const status = response.statusCode ?? 0;
  if (isHttpLimit(status, response.statusMessage ?? '')) {
    return httpLimited(at, `the WebSocket ${path}`, status, retryAfterMs(response.headers['retry-after'], now));
  }
  return new StorageError('ARRAY_PROTOCOL', `${at} refused the WebSocket ${path} with HTTP status ${status}`, {
    causes:
      status === 502 || status === 503 || status === 504
        ? ['the middleware of TrueNAS is starting']
        : ['a proxy sits between that does not pass WebSockets', 'the port belongs to another service'],
    facts: { status },
  });
}

function closed(endpoint: Endpoint, code: number, reason: string): StorageError {
  const at = authority(endpoint);
  const text = reason === '' ? '' : `: ${reason.slice(0, 200)}`;
  if (code === POLICY_VIOLATION && !speaksOfLimit(reason)) {
    return new StorageError('NOT_AUTHORIZED', `${at} does not let this node in${text}`, {
      hints: ['TrueNAS: System > Advanced Settings > Allowed IP Addresses'],
      facts: { code },
    });
  }
  if (code === TRY_AGAIN_LATER || speaksOfLimit(reason)) {
    return new StorageError('RATE_LIMITED', `${at} closed the connection for having too much to do (code ${code})${text}`, {
      facts: { code },
    });
  }
  return new StorageError('ARRAY_UNREACHABLE', `${at} closed the connection (code ${code})${text}`, {
    causes: ['TrueNAS was restarted or updated', 'the network was interrupted'],
    facts: { code },
  });
}
