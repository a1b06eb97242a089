import type { IscsiSession } from '../lun-server.ts';
import type { Standing } from './lio-standing.ts';

/**
 * The kernel messages by which a connection is known again: configfs tells who is logged in to a target, but of each initiator one
 * session only, and of guests no address. `t` adds the thread, since two logins may be at work at once.
 */
export const LOGIN_MESSAGES = [
  'Received iSCSI login request',
  'Located Storage Object',
  'Login successful on CID',
  'Incremented iSCSI Connection',
] as const;

interface Login {
  target?: string;
  initiator?: string;
}

/** What the kernel said of logins: by the initiator's end of the connection, `10.77.0.11:42178`. Later ones stand for earlier ones. */
export function parseLogins(messages: string): ReadonlyMap<string, Readonly<Login>> {
  const logins = new Map<string, Login>();
  const received = new Map<string, Login>();
  const finished = new Map<string, string>();
  for (const line of messages.split('\n')) {
    const [, thread, text] = /^(?:\[[^\]]*\] )?(\[\d+\]|<intr>) (.*)$/.exec(line) ?? [];
    if (thread === undefined || text === undefined) continue;
    const from = /^Received iSCSI login request from (\S+) /.exec(text)?.[1];
    if (from !== undefined) {
      const login: Login = {};
      logins.set(from, login);
      received.set(thread, login);
    }
    const target = /^Located Storage Object: (\S+)/.exec(text)?.[1];
    const opened = received.get(thread);
    if (target !== undefined && opened !== undefined) opened.target = target;
    const done = /^iSCSI Login successful on CID: \d+ from (\S+) to /.exec(text)?.[1];
    if (done !== undefined) finished.set(thread, done);
    const initiator = /^Incremented iSCSI Connection count to \d+ from node: (\S+)/.exec(text)?.[1];
    const login = logins.get(finished.get(thread) ?? '');
    if (initiator !== undefined && login !== undefined) login.initiator = initiator;
  }
  return logins;
}

/** `ss -Htn state established`: the initiators' ends of connections whose other end is one of `portals`. */
export function parseConnected(text: string, portals: ReadonlySet<string>): string[] {
  return text.split('\n').flatMap((line) => {
    const [, , local, peer] = line.trim().split(/\s+/);
    return local !== undefined && peer !== undefined && portals.has(local) ? [peer] : [];
  });
}

/**
 * One session for each connection whose login the kernel told of; then one for each initiator that configfs names beyond these,
 * with the address that is left, or '' when there are several.
 */
export function sessionsOf(now: Standing, connected: readonly string[], logins: ReadonlyMap<string, Readonly<Login>>): IscsiSession[] {
  const sessions: IscsiSession[] = [];
  const unknown: string[] = [];
  for (const peer of connected) {
    const { target, initiator } = logins.get(peer) ?? {};
    if (target === undefined || initiator === undefined) unknown.push(addressOf(peer));
    else if (now.targets.has(target)) sessions.push({ target, initiator, address: addressOf(peer) });
  }
  const left = new Set(unknown);
  const [only = ''] = left.size === 1 ? left : [];
  for (const target of now.targets.values()) {
    const named = [...target.initiators].filter(([, one]) => one.loggedIn).map(([name]) => name);
    for (const initiator of new Set([...target.guests, ...named])) {
      const known = sessions.some((one) => one.target === target.iqn && one.initiator === initiator);
      if (!known) sessions.push({ target: target.iqn, initiator, address: only });
    }
  }
  return sessions;
}

function addressOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(':')).replaceAll(/[[\]]/g, '');
}
