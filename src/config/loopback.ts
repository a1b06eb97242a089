import { isIPv4, isIPv6 } from 'node:net';

/** Whether a host, as a setting or a socket names it, is this node itself: 127.0.0.0/8, ::1, localhost. Brackets may stand. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (isIPv4(bare)) return bare.startsWith('127.');
  if (isIPv6(bare)) {
    const canonical = new URL(`http://[${bare}]`).hostname;
    // a dual-stack socket shows 127.x.y.z as ::ffff:7fxx:yyyy
    return canonical === '[::1]' || /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/.test(canonical);
  }
  return bare === 'localhost';
}
