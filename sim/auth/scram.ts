import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/** SCRAM-SHA-512 (RFC 5802), server side, as 26.0 speaks it (truenas-api 3). */

const derive = promisify(pbkdf2);
/** Clients take 50 000 to 5 000 000 rounds; ours keeps logins of tests short. */
export const SCRAM_ITERATIONS = 100_000;
const NONCE_BYTES = 32;
const DIGEST_BYTES = 64;

/** What is stored of a secret: it proves a login, it does not allow one. All base64. */
export interface StoredSecret {
  readonly salt: string;
  readonly iterations: number;
  readonly storedKey: string;
  readonly serverKey: string;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha512', key).update(text).digest();
}

function sha512(data: Buffer): Buffer {
  return createHash('sha512').update(data).digest();
}

interface Derived extends StoredSecret {
  readonly clientKey: string;
}

/** So many derived secrets are kept: clients log in with the same few keys again and again, and each derivation takes a tenth of a second. */
const KEPT = 64;
const kept = new Map<string, Promise<Derived>>();

function fromPassword(password: string, salt: Buffer, iterations: number): Promise<Derived> {
  const name = sha512(Buffer.from(JSON.stringify([password, salt.toString('base64'), iterations]))).toString('base64');
  const derived = kept.get(name) ?? derivedFrom(password, salt, iterations);
  derived.catch(() => kept.delete(name));
  kept.delete(name);
  kept.set(name, derived);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
  return derived;
}

async function derivedFrom(password: string, salt: Buffer, iterations: number): Promise<Derived> {
  const salted = await derive(password, salt, iterations, DIGEST_BYTES, 'sha512');
  const clientKey = hmac(salted, 'Client Key');
  return {
    salt: salt.toString('base64'),
    iterations,
    clientKey: clientKey.toString('base64'),
    storedKey: sha512(clientKey).toString('base64'),
    serverKey: hmac(salted, 'Server Key').toString('base64'),
  };
}

/** Hashes a new secret. `clientKey` is for the caller who made it (api_key.create on 26.0), it is not to be stored. */
export function hashSecret(secret: string): Promise<Derived> {
  return fromPassword(secret, randomBytes(16), SCRAM_ITERATIONS);
}

/** The key material of a known secret (api_key.convert_raw_key). */
export function deriveSecret(secret: string, stored: StoredSecret): Promise<Derived> {
  return fromPassword(secret, Buffer.from(stored.salt, 'base64'), stored.iterations);
}

/** True when `secret` is the one that was hashed. */
export async function verifySecret(secret: string, stored: StoredSecret): Promise<boolean> {
  const derived = await deriveSecret(secret, stored);
  return timingSafeEqual(Buffer.from(derived.storedKey, 'base64'), Buffer.from(stored.storedKey, 'base64'));
}

export interface ClientFirst {
  readonly username: string;
  /** 0: a password login */
  readonly keyId: number;
  readonly nonce: Buffer;
  /** `n,,` or `p=tls-server-end-point,,` */
  readonly gs2: string;
  readonly bare: string;
}

/** `n,,n=<user>:<api_key_id>,r=<base64 nonce>`; null when it is not that. */
export function parseClientFirst(text: string): ClientFirst | null {
  const match = /^(n|y|p=[A-Za-z0-9.-]+),,(n=([^,=:]+)(?::(\d{1,15}))?,r=([A-Za-z0-9+/]+={0,2}))$/.exec(text);
  if (match === null) return null;
  const [, flag = '', bare = '', username = '', keyId = '0', nonceText = ''] = match;
  const nonce = Buffer.from(nonceText, 'base64');
  if (nonce.length !== NONCE_BYTES) return null;
  return { username, keyId: Number(keyId), nonce, gs2: `${flag},,`, bare };
}

/** One exchange between CLIENT_FIRST and CLIENT_FINAL. */
export class ScramExchange {
  readonly client: ClientFirst;
  readonly #stored: StoredSecret;
  readonly #nonce: string;
  readonly #binding: Buffer | null;
  readonly serverFirst: string;

  /** `binding`: the hash of the server's certificate on TLS (tls-server-end-point), else null. */
  constructor(client: ClientFirst, stored: StoredSecret, binding: Buffer | null) {
    this.client = client;
    this.#stored = stored;
    this.#binding = binding;
    // TrueNAS joins the nonces as bytes and encodes the whole, so that the text is no mere concatenation.
    this.#nonce = Buffer.concat([client.nonce, randomBytes(NONCE_BYTES)]).toString('base64');
    this.serverFirst = `r=${this.#nonce},s=${stored.salt},i=${stored.iterations}`;
  }

  /** SERVER_FINAL text, or null when the proof, the nonce or the channel binding is wrong. */
  finish(clientFinal: string): string | null {
    const match = /^(c=([A-Za-z0-9+/]+={0,2}),r=([A-Za-z0-9+/]+={0,2})),p=([A-Za-z0-9+/]+={0,2})$/.exec(clientFinal);
    if (match === null) return null;
    const [, withoutProof = '', channel = '', nonce = '', proofText = ''] = match;
    const proof = Buffer.from(proofText, 'base64');
    if (nonce !== this.#nonce || proof.length !== DIGEST_BYTES) return null;
    if (channel !== this.#expectedBinding()) return null;
    const message = `${this.client.bare},${this.serverFirst},${withoutProof}`;
    const signature = hmac(Buffer.from(this.#stored.storedKey, 'base64'), message);
    const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] ?? 0)));
    if (!timingSafeEqual(sha512(clientKey), Buffer.from(this.#stored.storedKey, 'base64'))) return null;
    return `v=${hmac(Buffer.from(this.#stored.serverKey, 'base64'), message).toString('base64')}`;
  }

  #expectedBinding(): string | null {
    const header = Buffer.from(this.client.gs2);
    if (!this.client.gs2.startsWith('p=')) return header.toString('base64');
    if (this.client.gs2 !== 'p=tls-server-end-point,,' || this.#binding === null) return null;
    return Buffer.concat([header, this.#binding]).toString('base64');
  }
}
