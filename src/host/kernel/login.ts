import { asStorageError, StorageError } from '../../core/errors.ts';
import type { LunSpec, PortalAddress } from '../../core/host-port.ts';
import { withDeadline } from '../../core/deadline.ts';
import { KeyedLock } from '../../core/keyed-lock.ts';
import type { Deadline } from '../../core/ports.ts';
import { portalText } from '../addresses.ts';
import { lastLine } from '../commands.ts';
import { waitFor, within } from '../waiting.ts';
import type { HostContext } from '../host-context.ts';
import { dropNodeRecord, ensureNodeRecord } from './node-records.ts';
import { readSessions, type Session, sessionTo } from './sessions.ts';

/** How long (ms) the portals that do not answer may keep those waiting that do: one dead path must not delay a disk. */
const GRACE_MS = 3000;
/** One login attempt, ms: open-iscsi itself tries for up to two minutes. */
const LOGIN_MS = 60_000;
/** After a failed login the portal is left alone for this long (ms) while another path works. */
const RETRY_AFTER_MS = 30_000;

/** How long (ms) sysfs may take to show a session that iscsiadm has made. */
const SESSION_SHOWS_MS = 10_000;

type Outcome = { readonly session: Session } | { readonly error: StorageError };

interface Missing {
  /** By address, not by name: records and sessions are kept under addresses (F-009). */
  readonly portal: PortalAddress;
  readonly addresses: readonly string[];
  /** A session is there and down: the kernel brings it back. */
  readonly recovering: boolean;
}

/** Logs this node in to the portals of a storage. Never logs out: sessions are shared by all volumes of a target (F-120). */
export class PortalLogin {
  readonly #context: HostContext;
  readonly #records = new KeyedLock();
  readonly #running = new Map<string, Promise<Outcome>>();
  readonly #failed = new Map<string, { readonly at: number; readonly error: StorageError }>();

  constructor(context: HostContext) {
    this.#context = context;
  }

  /**
   * Sessions to all configured portals that can be reached (F-110), at least one that is logged in. A portal that fails while another
   * works is warned about. Errors: LOGIN_FAILED with the reason of every portal.
   */
  async ensureSessions(spec: LunSpec, deadline: Deadline): Promise<readonly Session[]> {
    const sights = await Promise.all(spec.portals.map((portal) => this.#look(spec, portal, deadline)));
    const oneWorks = sights.some((sight) => 'session' in sight);
    const attempts = sights.map((sight) =>
      'addresses' in sight ? this.#bringUp(spec, sight, oneWorks, deadline) : Promise.resolve(sight),
    );
    const outcomes = await this.#gather(attempts, deadline);
    const sessions = new Map<number, Session>();
    const failures: StorageError[] = [];
    for (const outcome of outcomes) {
      if (outcome === undefined) continue;
      if ('session' in outcome) sessions.set(outcome.session.id, outcome.session);
      else failures.push(outcome.error);
    }
    if (sessions.size > 0) {
      if (sessions.size < spec.portals.length) {
        this.#context.log.warn('not every portal has a session', {
          storage: spec.storage,
          target: spec.iqn,
          portals: spec.portals.map(portalText),
          sessions: sessions.size,
          reasons: failures.map((error) => error.message),
        });
      }
      return [...sessions.values()];
    }
    deadline.signal.throwIfAborted();
    const [first] = failures;
    throw new StorageError('LOGIN_FAILED', `no session to target ${spec.iqn}: ${failures.map((error) => error.message).join('; ')}`, {
      ...(first === undefined ? {} : { causes: first.causes, hints: first.hints, cause: first }),
      facts: { target: spec.iqn, portals: spec.portals.map(portalText) },
    });
  }

  /** Waits for all; once one has a session the others get GRACE_MS more and are then left to finish behind us. */
  async #gather(attempts: readonly Promise<Outcome>[], deadline: Deadline): Promise<readonly (Outcome | undefined)[]> {
    const outcomes: (Outcome | undefined)[] = attempts.map(() => undefined);
    let first: () => void = () => undefined;
    const firstSession = new Promise<void>((resolve) => {
      first = resolve;
    });
    const all = Promise.all(
      attempts.map(async (attempt, index) => {
        const outcome = await attempt;
        outcomes[index] = outcome;
        if ('session' in outcome) first();
      }),
    );
    const enough = new AbortController();
    const grace = firstSession.then(() => this.#context.clock.sleep(GRACE_MS, enough.signal)).catch(() => undefined);
    try {
      await within(Promise.race([all, grace]), deadline);
    } finally {
      first();
      enough.abort(new Error('gathered'));
    }
    return outcomes;
  }

