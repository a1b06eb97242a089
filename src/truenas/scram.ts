import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { StorageError } from '../core/errors.ts';

const HASH = 'sha512';
const KEY_BYTES = 64;
/** RFC 5802 wants 4096 at least; above TrueNAS's own maximum a server only wants to keep us busy. */
const ITERATIONS = { least: 4096, most: 5_000_000 };
/** No channel binding: the nginx in front of TrueNAS ends TLS, and servers that offer binding take an unbound login too. */
const GS2_HEADER = 'n,,';

const derive = promisify(pbkdf2);

/** The two messages a client sends and the check of the server's last one (RFC 5802, truenas-api 3). */
export interface ScramExchange {
  readonly first: string;
  /** Answers the server's challenge. Errors: ARRAY_PROTOCOL. */
  final(serverFirst: string): Promise<string>;
  /** Throws ARRAY_PROTOCOL unless the server has proved that it knows the key too. */
  verify(serverFinal: string): void;
}

/** The number before the dash names the key, the rest is the secret: `12-<64 alphanumerics>`; null for anything else. */
export function splitApiKey(apiKey: string): { id: string; secret: string } | null {
  const match = /^(\d{1,10})-([A-Za-z0-9]{1,256})$/.exec(apiKey);
  return match?.[1] === undefined || match[2] === undefined ? null : { id: match[1], secret: match[2] };
}

/** True when the user name can be written in a SCRAM message as it is. */
export function scramUsername(username: string): boolean {
  return /^[\x21-\x7e]+$/.test(username) && !/[,=]/.test(username);
}

/** A login with an API key that never shows the key to anybody. */
export function scramExchange(username: string, key: { id: string; secret: string }, nonce: Buffer = randomBytes(32)): ScramExchange {
  const clientNonce = nonce.toString('base64');
  const bare = `n=${username}:${key.id},r=${clientNonce}`;
  let serverSignature: Buffer | null = null;
  return {
    first: GS2_HEADER + bare,
    final: async (serverFirst) => {
      const challenge = parseChallenge(serverFirst);
      // The server appends its own bytes to ours; base64 of 32 bytes ends within a character, so compare bytes.
      const combined = Buffer.from(challenge.nonce, 'base64');
      const ours = combined.length > nonce.length && combined.subarray(0, nonce.length).equals(nonce);
      if (!ours && !(challenge.nonce.startsWith(clientNonce) && challenge.nonce.length > clientNonce.length)) {
        throw broken('the nonce is not ours');
      }
      const salted = await derive(key.secret, challenge.salt, challenge.iterations, KEY_BYTES, HASH);
      const clientKey = hmac(salted, 'Client Key');
      const storedKey = createHash(HASH).update(clientKey).digest();
      const withoutProof = `c=${Buffer.from(GS2_HEADER).toString('base64')},r=${challenge.nonce}`;
      const authMessage = `${bare},${serverFirst},${withoutProof}`;
      serverSignature = hmac(hmac(salted, 'Server Key'), authMessage);
      const signature = hmac(storedKey, authMessage);
      const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)));
      return `${withoutProof},p=${proof.toString('base64')}`;
    },
    verify: (serverFinal) => {
      const shown = Buffer.from(/^v=([A-Za-z0-9+/=]+)/.exec(serverFinal)?.[1] ?? '', 'base64');
      if (serverSignature === null || shown.length !== serverSignature.length || !timingSafeEqual(shown, serverSignature)) {
        throw broken('the server did not prove that it knows the API key');
      }
    },
  };
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac(HASH, key).update(text).digest();
}

function parseChallenge(text: string): { nonce: string; salt: Buffer; iterations: number } {
  const match = /^r=([\x21-\x2b\x2d-\x7e]{1,1024}),s=([A-Za-z0-9+/]{1,2048}={0,2}),i=(\d{1,8})$/.exec(text);
  const [, nonce, salt, count] = match ?? [];
  if (nonce === undefined || salt === undefined || count === undefined) throw broken('the challenge is not understood');
  const iterations = Number(count);
  if (iterations < ITERATIONS.least || iterations > ITERATIONS.most) throw broken(`${iterations} iterations are asked for`);
  return { nonce, salt: Buffer.from(salt, 'base64'), iterations };
}

function broken(why: string): StorageError {
  return new StorageError('ARRAY_PROTOCOL', `the SCRAM login failed: ${why}`, { causes: ['another machine answers for TrueNAS'] });
}
