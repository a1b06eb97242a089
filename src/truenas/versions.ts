import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import * as z from 'zod';
import { RELEASES, type Release } from '../core/array-port.ts';
import { beginStep } from '../core/deadline.ts';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { httpLimited, isHttpLimit, retryAfterMs } from './rate-limits.ts';
import { authority, connectApi, connectionError, type Endpoint, unreachable } from './tls.ts';

const MAX_BODY = 64 * 1024;

/** Which dialect to speak on which path. */
export interface ApiChoice {
  /** `/api/v25.10.5`, or `/api/current` */
  readonly path: string;
  readonly release: Release;
  /** The newest version the server names is newer than we know. */
  readonly newer: boolean;
}

/** Asks `GET /api/versions` (truenas-api 1), with the TLS rules of the session itself. `now`: ms since the epoch.
 * Errors: as connectTls; ARRAY_PROTOCOL, RATE_LIMITED, RELEASE_UNSUPPORTED. */
export async function discoverApi(endpoint: Endpoint, now: number, deadline: Deadline): Promise<ApiChoice> {
  const { status, body, retryAfter } = await get(endpoint, '/api/versions', deadline);
  const at = authority(endpoint);
  if (isHttpLimit(status, body)) throw httpLimited(at, 'GET /api/versions', status, retryAfterMs(retryAfter, now));
  if (status === 404) {
    throw new StorageError('RELEASE_UNSUPPORTED', `${at} has no /api/versions: it is no TrueNAS of release 25.04 or newer`, {
      causes: ['TrueNAS is older than 25.04', 'the port belongs to another service'],
    });
  }
  if (status !== 200) {
    throw new StorageError('ARRAY_PROTOCOL', `${at} answered GET /api/versions with HTTP status ${status}`, {
      causes:
        status >= 500
          ? ['the middleware of TrueNAS is starting', 'a proxy sits between']
          : ['the port belongs to another service', 'a proxy sits between'],
      facts: { status },
    });
  }
  let versions: readonly string[];
  try {
    versions = z.array(z.string().max(64)).max(1000).parse(JSON.parse(body));
  } catch (error) {
    throw new StorageError('ARRAY_PROTOCOL', `${at} answered GET /api/versions with something else than a list`, { cause: error });
  }
  return chooseApi(versions);
}

interface Version {
  readonly text: string;
  readonly parts: readonly [number, number, number];
}

/**
 * The newest version that we know, since a server adapts older ones up (truenas-api 1.1); `/api/current` where the server
 * knows only newer ones. Errors: RELEASE_UNSUPPORTED.
 */
export function chooseApi(versions: readonly string[]): ApiChoice {
  const parsed = versions.map(parseVersion).filter((version) => version !== null);
  parsed.sort(byAge);
  const newest = parsed.at(-1);
  const known = parsed.filter((version) => releaseOf(version) !== null).at(-1);
  const release = known === undefined ? null : releaseOf(known);
  if (known !== undefined && release !== null) {
    return { path: `/api/${known.text}`, release, newer: newest !== undefined && newest !== known };
  }
  const latest = RELEASES[RELEASES.length - 1];
  if (newest !== undefined && latest !== undefined && isNewerThan(newest, latest)) {
    return { path: '/api/current', release: latest, newer: true };
  }
  throw new StorageError(
    'RELEASE_UNSUPPORTED',
    `TrueNAS speaks the API ${newest === undefined ? 'of no version that is understood' : newest.text}; needed is ${RELEASES[0]} or newer`,
  );
}

function parseVersion(text: string): Version | null {
  const match = /^v(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?$/.exec(text);
  return match === null ? null : { text, parts: [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)] };
}

function byAge(a: Version, b: Version): number {
  return a.parts[0] - b.parts[0] || a.parts[1] - b.parts[1] || a.parts[2] - b.parts[2];
}

/** v25.04.2 → 25.04; v26.0.0 → 26.0 */
function releaseOf(version: Version): Release | null {
  const [major, minor] = version.parts;
  return RELEASES.find((release) => releaseParts(release)[0] === major && releaseParts(release)[1] === minor) ?? null;
}

function releaseParts(release: Release): [number, number] {
  const [major = '0', minor = '0'] = release.split('.');
  return [Number(major), Number(minor)];
}

function isNewerThan(version: Version, release: Release): boolean {
  const [major, minor] = releaseParts(release);
  return version.parts[0] > major || (version.parts[0] === major && version.parts[1] > minor);
}

interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | undefined;
}

async function get(endpoint: Endpoint, path: string, deadline: Deadline): Promise<HttpAnswer> {
  const connection = await connectApi(endpoint, deadline);
  const request = endpoint.apiScheme === 'wss' ? tlsRequest : plainRequest;
  const at = authority(endpoint);
  const step = beginStep(deadline, `the answer of ${at} to GET ${path}`);
  return new Promise((resolve, reject) => {
    const fail = (error: StorageError): void => {
      step.end();
      deadline.signal.removeEventListener('abort', abort);
      connection.destroy();
      reject(error);
    };
    const abort = (): void => fail(unreachable(endpoint, step.ranOut(), deadline.signal.reason));
    deadline.signal.addEventListener('abort', abort, { once: true });
    const ask = request(
      { method: 'GET', path, headers: { host: at, accept: 'application/json', connection: 'close' }, createConnection: () => connection },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_BODY) {
            fail(new StorageError('ARRAY_PROTOCOL', `${at} answered GET ${path} with more than ${MAX_BODY} bytes`));
          } else chunks.push(chunk);
        });
        response.on('error', (error) => fail(connectionError(endpoint, error)));
        response.on('end', () => {
          step.end();
          deadline.signal.removeEventListener('abort', abort);
          connection.destroy();
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString('utf8'),
            retryAfter: response.headers['retry-after'],
          });
        });
      },
    );
    ask.on('error', (error) => fail(connectionError(endpoint, error)));
    ask.end();
  });
}
