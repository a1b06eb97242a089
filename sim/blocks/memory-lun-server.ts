import { createServer, type Server } from 'node:net';
import type { IscsiSession, LunServer, ServedTarget } from './lun-server.ts';

/**
 * A target service without a wire; sessions are opened by tests and by the simulator's control socket. At the portal
 * connections are accepted and ended at once, so that a client that only looks whether somebody listens finds somebody.
 */
export class MemoryLunServer implements LunServer {
  readonly firstLun = 0;
  private readonly portal: { readonly host: string; readonly port: number } | null;
  private listener: Server | null = null;
  private served: readonly ServedTarget[] = [];
  private open: readonly IscsiSession[] = [];

  constructor(portal: { readonly host: string; readonly port: number } | null = null) {
    this.portal = portal;
  }

  start(): Promise<void> {
    const { portal } = this;
    if (portal === null || portal.port === 0 || this.listener !== null) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const listener = createServer((socket) => socket.destroy());
      listener.once('error', reject);
      listener.listen(portal.port, portal.host, () => {
        this.listener = listener;
        resolve();
      });
    });
  }

  stop(): Promise<void> {
    this.served = [];
    this.open = [];
    const { listener } = this;
    this.listener = null;
    return listener === null ? Promise.resolve() : new Promise((resolve) => listener.close(() => resolve()));
  }

  apply(targets: readonly ServedTarget[]): Promise<void> {
    this.served = targets;
    const names = new Set(targets.map((target) => target.iqn));
    this.open = this.open.filter((session) => names.has(session.target));
    return Promise.resolve();
  }

  sessions(): Promise<readonly IscsiSession[]> {
    return Promise.resolve(this.open);
  }

  /** Logs an initiator in, when the target is there and admits it. Returns its logout, or null when it was refused. */
  openSession(session: IscsiSession): (() => void) | null {
    const target = this.served.find((one) => one.iqn === session.target);
    if (target === undefined) return null;
    if (target.initiators !== 'ALL' && !target.initiators.includes(session.initiator)) return null;
    this.open = [...this.open, session];
    return () => {
      this.open = this.open.filter((one) => one !== session);
    };
  }

  /** Logs an initiator out of a target; how many sessions it had there. */
  closeSessions(initiator: string, target: string): number {
    const before = this.open.length;
    this.open = this.open.filter((session) => session.initiator !== initiator || session.target !== target);
    return before - this.open.length;
  }
}
