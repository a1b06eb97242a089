import { withDeadline } from '../../core/deadline.ts';
import type { PortalAddress } from '../../core/host-port.ts';
import type { Deadline } from '../../core/ports.ts';
import type { InspectContext } from './inspect-context.ts';
import { type Check, critical, ok, warning } from './check.ts';

/** ms for one portal to accept a connection */
export const PORTAL_MS = 3_000;

/** `10.0.0.1:3260`, `[fd00::1]:3260` */
export function portalText({ host, port }: PortalAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Each portal, by a TCP connection from this node that is closed again. A dead one is critical when no other one answers. */
export async function inspectPortals(context: InspectContext, deadline: Deadline): Promise<readonly Check[]> {
  const { portals } = context.config;
  const failures = await Promise.all(portals.map((portal) => probe(context, portal, deadline)));
  const alone = failures.every((failure) => failure !== null);
  return portals.map((portal, index) => {
    const name = `portal ${portalText(portal)}`;
    const failure = failures[index];
    if (failure === null || failure === undefined) return ok(name, 'accepts connections');
    const message = `nobody answers at ${portalText(portal)} (${failure})${listening(context)}`;
    const advice = {
      setting: index === 0 ? 'discovery_portal' : 'portals',
      cure: 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Portals; check the network between this node and the portal',
    };
    return alone ? critical(name, message, advice) : warning(name, message, advice);
  });
}

/** Why nobody answers there, or null. */
async function probe(context: InspectContext, portal: PortalAddress, deadline: Deadline): Promise<string | null> {
  const ms = Math.min(PORTAL_MS, Math.max(1, deadline.remaining()));
  try {
    await withDeadline(context.clock, ms, 'connecting to the portal', (own) => context.probePortal(portal, own), deadline.signal);
    return null;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function listening(context: InspectContext): string {
  const addresses = [...context.inventory.portals.entries.values()].flatMap((portal) =>
    portal.listen.map(({ ip, port }) => portalText({ host: ip, port })),
  );
  return addresses.length === 0 ? '' : `; TrueNAS listens on ${addresses.join(', ')}`;
}
