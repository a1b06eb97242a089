import { lookup as dnsLookup } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { type ConnectionOptions, connect, rootCertificates, type TLSSocket } from 'node:tls';
import { beginStep } from '../core/deadline.ts';
import { isLoopback } from '../config/loopback.ts';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { type ArrayConfig, bareHost, normalFingerprint } from './array-key.ts';

/** How long one address of several gets before the next is tried; Node's own 250 ms give busy nodes and far arrays up too early. */
const FAMILY_ATTEMPT_MS = 3000;

export type Endpoint = Pick<ArrayConfig, 'apiHost' | 'apiPort' | 'apiScheme' | 'apiInsecure' | 'fingerprint' | 'caFile' | 'preferIpv4'>;

/** `host:port` for messages and URLs; IPv6 in brackets. */
export function authority(endpoint: Endpoint): string {
  const host = bareHost(endpoint.apiHost);
  return `${isIP(host) === 6 ? `[${host}]` : host}:${endpoint.apiPort}`;
}

/**
 * Refuses plain transport before anything is opened: TrueNAS revokes a key that is used over it (truenas-api 3.1, F-015).
 * Only what stays on this node may do without TLS, for example a tunnel's near end.
 */
export function assertEncrypted(endpoint: Endpoint): void {
  if (endpoint.apiScheme === 'wss' || isLoopback(endpoint.apiHost)) return;
  throw insecure(endpoint, authority(endpoint));
}

function insecure(endpoint: Endpoint, at: string): StorageError {
  return new StorageError(
    'INSECURE_TRANSPORT',
    `api_scheme is ${endpoint.apiScheme}: the API key would travel unencrypted to ${at}, and TrueNAS revokes keys used that way; set api_scheme to wss`,
  );
}

/** The connection that the settings ask for, ready for HTTP. Errors: as connectTls. */
export function connectApi(endpoint: Endpoint, deadline: Deadline): Promise<Socket> {
  return endpoint.apiScheme === 'wss' ? connectTls(endpoint, deadline) : connectLoopback(endpoint, deadline);
}

/** A plain connection to this node itself: the address that answered is looked at, a name may lead anywhere. */
async function connectLoopback(endpoint: Endpoint, deadline: Deadline): Promise<Socket> {
  assertEncrypted(endpoint);
  const at = authority(endpoint);
  if (deadline.signal.aborted) throw unreachable(endpoint, `no connection to ${at} in time`, deadline.signal.reason);
  const options = { host: bareHost(endpoint.apiHost), port: endpoint.apiPort, autoSelectFamily: true };
  const socket = connectTcp(endpoint.preferIpv4 ? { ...options, lookup: ipv4First } : options);
  const step = beginStep(deadline, `the TCP connection to ${at}`);
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      step.end();
      deadline.signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners('error');
      socket.on('error', () => undefined);
    };
    const fail = (error: StorageError): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(unreachable(endpoint, step.ranOut(), deadline.signal.reason));
    deadline.signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', (error: Error) => fail(connectionError(endpoint, error)));
    socket.once('connect', () => {
      const address = socket.remoteAddress ?? '';
      if (!isLoopback(address)) {
        fail(insecure(endpoint, `${at} (${address})`));
        return;
      }
      settle();
      resolve(socket);
    });
  });
}

/**
 * A TLS connection whose certificate is verified before a single byte of ours is sent: a pinned fingerprint decides alone,
 * else the CA file and the well-known CAs, else (`api_insecure`) nothing does.
 * Errors: INSECURE_TRANSPORT, CONFIG_INVALID, TLS_UNTRUSTED, ARRAY_UNREACHABLE.
 */
