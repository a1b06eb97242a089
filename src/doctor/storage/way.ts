import { isIP } from 'node:net';
import * as z from 'zod';
import type { PortalAddress } from '../../core/host-port.ts';
import type { Deadline } from '../../core/ports.ts';
import { portalText } from '../../host/addresses.ts';
import { error, type Finding, ok, skipped, warning } from '../finding.ts';
import type { DoctorPorts } from '../ports.ts';
import { messageOf } from '../reasons.ts';

type Ports = Pick<DoctorPorts, 'network' | 'commands' | 'sys'>;

/** What `ip -json route get` says. */
interface Route {
  readonly dev: string;
  readonly via: string | null;
  readonly source: string | null;
  /** bytes, of the route itself; null: that of the interface counts */
  readonly mtu: number | null;
}

const routeShape = z.array(
  z.object({
    dev: z.string().max(64),
    gateway: z.string().max(100).optional(),
    prefsrc: z.string().max(100).optional(),
    metrics: z.array(z.object({ mtu: z.int().min(1).max(1_000_000).optional() })).optional(),
  }),
);

/** IP and ICMP headers, bytes: what a ping of this size adds to its data. */
const HEADERS = { 4: 28, 6: 48 } as const;
/** bytes; the kernel's loopback has 65536, more than a packet may have */
const LONGEST_PROBED = 9216;

/** Names that the settings give, resolved. */
export async function checkNames(ports: Ports, hosts: readonly string[], deadline: Deadline): Promise<readonly Finding[]> {
  return Promise.all(
    [...new Set(hosts)].map(async (host) => {
      const name = `DNS ${host}`;
      if (isIP(host) !== 0) return ok(name, 'is an address, no name to resolve');
      try {
        const addresses = await ports.network.resolve(host, deadline);
        if (addresses.length === 0) return error(name, 'the name has no address', 'resolvectl query; /etc/hosts; /etc/resolv.conf');
        return ok(name, addresses.join(', '));
      } catch (thrown) {
        return error(
          name,
          `cannot be resolved: ${messageOf(thrown)}`,
          '/etc/hosts; /etc/resolv.conf; or give an address instead of a name',
        );
      }
    }),
  );
}

/** Route and MTU of the way to one address of the array. */
export async function checkWay(ports: Ports, where: PortalAddress, deadline: Deadline): Promise<readonly Finding[]> {
  const to = portalText(where);
  let address: string | undefined;
  try {
    [address] = await ports.network.resolve(where.host, deadline);
  } catch {
    address = undefined; // the check of the name tells why
  }
  if (address === undefined)
    return [skipped(`route ${to}`, 'the name cannot be resolved'), skipped(`MTU ${to}`, 'the name cannot be resolved')];
  const route = await routeTo(ports, address, deadline).catch((thrown: unknown) => messageOf(thrown));
  if (typeof route === 'string') {
    const missing = /is not installed/.test(route);
    const why = missing ? route : `there is no route to ${address}: ${route}`;
    const finding = missing ? skipped(`route ${to}`, why) : error(`route ${to}`, why, `ip route get ${address}`);
    return [finding, skipped(`MTU ${to}`, 'the route is not known')];
  }
  const via = route.via === null ? 'directly connected' : `via ${route.via}`;
  const from = route.source === null ? '' : `, from ${route.source}`;
  const seen = `${address} through ${route.dev}, ${via}${from}`;
  return [ok(`route ${to}`, seen), await checkMtu(ports, to, address, route, deadline)];
}

/**
 * Two portals through one interface are one path in two names: the loss of that interface loses both. Judged by the routes.
 */
