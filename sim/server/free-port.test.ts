import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { freePort } from './free-port.ts';

it('gives ports that the kernel gives to nobody else, each of them another one', async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, () => freePort('127.0.0.1')));
  for (const port of ports) {
    expect(port).toBeGreaterThanOrEqual(20_000);
    expect(port).toBeLessThan(32_768);
  }
  // two of twenty being the same is no more likely than one in sixty
  expect(new Set(ports).size).toBeGreaterThanOrEqual(18);
});

it('gives one that can be listened on', async () => {
  const port = await freePort('127.0.0.1');
  const server = createServer();
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  await new Promise((done) => server.close(done));
});

it('says so when the address is not one of this machine', async () => {
  await expect(freePort('192.0.2.1')).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
});