  /** What stands already for one portal. */
  async #look(spec: LunSpec, portal: PortalAddress, deadline: Deadline): Promise<Outcome | Missing> {
    try {
      const addresses = await this.#context.resolve(portal.host, deadline);
      const [address] = addresses;
      if (address === undefined) return { error: loginError(portal, 'its name has no address') };
      const found = sessionTo(await readSessions(this.#context.files), spec.iqn, addresses, portal.port);
      if (found?.state === 'LOGGED_IN') return { session: found };
      return { addresses, portal: { host: address, port: portal.port }, recovering: found !== undefined };
    } catch (thrown) {
      deadline.signal.throwIfAborted();
      if (thrown instanceof StorageError) return { error: thrown };
      return {
        error: loginError(portal, `its name cannot be resolved (${thrown instanceof Error ? thrown.message : String(thrown)})`, thrown),
      };
    }
  }

  /** A session for a portal that has none. One login at a time per target and portal, shared by all who want it. */
  async #bringUp(spec: LunSpec, missing: Missing, oneWorks: boolean, deadline: Deadline): Promise<Outcome> {
    const { portal, addresses } = missing;
    if (missing.recovering) {
      // The kernel reconnects by itself; a second login would only be refused with exit 15 (RP-16, F-114).
      const session = await this.#loggedIn(spec, portal, addresses, deadline);
      return session === undefined
        ? { error: loginError(portal, `its session to ${spec.iqn} is down and did not come back`) }
        : { session };
    }
    const key = `${spec.iqn} ${portalText(portal)}`;
    const failed = this.#failed.get(key);
    if (oneWorks && failed !== undefined && this.#context.clock.monotonic() - failed.at < RETRY_AFTER_MS) return { error: failed.error };
    return this.#running.get(key) ?? this.#start(key, spec, portal, addresses);
  }

  async #loggedIn(
    spec: LunSpec,
    portal: PortalAddress,
    addresses: readonly string[],
    deadline: Deadline,
    atMostMs = Number.POSITIVE_INFINITY,
  ): Promise<Session | undefined> {
    const { files } = this.#context;
    return waitFor({ ...this.#context, deadline, atMostMs }, async () => {
      const found = sessionTo(await readSessions(files), spec.iqn, addresses, portal.port);
      return found?.state === 'LOGGED_IN' ? found : undefined;
    });
  }

  /** The login outlives the deadline of the caller that began it: others may wait for the same one. */
  #start(key: string, spec: LunSpec, portal: PortalAddress, addresses: readonly string[]): Promise<Outcome> {
    const attempt = withDeadline(this.#context.clock, LOGIN_MS, `login to ${portalText(portal)}`, (deadline) =>
      this.#records.run(key, deadline.signal, () => this.#login(spec, portal, addresses, deadline)),
    )
      .then((session): Outcome => {
        this.#failed.delete(key);
        return { session };
      })
      .catch((thrown: unknown): Outcome => {
        const error = asStorageError(thrown);
        this.#failed.set(key, { at: this.#context.clock.monotonic(), error });
        return { error };
      })
      .finally(() => this.#running.delete(key));
    this.#running.set(key, attempt);
    return attempt;
  }

  async #login(spec: LunSpec, portal: PortalAddress, addresses: readonly string[], deadline: Deadline): Promise<Session> {
    const { commands } = this.#context;
    for (let attempt = 1; ; attempt += 1) {
      await ensureNodeRecord(this.#context, spec.iqn, portal, spec.chap, deadline);
      const answer = await commands.run(['iscsiadm', '-m', 'node', '-T', spec.iqn, '-p', portalText(portal), '--login'], {
        deadline,
        okExitCodes: 'any',
      });
      // 15: a session was there already (RP-16): somebody else was faster, which is what we wanted.
      if (answer.exitCode === 0 || answer.exitCode === 15) break;
      if (answer.exitCode === 21 && attempt === 1) {
        // The record vanished or is unreadable for iscsiadm (F-109): make it anew, once.
        await dropNodeRecord(this.#context, spec.iqn, portal);
        continue;
      }
      throw loginRefused(spec, portal, answer.exitCode, reasonIn(answer.stderr));
    }
    const session = await this.#loggedIn(spec, portal, addresses, deadline, SESSION_SHOWS_MS);
    if (session === undefined) throw loginError(portal, 'iscsiadm said it is logged in, but the kernel shows no such session');
    return session;
  }
}

function loginError(portal: PortalAddress, why: string, cause?: unknown): StorageError {
  return new StorageError('LOGIN_FAILED', `portal ${portalText(portal)}: ${why}`, cause === undefined ? {} : { cause });
}

/** iscsiadm ends with "Could not log into all portals" whatever it was; the line before has the reason. */
function reasonIn(stderr: string): string {
  return lastLine(/^iscsiadm: initiator reported error \(\d+ - (.+)\)$/m.exec(stderr)?.[1] ?? stderr);
}

/** iscsiadm's exit codes (iscsiadm(8), RP-16) as what the user can do about them. */
function loginRefused(spec: LunSpec, portal: PortalAddress, exitCode: number, said: string): StorageError {
  const at = `portal ${portalText(portal)}`;
  const facts = { target: spec.iqn, exitCode, said };
  if (exitCode === 24) {
    return new StorageError('LOGIN_FAILED', `${at} refused the login of this node to ${spec.iqn}`, {
      causes: ['the initiator name of this node is not allowed on the target', 'CHAP user or secret are wrong or missing'],
      hints: ['cat /etc/iscsi/initiatorname.iscsi', 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Initiators, Authorized Access'],
      facts,
    });
  }
  if (exitCode === 19 && spec.chap?.peer !== undefined) {
    // What open-iscsi says when it is the one that does not believe: the array let us in and could not prove itself.
    return new StorageError('LOGIN_FAILED', `${at}: ${spec.iqn} did not prove itself to this node (mutual CHAP)`, {
      causes: ['peer user or peer secret of the storage differ from those of the target', 'another machine answers at this address'],
      hints: ['TrueNAS: Shares > Block (iSCSI) Shares Targets > Authorized Access'],
      facts,
    });
  }
  if (exitCode === 20) {
    return new StorageError('LOGIN_FAILED', `${at}: the iSCSI daemon of this node does not answer`, {
      causes: ['iscsid is not running'],
      hints: ['systemctl status iscsid'],
      facts,
    });
  }
  return new StorageError(
    'LOGIN_FAILED',
    `${at}: login to ${spec.iqn} failed (iscsiadm exit code ${exitCode}${said === '' ? '' : `: ${said}`})`,
    {
      causes: ['nobody listens there', 'the network or a firewall is in between', 'the target has no such portal'],
      hints: [`ping ${portal.host}`, 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Portals', 'TrueNAS: System > Services > iSCSI'],
      facts,
    },
  );
}
