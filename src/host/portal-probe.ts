import { connect } from 'node:net';
import type { PortalAddress } from '../core/host-port.ts';
import type { Deadline } from '../core/ports.ts';

/** Opens and closes a TCP connection to a portal. Rejects with the system's error, or the deadline's reason. */
export function probePortal(portal: PortalAddress, deadline: Deadline): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: portal.host, port: portal.port });
    const finish = (error: Error | null): void => {
      deadline.signal.removeEventListener('abort', onAbort);
      socket.destroy();
      if (error === null) resolve();
      else reject(error);
    };
    const onAbort = (): void => finish(deadline.signal.reason as Error);
    deadline.signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => finish(null));
    socket.once('error', finish);
  });
}