export async function connectTls(endpoint: Endpoint, deadline: Deadline): Promise<TLSSocket> {
  assertEncrypted(endpoint);
  const ca = await trustedCertificates(endpoint);
  const host = bareHost(endpoint.apiHost);
  if (deadline.signal.aborted) throw unreachable(endpoint, `no connection to ${authority(endpoint)} in time`, deadline.signal.reason);
  return new Promise((resolve, reject) => {
    // The types leave autoSelectFamily out; tls.connect hands it on to net.connect, and Node 18 has it off by default.
    const options: ConnectionOptions & { autoSelectFamily: boolean; autoSelectFamilyAttemptTimeout: number } = {
      host,
      port: endpoint.apiPort,
      // SNI takes names only; an address is checked against the certificate's address entries by `host`.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === undefined ? {} : { ca }),
      // We judge the certificate ourselves below, so that the message can show its fingerprint.
      rejectUnauthorized: false,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: FAMILY_ATTEMPT_MS,
      ...(endpoint.preferIpv4 ? { lookup: ipv4First } : {}),
    };
    const socket = connect(options);
    const at = authority(endpoint);
    const step = beginStep(deadline, isIP(host) === 0 ? `resolving the name ${host}` : `the TCP connection to ${at}`);
    // Told once for each address of the name; the first one is what is connected to.
    socket.once('lookup', () => step.next(`the TCP connection to ${at}`));
    socket.once('connect', () => step.next(`the TLS handshake with ${at}`));
    const settle = (): void => {
      step.end();
      deadline.signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners('error');
      socket.removeAllListeners('close');
      socket.removeAllListeners('secureConnect');
      // A socket without an error listener throws: late errors of an abandoned one are of no interest.
      socket.on('error', () => undefined);
    };
    const fail = (error: StorageError): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(unreachable(endpoint, step.ranOut(), deadline.signal.reason));
    deadline.signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', (error: Error) => fail(connectionError(endpoint, error)));
    socket.once('close', () => fail(unreachable(endpoint, `${at} closed the connection during the TLS handshake`)));
    socket.once('secureConnect', () => {
      const distrust = judge(endpoint, socket);
      if (distrust !== null) {
        fail(distrust);
        return;
      }
      settle();
      resolve(socket);
    });
  });
}

const ipv4First: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, verbatim: false }, callback);
};

async function trustedCertificates(endpoint: Endpoint): Promise<string[] | undefined> {
  if (endpoint.caFile === null) return undefined;
  let pem: string;
  try {
    pem = await readFile(endpoint.caFile, 'utf8');
  } catch (error) {
    throw new StorageError('CONFIG_INVALID', `the CA file ${endpoint.caFile} cannot be read`, { cause: error });
  }
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
    throw new StorageError('CONFIG_INVALID', `the CA file ${endpoint.caFile} holds no certificate in PEM form`);
  }
  return [...rootCertificates, pem];
}

/** null: the certificate is what the settings ask for. */
function judge(endpoint: Endpoint, socket: TLSSocket): StorageError | null {
  // Undocumented by the types: without a certificate the object is empty.
  const shown = (socket.getPeerCertificate() as { fingerprint256?: string }).fingerprint256;
  const fingerprint = shown === undefined ? null : normalFingerprint(shown);
  const facts = { fingerprint };
  if (endpoint.fingerprint !== null) {
    if (fingerprint !== null && fingerprint === normalFingerprint(endpoint.fingerprint)) return null;
    return new StorageError(
      'TLS_UNTRUSTED',
      `the certificate of ${authority(endpoint)} has the fingerprint ${fingerprint ?? '(none)'}, not the one in the setting fingerprint`,
      { facts, causes: ['the certificate of TrueNAS was renewed', 'another machine answers at this address'] },
    );
  }
  if (endpoint.apiInsecure || socket.authorized) return null;
  // The types say Error; it is the code of OpenSSL or the Error of checkServerIdentity.
  const why = socket.authorizationError as unknown;
  const reason = why instanceof Error ? why.message : String(why);
  return new StorageError(
    'TLS_UNTRUSTED',
    `the certificate of ${authority(endpoint)} is not trusted (${reason}); its fingerprint is ${fingerprint ?? 'unknown'}`,
    {
      facts,
      hints: [
        `compare it in TrueNAS, then: pvesm set STORAGE --fingerprint ${fingerprint ?? 'FINGERPRINT'}`,
        'TrueNAS: System > General Settings > GUI > GUI SSL Certificate',
      ],
    },
  );
}

/** ARRAY_UNREACHABLE that names the settings to look at. */
export function unreachable(endpoint: Endpoint, message: string, cause?: unknown): StorageError {
  return new StorageError('ARRAY_UNREACHABLE', `${message} (settings api_host and api_port)`, {
    facts: { host: endpoint.apiHost, port: endpoint.apiPort },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** What the system said about the connection, in words that a user can act on. */
export function connectionError(endpoint: Endpoint, error: Error): StorageError {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const at = authority(endpoint);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return unreachable(endpoint, `the name ${endpoint.apiHost} cannot be resolved`, error);
  if (code === 'ECONNREFUSED') return unreachable(endpoint, `nothing listens on ${at}`, error);
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') {
    return new StorageError('ARRAY_PROTOCOL', `${at} does not speak TLS as TrueNAS does (${code}); check api_port`, { cause: error });
  }
  if (endpoint.apiScheme === 'ws' && (code === 'ECONNRESET' || code.startsWith('HPE_'))) {
    return new StorageError('ARRAY_PROTOCOL', `${at} does not speak HTTP without TLS (${code}); check api_port`, { cause: error });
  }
  return unreachable(endpoint, `no connection to ${at}: ${code === '' ? error.message : code}`, error);
}
