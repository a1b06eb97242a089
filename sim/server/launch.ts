import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Clock } from '../../src/core/ports.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import type { ArrayOptions, EventMessage, Persistent, SimArray, SimMethod, SimRelease, SimServices } from '../api/contract.ts';
import { Accounts, splitKey } from '../auth/accounts.ts';
import { groupMethods } from '../auth/group-methods.ts';
import { keyMethods } from '../auth/key-methods.ts';
import { loginMethods } from '../auth/login-methods.ts';
import { privilegeMethods } from '../auth/privilege-methods.ts';
import { RateLimit } from '../auth/rate-limit.ts';
import { FULL_ADMIN } from '../auth/roles.ts';
import { sessionMethods } from '../auth/session-methods.ts';
import { Sessions } from '../auth/sessions.ts';
import { userMethods } from '../auth/user-methods.ts';
import type { ControlRequest } from '../faults/control-protocol.ts';
import { ControlServer } from '../faults/control-server.ts';
import type { FaultInput } from '../faults/fault-model.ts';
import { FaultPlan, type PlannedFault } from '../faults/fault-plan.ts';
import { createArray } from '../state/array.ts';
import { ArrayServer, type Address } from './array-server.ts';
import { maySubscribe } from './authorize.ts';
import { keptCertificate } from './certificate.ts';
import { controlCommands } from './control-commands.ts';
import { coreMethods } from './core-methods.ts';
import { Dispatcher } from './dispatcher.ts';
import { EventHub } from './event-hub.ts';
import { freePort } from './free-port.ts';
import { JobQueue, mayRead } from './job-queue.ts';
import { isLegacyMethod } from './legacy-methods.ts';
import { MethodTable } from './method-table.ts';
import { SimClock } from './sim-clock.ts';
import { StateStore } from './state-store.ts';
import { WireLog } from './wire-log.ts';

export interface SimulatorOptions {
  /** default 25.10 */
  readonly release?: SimRelease;
  /** default 127.0.0.1 and a free port */
  readonly listen?: Address;
  /** additional listener without TLS */
  readonly plainListen?: Address;
  readonly blocks?: 'memory' | 'tgt' | 'lab';
  /** with `lab` blocks: directory of the running VM */
  readonly vm?: string;
  /** iSCSI portal; port 0 = a free one. Default 127.0.0.1:0 */
  readonly portal?: Address;
  /** with `lab` blocks: further addresses in the VM that the first portal listens on; default none */
  readonly morePortals?: readonly string[];
  /** kept between runs; default: a temporary directory that `stop` removes */
  readonly state?: string;
  /** path of the control socket; default `<directory>/control.sock` */
  readonly control?: string;
  readonly wireLog?: string;
  /** default `tank`, 10 TiB (bytes) */
  readonly pool?: { readonly name: string; readonly size: number };
  /** default `<pool>/proxmox` and `proxmox`; null = an array that holds only a pool */
  readonly seed?: { readonly dataset: string; readonly target: string } | null;
  /** default `truenas_admin` */
  readonly username?: string;
  /** roles of that user; default FULL_ADMIN */
  readonly roles?: readonly string[];
  /** password of that user; default: none, password logins fail */
  readonly password?: string;
  /** `<id>-<64 letters and digits>`; default: a new one */
  readonly apiKey?: string;
  /** Valid keys that come over plain connections from loopback are revoked. Default true; TrueNAS itself: false */
  readonly revokeOnLoopback?: boolean;
  /** Failed logins and rate limit take 1 to 10 s as on TrueNAS. Default true */
  readonly delays?: boolean;
  readonly zvolDeviceLag?: number;
  /** default: the system's; is wrapped so that it can be advanced */
  readonly clock?: Clock;
  readonly log?: (message: string) => void;
  /** default: the models */
  readonly createArray?: (services: SimServices, options: ArrayOptions) => SimArray;
}

export interface Simulator {
  readonly release: SimRelease;
  /** `wss://HOST:PORT/api/current` */
  readonly url: string;
  /** `ws://HOST:PORT/api/current` of the plain listener, null without one */
  readonly plainUrl: string | null;
  readonly host: string;
  readonly port: number;
  readonly apiKey: string;
  readonly username: string;
  /** PEM */
  readonly ca: string;
  readonly caFile: string;
  /** SHA-256 of the certificate, `AA:BB:...` */
  readonly fingerprint: string;
  /** `HOST:PORT` */
  readonly portal: string;
  readonly targetIqn: string | null;
  readonly dataset: string | null;
  /** path of the control socket */
  readonly control: string;
  readonly clock: SimClock;
  readonly array: SimArray;
  readonly faults: {
    add(fault: FaultInput): number;
    remove(id: number): boolean;
    clear(): void;
    list(): readonly PlannedFault[];
  };
  /** API calls per method since the start or the last reset */
  calls(): Readonly<Record<string, number>>;
  resetCalls(): void;
  /** A further user's key (a user of that name gets these roles). */
  createKey(username: string, roles: readonly string[], name?: string): Promise<string>;
  /** As a command of the control socket. */
  command(request: ControlRequest): Promise<unknown>;
  /** Closes every connection and socket, ends target daemons, removes temporary files. */
  stop(): Promise<void>;
}

