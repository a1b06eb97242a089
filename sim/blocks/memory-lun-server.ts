import type { IscsiSession, LunServer, ServedTarget } from './lun-server.ts';

/** A target service without a wire; sessions are opened by tests and by the simulator's control socket. */
export class MemoryLunServer implements LunServer {
  readonly firstLun = 0;
  private served: readonly ServedTarget[] = [];
  private open: readonly IscsiSession[] = [];

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.served = [];
    this.open = [];
    return Promise.resolve();
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
}
