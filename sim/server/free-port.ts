import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below Linux' default net.ipv4.ip_local_port_range (32768 to 60999), out of which the kernel takes ports for connections and for whoever
 * listens on port 0: one of those can be gone before the program that is to get it listens.
 */
const FIRST = 20_000;
const LAST = 32_767;
const TRIES = 100;

/** A free port for a program that has to be told its number before it starts. Errors: EADDRNOTAVAIL, none is free. */
export async function freePort(host: string): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(FIRST, LAST + 1);
    if (await isFree(host, port)) return port;
  }
  throw new Error(`no free port on ${host} between ${FIRST} and ${LAST}`);
}

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    await new Promise<void>((done, failed) => {
      server.once('error', failed);
      server.listen({ host, port }, done);
    });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return false;
    throw error;
  }
  await new Promise<void>((done) => server.close(() => done()));
  return true;
}
