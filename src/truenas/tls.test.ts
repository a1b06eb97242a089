import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { deadlineAfter } from '../core/deadline.ts';
import type { StorageError } from '../core/errors.ts';
import { createArray } from './array.ts';
import { OTHER_CA, SERVER_CERTIFICATE } from './testing/certificates.ts';
import { FakeClock, until } from './testing/fake-clock.ts';
import { API_KEY, type Bench, bench, config, failure, memoryLog } from './testing/harness.ts';
import { ScriptedServer } from './testing/scripted-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'truenas-tls-'));
const fingerprint = new X509Certificate(SERVER_CERTIFICATE).fingerprint256;
const pem = (name: string, text: string): string => {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
};
let open: Bench[] = [];
async function start(...args: Parameters<typeof bench>): Promise<Bench> {
  const made = await bench(...args);
  open.push(made);
  return made;
}
afterEach(async () => {
  await Promise.all(open.map((each) => each.close()));
  open = [];
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('whom we talk to is verified before anything is sent', () => {
  it('refuses an unknown certificate and shows its fingerprint', async () => {
    const { server, array, deadline } = await start({ apiInsecure: false });
    const error = (await failure(array.ready(deadline()))) as StorageError;
    expect(error.code).toBe('TLS_UNTRUSTED');
    expect(error.message).toContain(fingerprint);
    expect(error.hints.join(' ')).toContain(`--fingerprint ${fingerprint}`);
    expect(server.requests + server.calls.length).toBe(0);
  });

  it('refuses a certificate of another CA', async () => {
    const { server, array, deadline } = await start({ apiInsecure: false, caFile: pem('other.pem', OTHER_CA) });
    expect(((await failure(array.ready(deadline()))) as StorageError).code).toBe('TLS_UNTRUSTED');
    expect(server.requests).toBe(0);
  });

  it('trusts the CA file', async () => {
    const { array, deadline } = await start({ apiInsecure: false, caFile: pem('right.pem', SERVER_CERTIFICATE) });
    await array.ready(deadline());
  });

  it.each([['missing.pem'], ['empty.pem']])('names a CA file that is of no use: %s', async (name) => {
    if (name === 'empty.pem') pem(name, 'nothing');
    const { array, deadline } = await start({ apiInsecure: false, caFile: join(directory, name) });
    const error = (await failure(array.ready(deadline()))) as StorageError;
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(name);
  });

  it.each([[fingerprint], [fingerprint.toLowerCase().replaceAll(':', '')]])('trusts the pinned certificate %s', async (pinned) => {
    const { array, deadline } = await start({ apiInsecure: false, fingerprint: pinned });
    await array.ready(deadline());
  });

  it('refuses another certificate than the pinned one, even with api_insecure', async () => {
    const wrong = new X509Certificate(OTHER_CA).fingerprint256;
    const { server, array, deadline } = await start({ apiInsecure: true, fingerprint: wrong });
    const error = (await failure(array.ready(deadline()))) as StorageError;
    expect(error.code).toBe('TLS_UNTRUSTED');
    expect(error.message).toContain(fingerprint);
    expect(server.requests + server.calls.length).toBe(0);
  });

  it('connects to names and to IPv6 addresses, with and without brackets (F-010)', async () => {
    const server = new ScriptedServer();
    const port = await server.listen('::1');
    const ca = pem('six.pem', SERVER_CERTIFICATE);
    const clock = new FakeClock();
    for (const apiHost of ['::1', '[::1]']) {
      const settings = config(port, { apiHost, apiInsecure: false, caFile: ca });
      const array = createArray({ config: settings, apiKey: () => Promise.resolve(API_KEY), clock, log: memoryLog() });
      await array.ready(deadlineAfter(clock, 1000, 'test'));
      await array.close();
    }
    await server.close();
    const named = await start({ apiHost: 'localhost', apiInsecure: false, caFile: ca, preferIpv4: true });
    await named.array.ready(named.deadline());
  });

  it('says that nothing listens, with the settings to look at', async () => {
    const made = await start();
    await made.server.close();
    const error = (await failure(made.array.ready(made.deadline()))) as StorageError;
    expect(error.code).toBe('ARRAY_UNREACHABLE');
    expect(error.message).toMatch(/nothing listens on 127\.0\.0\.1:\d+.*api_host and api_port/);
  });

  it('gives a peer up that accepts and stays mute, before the caller does (F-041, F-049)', async () => {
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    let accepted = 0;
    mute.on('connection', (socket) => {
      accepted += 1;
      socket.on('error', () => undefined);
    });
    const clock = new FakeClock();
    const settings = config((mute.address() as AddressInfo).port);
    const array = createArray({ config: settings, apiKey: () => Promise.resolve(API_KEY), clock, log: memoryLog() });
    const pending = failure(array.ready(deadlineAfter(clock, 30_000, 'test')));
    await until(() => accepted === 1);
    clock.advance(24_000);
    const error = (await pending) as StorageError;
    expect(error.code).toBe('ARRAY_UNREACHABLE');
    expect(error.message).toMatch(/^the TLS handshake with 127\.0\.0\.1:\d+ was not done after 24 s/);
    await array.close();
    mute.close();
  });
});
