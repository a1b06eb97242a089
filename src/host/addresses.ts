import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import type { PortalAddress } from '../core/host-port.ts';
import type { Deadline } from '../core/ports.ts';
import { within } from './waiting.ts';

/** One spelling for each address, so that texts can be compared: `FD00:0::1` and `fd00::1`, `::ffff:10.0.0.1` and `10.0.0.1`. */
export function canonicalAddress(address: string): string {
  const bare = address.replace(/^\[(.*)\]$/, '$1');
  if (!isIPv6(bare)) return bare.toLowerCase();
  const [ip = '', zone] = bare.split('%');
  const short = new URL(`http://[${ip}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (mapped !== null) {
    const bits = (Number.parseInt(mapped[1] ?? '0', 16) << 16) | Number.parseInt(mapped[2] ?? '0', 16);
    return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.');
  }
  return zone === undefined ? short : `${short}%${zone}`;
}

/** `10.0.0.1:3260`, `[fd00::1]:3260`, as iscsiadm and URLs want it. */
export function portalText(portal: PortalAddress): string {
  return isIPv6(portal.host) ? `[${portal.host}]:${portal.port}` : `${portal.host}:${portal.port}`;
}

/** All addresses of a name by the system's resolver, canonical; an address is its own answer. Fails as the resolver does. */
export async function resolveHost(host: string, deadline: Deadline): Promise<readonly string[]> {
  if (isIP(host.split('%')[0] ?? '') !== 0) return [canonicalAddress(host)];
  const found = await within(lookup(host, { all: true, verbatim: true }), deadline);
  return [...new Set(found.map((entry) => canonicalAddress(entry.address)))];
}
