import { randomUUID } from 'node:crypto';
import type { Credentials } from '../auth/credentials.ts';
import type { ScramExchange } from '../auth/scram.ts';

export interface Origin {
  readonly address: string;
  readonly port: number;
  /** TLS, or loopback where the switch says that loopback counts as secure (truenas-api 3.1). */
  readonly secure: boolean;
}

/** What a transport does for the server on its own accord. */
export interface Outlet {
  notify(event: Readonly<Record<string, unknown>>): void;
  close(code: number, reason: string): void;
}

/** One connection (JSON-RPC, DDP) or one REST request: who it is, what it has chosen. */
export class Caller {
  readonly session = randomUUID();
  readonly transport: 'rpc' | 'ddp' | 'rest';
  readonly origin: Origin;
  /** API version of the path, null for the newest. */
  readonly apiVersion: string | null;
  readonly outlet: Outlet;
  readonly abort = new AbortController();
  /** subscription id → collection */
  readonly subscriptions = new Map<string, string>();
  credentials: Credentials | null = null;
  scram: { readonly exchange: ScramExchange; readonly keyId: number } | null = null;
  /** Job methods answer the job's id instead of its result (truenas-api 5). */
  legacyJobs = true;
  privateMethods = false;
  pyExceptions = false;

  constructor(transport: Caller['transport'], origin: Origin, apiVersion: string | null, outlet: Outlet) {
    this.transport = transport;
    this.origin = origin;
    this.apiVersion = apiVersion;
    this.outlet = outlet;
  }
}