const TIB = 1024 ** 4;
const DEFAULT_ISCSI_PORT = 3260;
const BASENAME = 'iqn.2005-10.org.freenas.ctl';

/** The key that a restarted simulator shows again; it hands it out to whoever started it, so its owner may read it. */
class KeptKey implements Persistent {
  readonly name = 'api-key';
  text: string | null = null;
  dump(): unknown {
    return { key: this.text };
  }
  load(data: unknown): void {
    const kept = data as { readonly key?: unknown } | null;
    this.text = typeof kept?.key === 'string' ? kept.key : null;
  }
}

/**
 * Starts a simulated TrueNAS in this process; resolves when it answers. Errors: bad key text, unusable state, ports in use;
 * what was started by then is stopped again.
 */
export async function launchSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const undo: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    return await launch(options, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function launch(options: SimulatorOptions, undo: (() => Promise<void> | void)[], stop: () => Promise<void>): Promise<Simulator> {
  const release = options.release ?? '25.10';
  const clock = new SimClock(options.clock ?? systemClock);
  const log = options.log ?? ((): void => undefined);
  const directory = resolve(options.state ?? mkdtempSync(join(tmpdir(), 'pve-truenas-sim-')));
  if (options.state === undefined) undo.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(directory, 0o700);
  const stopping = new AbortController();

  const store = new StateStore(directory, clock);
  undo.push(() => store.flush());
  const certificate = keptCertificate(directory, clock.now());
  const events = new EventHub(release);
  const accounts = new Accounts(
    (part) => store.changed(part),
    () => clock.now(),
  );
  // The table is filled last; who listens to events is asked of it only when something happens.
  const late: { table: MethodTable | null; dispatcher: Dispatcher | null } = { table: null, dispatcher: null };
  const ready = <T>(part: T | null): T => {
    if (part === null) throw new Error('the simulator is still starting');
    return part;
  };
  const emit = (event: EventMessage): void =>
    events.emit(event, (caller) => maySubscribe(event.collection, caller.credentials, release, late.table?.get(event.collection)));
  const sessions = new Sessions(release, accounts, () => clock.now(), emit);
  const jobs = new JobQueue(
    release,
    () => clock.now(),
    (event, job) => events.emit(event, (caller) => caller.credentials !== null && mayRead(job, caller.credentials)),
  );

  const portalHost = options.portal?.host ?? '127.0.0.1';
  const wantedPort = options.portal?.port ?? 0;
  // in the VM of the lab nobody else listens; a free port of this machine says nothing of it
  const anyPort = options.blocks === 'lab' ? DEFAULT_ISCSI_PORT : 0;
  const portal = { host: portalHost, port: wantedPort || anyPort || (await freePort(portalHost)) };
  const pool = options.pool ?? { name: 'tank', size: 10 * TIB };
  const seed = options.seed === undefined ? { dataset: `${pool.name}/proxmox`, target: 'proxmox' } : options.seed;
  const blockDirectory = join(directory, 'blocks');
  mkdirSync(blockDirectory, { recursive: true, mode: 0o700 });
  const array = (options.createArray ?? createArray)(
    { release, emit, changed: (part) => store.changed(part), now: () => clock.now(), log },
    {
      blocks: options.blocks ?? 'memory',
      directory: blockDirectory,
      ...(options.vm === undefined ? {} : { vm: options.vm, keep: options.state !== undefined }),
      portal,
      morePortals: options.morePortals ?? [],
      pool,
      ...(seed === null ? {} : { seed }),
      ...(options.zvolDeviceLag === undefined ? {} : { zvolDeviceLag: options.zvolDeviceLag }),
    },
  );
  for (const part of array.persistent) if (!store.add(part)) store.changed(part.name);
  const faults = new FaultPlan((full) => array.setPoolFull(full));

  const username = options.username ?? 'truenas_admin';
  const apiKey = await firstUser(options, accounts, store, username);

  const wireLog = options.wireLog === undefined ? null : new WireLog(options.wireLog);
  if (wireLog !== null) undo.push(() => wireLog.close());
  const delays = options.delays ?? true;
  const methods: readonly SimMethod[] = [
    ...array.methods,
    ...loginMethods({ release, clock, accounts, sessions, delays, stop: stopping.signal, certificateHash: certificate.hash }),
    ...sessionMethods(sessions, accounts),
    ...keyMethods(accounts, emit),
    ...privilegeMethods(release, accounts),
    ...groupMethods(release, accounts),
    ...userMethods(release, accounts),
    ...coreMethods({
      release,
      events,
      jobs,
      table: () => ready(late.table),
      invoke: (caller, method, params) => ready(late.dispatcher).invoke(caller, method, params, undefined),
    }),
  ];
  const table = new MethodTable(release, methods);
  late.table = table;
  const rateLimit = new RateLimit(() => clock.monotonic());
  const dispatcher = new Dispatcher({
    release,
    clock,
    table,
    sessions,
    rateLimit,
    jobs,
    faults,
    wireLog,
    delays,
    stop: stopping.signal,
    setPoolFull: (full) => array.setPoolFull(full),
    isLegacyMethod: (name) => isLegacyMethod(release, name),
  });
  late.dispatcher = dispatcher;

  undo.push(() => array.stop());
  await array.start();
  const server = new ArrayServer({
    release,
    // An advance is to show expired sessions; it must not cut their connections as idle before that.
    clock: clock.base,
    certificate,
    dispatcher,
    sessions,
    events,
    table,
    faults,
    bootId: randomUUID(),
    http: { table, accounts, sessions, clock },
    loopbackIsSecure: options.revokeOnLoopback === false,
  });
  undo.push(() => server.stop());
  const bound = await server.listen(options.listen ?? { host: '127.0.0.1', port: 0 }, true);
  const plain = options.plainListen === undefined ? null : await server.listen(options.plainListen, false);

  const command = controlCommands({ release, accounts, array, clock, dispatcher, faults, rateLimit, sessions });
  const control = resolve(options.control ?? join(directory, 'control.sock'));
  const controlServer = new ControlServer(control, command);
  await controlServer.listen();
  undo.push(() => controlServer.stop());
  undo.push(() => stopping.abort(new Error('the simulator stops')));

  const caFile = join(directory, 'ca.pem');
  writeFileSync(caFile, certificate.certPem);
  return {
    release,
    url: `wss://${urlHost(bound)}/api/current`,
    plainUrl: plain === null ? null : `ws://${urlHost(plain)}/api/current`,
    host: bound.host,
    port: bound.port,
    apiKey,
    username,
    ca: certificate.certPem,
    caFile,
    fingerprint: certificate.fingerprint,
    portal: urlHost(portal),
    targetIqn: seed === null ? null : `${BASENAME}:${seed.target}`,
    dataset: seed === null ? null : seed.dataset,
    control,
    clock,
    array,
    faults: {
      add: (fault) => faults.add(fault),
      remove: (id) => faults.remove(id),
      clear: () => faults.clear(),
      list: () => faults.list(),
    },
    calls: () => dispatcher.calls(),
    resetCalls: () => dispatcher.resetCalls(),
    createKey: async (name, roles, keyName) => {
      await accounts.ensureUser(name, roles);
      return (await accounts.createKey(name, keyName ?? `${name} ${accounts.keys.length + 1}`)).text;
    },
    command,
    stop,
  };
}

/** The user and the key that the start announces. A kept key stays; a given one replaces it. */
async function firstUser(options: SimulatorOptions, accounts: Accounts, store: StateStore, username: string): Promise<string> {
  if (options.apiKey !== undefined && splitKey(options.apiKey) === null) {
    throw new Error('an API key reads <id>-<64 letters and digits>');
  }
  const known = store.add(accounts);
  const kept = new KeptKey();
  store.add(kept);
  if (!known || accounts.user(username) === undefined || options.roles !== undefined || options.password !== undefined) {
    await accounts.ensureUser(username, options.roles ?? [FULL_ADMIN], options.password);
  }
  const wanted = options.apiKey ?? kept.text;
  if (wanted !== null && (await accounts.checkKey(wanted, username)).kind === 'valid') return wanted;
  // A kept key that no longer works (revoked, other user) is followed by a new one; a given one is made to work.
  const made = await accounts.createKey(username, 'pve', null, options.apiKey);
  kept.text = made.text;
  store.changed(kept.name);
  return made.text;
}

function urlHost({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
