import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';

/** First descriptor that systemd hands over, sd_listen_fds(3). */
const FIRST_FD = 3;

/** The descriptor of systemd's socket activation, or null when there is none. Throws when there are several. */
export function activatedSocket(env: Readonly<Record<string, string | undefined>>, pid: number): number | null {
  if (env['LISTEN_PID'] !== String(pid)) return null;
  const count = Number(env['LISTEN_FDS'] ?? '0');
  if (count === 0) return null;
  if (count !== 1) throw new Error(`systemd handed over ${String(count)} sockets, expected one`);
  return FIRST_FD;
}

/**
 * Makes the way free for a socket at `path`: its directory is there, and what an earlier daemon left is removed.
 * Throws when another daemon answers at it, or what is there is no socket.
 */
export async function clearSocketPath(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const state = await probe(path);
  if (state === 'answers') throw new Error(`another daemon is already listening on ${path}`);
  if (state === 'absent') return;
  // A path that was mistyped must not cost a file: to connect(2) that looks like a dead socket.
  if (!(await lstat(path)).isSocket()) throw new Error(`${path} is there and is no socket`);
  await unlink(path);
}

/** Listens so that only root may connect (0600): the socket is never open to others, not even before the chmod. */
export async function listenPrivately(path: string, listen: () => Promise<void>): Promise<void> {
  const mask = process.umask(0o177);
  try {
    await listen();
  } finally {
    process.umask(mask);
  }
  await chmod(path, 0o600);
}

function probe(path: string): Promise<'answers' | 'stale' | 'absent'> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve('answers');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve('absent');
      else if (error.code === 'ECONNREFUSED') resolve('stale');
      else reject(error);
    });
  });
}
