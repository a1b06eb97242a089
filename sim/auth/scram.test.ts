import { expect, it } from 'vitest';
import { deriveSecret, hashSecret, verifySecret } from './scram.ts';

const stored = { salt: Buffer.from('0123456789abcdef').toString('base64'), iterations: 1, storedKey: '', serverKey: '' };

it('verifies a secret by what was stored of it, again and again, and no other one', async () => {
  const hashed = await hashSecret('right');
  for (let time = 1; time <= 2; time += 1) {
    expect(await verifySecret('right', hashed)).toBe(true);
    expect(await verifySecret('wrong', hashed)).toBe(false);
  }
});

it('derives the same for a secret that it has long forgotten, and something else for another salt or count', async () => {
  const first = await deriveSecret('one', stored);
  for (let number = 0; number < 200; number += 1) await deriveSecret(`other ${number}`, stored);
  expect(await deriveSecret('one', stored)).toEqual(first);
  expect((await deriveSecret('one', { ...stored, iterations: 2 })).storedKey).not.toBe(first.storedKey);
  expect((await deriveSecret('one', { ...stored, salt: Buffer.from('x').toString('base64') })).storedKey).not.toBe(first.storedKey);
});

it('keeps no failure', async () => {
  const impossible = { ...stored, iterations: 0 };
  await expect(deriveSecret('one', impossible)).rejects.toThrow();
  await expect(deriveSecret('one', impossible)).rejects.toThrow();
  expect((await deriveSecret('one', stored)).iterations).toBe(1);
});
