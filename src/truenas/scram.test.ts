import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { scramExchange, scramUsername, splitApiKey } from './scram.ts';

const key = { id: '7', secret: 'k'.repeat(64) };
const nonce = Buffer.alloc(32, 1);
const salt = Buffer.alloc(16, 2);
const hmac = (secret: Buffer, text: string): Buffer => createHmac('sha512', secret).update(text).digest();
const combined = Buffer.concat([nonce, Buffer.alloc(32, 3)]).toString('base64');
const challenge = `r=${combined},s=${salt.toString('base64')},i=4096`;

describe('SCRAM-SHA-512 (RFC 5802, truenas-api 3)', () => {
  it('proves the key without showing it, and checks that the server knows it', async () => {
    const exchange = scramExchange('pve', key, nonce);
    expect(exchange.first).toBe(`n,,n=pve:7,r=${nonce.toString('base64')}`);
    const final = await exchange.final(challenge);
    const [, withoutProof, proof] = /^(c=biws,r=.*),p=(.*)$/.exec(final) ?? [];
    const salted = pbkdf2Sync(key.secret, salt, 4096, 64, 'sha512');
    const storedKey = createHash('sha512').update(hmac(salted, 'Client Key')).digest();
    const auth = `${exchange.first.slice(3)},${challenge},${withoutProof}`;
    const signature = hmac(storedKey, auth);
    // What a server does: the client key comes out of the proof, and its hash must be the stored key.
    const clientKey = Buffer.from(proof ?? '', 'base64').map((byte, index) => byte ^ (signature[index] ?? 0));
    expect(createHash('sha512').update(clientKey).digest()).toEqual(storedKey);
    expect(final).not.toContain(key.secret);
    const serverSignature = hmac(hmac(salted, 'Server Key'), auth).toString('base64');
    expect(() => exchange.verify(`v=${serverSignature}`)).not.toThrow();
    expect(() => exchange.verify(`v=${Buffer.alloc(64).toString('base64')}`)).toThrow(/did not prove/);
    expect(() => exchange.verify('e=other-error')).toThrow(/did not prove/);
  });

  it.each([
    ['', 'nothing'],
    [challenge.replace(combined, Buffer.alloc(64, 9).toString('base64')), 'a foreign nonce'],
    [challenge.replace(combined, nonce.toString('base64')), 'our nonce alone'],
    [challenge.replace('4096', '1'), 'too few iterations'],
    [challenge.replace('4096', '99999999'), 'iterations that would keep us busy'],
    [`${challenge},m=x`, 'an unknown extension'],
    [challenge.replace(/s=[^,]*/, 's='), 'no salt'],
  ])('refuses %s (%s)', async (text) => {
    await expect(scramExchange('pve', key, nonce).final(text)).rejects.toMatchObject({ code: 'ARRAY_PROTOCOL' });
  });

  it('cannot verify before the challenge was answered', () => {
    expect(() => scramExchange('pve', key).verify('v=')).toThrow();
  });

  it('knows what an API key and a user name look like', () => {
    expect(splitApiKey(`12-${'a'.repeat(64)}`)).toEqual({ id: '12', secret: 'a'.repeat(64) });
    for (const bad of ['', '12', '-abc', '12-', '12-a b', 'x-abc', `12-${'a'.repeat(300)}`, '12-a\n']) expect(splitApiKey(bad)).toBeNull();
    expect(scramUsername('truenas_admin')).toBe(true);
    for (const bad of ['', 'a,b', 'a=b', 'a b', 'ä', 'a\n']) expect(scramUsername(bad)).toBe(false);
  });
});
