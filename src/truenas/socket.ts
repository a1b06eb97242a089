import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { authority, connectApi, connectionError, type Endpoint, unreachable } from './tls.ts';

/** Answers of TrueNAS have no limit of their own (truenas-api 2); thousands of zvols are megabytes. Bounded all the same (F-045). */
const MAX_FRAME = 128 * 1024 * 1024;

export interface SocketListener {
  onText(text: string): void;
  /** Anything at all came from the peer, pongs too. */
  onAlive(): void;
  /** Called once, when the socket is of no use any more. */
  onClose(reason: StorageError): void;
}

/** A WebSocket that is open: frames in, frames out, nothing about calls. */
export interface ApiSocket {
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
 * Opens `wss://host:port<path>`, or `ws://` on loopback. Errors: those of connectTls; ARRAY_PROTOCOL when the upgrade is refused.
 * The listener hears nothing before the returned promise is resolved.
 */
export async function openSocket(endpoint: Endpoint, path: string, listener: SocketListener, deadline: Deadline): Promise<ApiSocket> {
  const connection = await connectApi(endpoint, deadline);
  const at = authority(endpoint);
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
      failure = unreachable(endpoint, `${at} did not answer the WebSocket handshake in time`, deadline.signal.reason);
      socket.terminate();
    };
    deadline.signal.addEventListener('abort', abort, { once: true });
    socket.on('unexpected-response', (request, response: IncomingMessage) => {
      failure = upgradeRefused(at, path, response.statusCode ?? 0);
      request.destroy();
      socket.terminate();
    });
    socket.on('error', (error) => {
      failure ??= connectionError(endpoint, error);
    });
    socket.on('close', (code, reason) => {
      deadline.signal.removeEventListener('abort', abort);
      const why = failure ?? closed(endpoint, code, reason.toString('utf8'));
      if (open) listener.onClose(why);
      else reject(why);
    });
    socket.on('message', (data, isBinary) => {
      listener.onAlive();
      // ws gives a Buffer for text too; TrueNAS sends text frames only (truenas-api 2).
      listener.onText(isBinary || !Buffer.isBuffer(data) ? '' : data.toString('utf8'));
    });
    socket.on('ping', () => listener.onAlive());
    socket.on('pong', () => listener.onAlive());
    socket.on('open', () => {
      open = true;
      deadline.signal.removeEventListener('abort', abort);
      resolve(facade(socket));
    });
  });
}

function facade(socket: WebSocket): ApiSocket {
  const ignore = (): undefined => undefined;
  return {
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

function upgradeRefused(at: string, path: string, status: number): StorageError {
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
  if (code === 1008) {
    return new StorageError('NOT_AUTHORIZED', `${at} does not let this node in${text}`, {
      hints: ['TrueNAS: System > Advanced Settings > Allowed IP Addresses'],
      facts: { code },
    });
  }
  return new StorageError('ARRAY_UNREACHABLE', `${at} closed the connection (code ${code})${text}`, {
    causes: ['TrueNAS was restarted or updated', 'the network was interrupted'],
    facts: { code },
  });
}