export async function checkApart(ports: Ports, portals: readonly PortalAddress[], deadline: Deadline): Promise<Finding> {
  const name = 'separate ways';
  const devices = new Map<string, string[]>();
  for (const portal of portals) {
    try {
      const [address] = await ports.network.resolve(portal.host, deadline);
      if (address === undefined) continue;
      const { dev } = await routeTo(ports, address, deadline);
      devices.set(dev, [...(devices.get(dev) ?? []), portalText(portal)]);
    } catch {
      deadline.signal.throwIfAborted(); // route and name have checks of their own
    }
  }
  const seen = [...devices].map(([dev, to]) => `${to.join(' and ')} through ${dev}`).join('; ');
  if (devices.size === 0) return skipped(name, 'no route is known');
  const shared = [...devices].find(([dev, to]) => to.length > 1 && dev !== 'lo');
  if (shared === undefined) return ok(name, seen);
  return warning(
    name,
    `${seen}: with ${shared[0]} all of these are lost at once`,
    'put the portals into networks of their own, each on an interface of its own (or a bond)',
  );
}

async function routeTo(ports: Ports, address: string, deadline: Deadline): Promise<Route> {
  const { stdout } = await ports.commands.run(['ip', '-json', 'route', 'get', address], { deadline });
  const [found] = routeShape.parse(JSON.parse(stdout));
  if (found === undefined) throw new Error('ip names none');
  const { dev, gateway, prefsrc, metrics } = found;
  const mtu = metrics?.map((one) => one.mtu).find((one) => one !== undefined) ?? null;
  return { dev, via: gateway ?? null, source: prefsrc ?? null, mtu };
}

/** What was measured is said: don't-fragment pings of the full size where they are answered, else only what this node's side has. */
async function checkMtu(ports: Ports, to: string, address: string, route: Route, deadline: Deadline): Promise<Finding> {
  const name = `MTU ${to}`;
  const text = /^[\w.@-]+$/.test(route.dev)
    ? await ports.sys.read(`/sys/class/net/${route.dev.replace(/@.*$/, '')}/mtu`).catch(() => null)
    : null;
  const own = text !== null && /^\d{1,7}$/.test(text) ? Number(text) : null;
  const mtu = route.mtu ?? own;
  if (mtu === null) return skipped(name, `neither route nor interface ${route.dev} tells an MTU`);
  const local = `${mtu} bytes by ${route.mtu === null ? `interface ${route.dev}` : 'the route'}`;
  if (route.dev === 'lo') return ok(name, `${local}; TrueNAS is reached over this node's own loopback, nothing was probed`);
  const size = Math.min(mtu, LONGEST_PROBED);
  try {
    if (await ping(ports, address, size, deadline)) return ok(name, `${local}; a don't-fragment ping of ${size} bytes came back`);
    if (await ping(ports, address, 64, deadline))
      return error(
        name,
        `${local}, but don't-fragment pings of ${size} bytes get lost while small ones come back: the way is narrower than this node believes`,
        `the same MTU on this node, on every switch between and on TrueNAS (Network > Interfaces); or 1500 everywhere. ping -M do -s ${size - headersOf(address)} ${address}`,
      );
    return ok(name, `${local}; only this node's side was looked at, since TrueNAS answers no ping`);
  } catch (thrown) {
    deadline.signal.throwIfAborted();
    return ok(name, `${local}; only this node's side was looked at: ${messageOf(thrown)}`);
  }
}

function headersOf(address: string): number {
  return isIP(address) === 6 ? HEADERS[6] : HEADERS[4];
}

/** Whether one of two pings of `size` bytes (with headers) came back unfragmented. Errors: ping cannot be used here. */
async function ping(ports: Ports, address: string, size: number, deadline: Deadline): Promise<boolean> {
  const argv = ['ping', '-n', '-q', '-c', '2', '-i', '0.2', '-W', '1', '-M', 'do', '-s', String(size - headersOf(address)), address];
  const { exitCode, stderr, stdout } = await ports.commands.run(argv, { deadline, okExitCodes: 'any' });
  if (exitCode === 0) return true;
  // iputils: 1 is "no answer", also when the kernel knows already that it is too long; 2 is everything else
  if (exitCode === 1 || /message too long/i.test(`${stderr}${stdout}`)) return false;
  throw new Error(`ping failed: ${stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? ''}`);
}
