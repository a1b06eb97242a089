import { readFile } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect, rootCertificates, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import type { StorageConfig } from '../config/storage-config.ts';
import type { Deadline } from '../core/ports.ts';
import { canonicalAddress } from '../host/addresses.ts';
import type { Commands } from '../host/commands.ts';
import type { ClockFacts, Network, TlsFacts } from './ports.ts';
import { certificateFacts } from './storage/tls.ts';

/** Longest chain that is counted: a certificate may name itself as its issuer. */
const LONGEST_CHAIN = 10;

/** The network of this node. Certificates are looked at and never trusted: nothing secret is sent over these connections. */
export class NodeNetwork implements Network {
  readonly #commands: Commands;

  constructor(commands: Commands) {
    this.#commands = commands;
  }

  /** By getent, the system's own resolver in a process that can be ended: Node's waits in a thread of ours. */
  async resolve(host: string, deadline: Deadline): Promise<readonly string[]> {
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    if (isIP(bare.split('%')[0] ?? '') !== 0) return [canonicalAddress(bare)];
    if (bare.startsWith('-')) throw new Error('it is not a host name');
    const { exitCode, stdout } = await this.#commands.run(['getent', 'ahosts', bare], { deadline, okExitCodes: [0, 2] });
    if (exitCode === 2) throw new Error('the resolver knows no such name');
    const addresses = stdout.split('\n').map((line) => line.split(/\s+/)[0] ?? '');
    return [...new Set(addresses.filter((address) => isIP(address.split('%')[0] ?? '') !== 0).map(canonicalAddress))];
  }

  async tls(config: StorageConfig, address: string, deadline: Deadline): Promise<TlsFacts> {
    const socket = await this.#connectTls(config, address, deadline);
    try {
      return factsOf(socket);
    } finally {
      socket.destroy();
    }
  }

  async httpDate(config: StorageConfig, address: string, deadline: Deadline): Promise<ClockFacts> {
    const connection =
      config.apiScheme === 'wss' ? await this.#connectTls(config, address, deadline) : await connectPlain(config, address, deadline);
    const send = config.apiScheme === 'wss' ? tlsRequest : plainRequest;
    const headers = { host: `${config.apiHost}:${config.apiPort}`, connection: 'close' };
    return new Promise((resolve, reject) => {
      const before = Date.now();
      const end = (settle: () => void): void => {
        deadline.signal.removeEventListener('abort', onAbort);
        connection.destroy();
        settle();
      };
      const onAbort = (): void => end(() => reject(deadline.signal.reason as Error));
      deadline.signal.addEventListener('abort', onAbort, { once: true });
      const ask = send({ method: 'GET', path: '/api/versions', headers, createConnection: () => connection }, (response) => {
        const { date } = response.headers;
        end(() => resolve({ array: date === undefined ? null : Date.parse(date), before, after: Date.now() }));
      });
      ask.on('error', (failure) => end(() => reject(failure)));
      ask.end();
    });
  }

  async #connectTls(config: StorageConfig, address: string, deadline: Deadline): Promise<TLSSocket> {
    const ca = config.caFile === null ? undefined : [...rootCertificates, await readFile(config.caFile, 'utf8')];
    const host = config.apiHost.replace(/^\[(.*)\]$/, '$1');
    const socket = connect({
      host: address,
      port: config.apiPort,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === undefined ? {} : { ca }),
      rejectUnauthorized: false,
    });
    return opened(socket, 'secureConnect', deadline);
  }
}

function connectPlain(config: StorageConfig, address: string, deadline: Deadline): Promise<Socket> {
  return opened(connectTcp({ host: address, port: config.apiPort }), 'connect', deadline);
}

/** Waits for a socket to stand. Rejects with the system's error or the deadline's reason. */
function opened<S extends Socket>(socket: S, event: 'connect' | 'secureConnect', deadline: Deadline): Promise<S> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      deadline.signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners('close');
    };
    const fail = (failure: Error): void => {
      settle();
      socket.destroy();
      reject(failure);
    };
    const onAbort = (): void => fail(deadline.signal.reason as Error);
    if (deadline.signal.aborted) onAbort();
    deadline.signal.addEventListener('abort', onAbort, { once: true });
    // stays: late errors of a socket without a listener would be thrown
    socket.on('error', fail);
    socket.once('close', () => fail(new Error('the other side closed the connection')));
    socket.once(event, () => {
      settle();
      resolve(socket);
    });
  });
}

function factsOf(socket: TLSSocket): TlsFacts {
  const shown = socket.getPeerCertificate(true);
  if (!Buffer.isBuffer(shown.raw)) throw new Error('the server shows no certificate');
  // The types say Error; it is the code of OpenSSL or the Error of checkServerIdentity.
  const why = socket.authorizationError as unknown;
  const distrust = socket.authorized ? null : why instanceof Error ? why.message : String(why);
  return { ...certificateFacts(shown.raw), protocol: socket.getProtocol() ?? 'TLS', chainLength: chainOf(shown), distrust };
}

function chainOf(first: DetailedPeerCertificate): number {
  const seen = new Set<string>();
  // The types hide that there may be none; the last one is its own issuer.
  let next: Partial<DetailedPeerCertificate> | undefined = first;
  while (next?.fingerprint256 !== undefined && !seen.has(next.fingerprint256) && seen.size < LONGEST_CHAIN) {
    seen.add(next.fingerprint256);
    next = next.issuerCertificate;
  }
  return seen.size;
}
