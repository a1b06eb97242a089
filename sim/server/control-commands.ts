import type { SimArray, SimRelease } from '../api/contract.ts';
import type { Accounts } from '../auth/accounts.ts';
import type { RateLimit } from '../auth/rate-limit.ts';
import { isRole } from '../auth/roles.ts';
import { credentialsEntry } from '../auth/credentials.ts';
import type { Sessions } from '../auth/sessions.ts';
import type { ControlRequest } from '../faults/control-protocol.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { SimClock } from './sim-clock.ts';

export interface ControlParts {
  readonly release: SimRelease;
  readonly accounts: Accounts;
  readonly array: SimArray;
  readonly clock: SimClock;
  readonly dispatcher: Dispatcher;
  readonly faults: FaultPlan;
  readonly rateLimit: RateLimit;
  readonly sessions: Sessions;
}

/** What the control socket can do. Errors: Error with a text for the operator. */
export function controlCommands(parts: ControlParts): (request: ControlRequest) => Promise<unknown> {
  const { release, accounts, array, clock, dispatcher, faults, rateLimit, sessions } = parts;
  return async (request) => {
    switch (request.command) {
      case 'ping':
        return 'pong';
      case 'add':
        return { id: faults.add(request.fault) };
      case 'list':
        return faults.list();
      case 'remove':
        if (!faults.remove(request.id)) throw new Error(`no fault ${request.id}`);
        return null;
      case 'clear':
        faults.clear();
        return null;
      case 'calls':
        return dispatcher.calls();
      case 'reset-calls':
        dispatcher.resetCalls();
        return null;
      case 'reset-rate-limit':
        rateLimit.clear();
        return null;
      case 'state':
        return Object.fromEntries(array.persistent.map((part) => [part.name, part.dump()]));
      case 'pool-status':
        array.controls.setPool(request.status, request.detail);
        return null;
      case 'session-add': {
        const { target, initiator, address } = request;
        if (isNqn(initiator)) {
          if (array.controls.connectHost(target, initiator, address)) return null;
          throw new Error(`${target} does not admit ${initiator}: it needs an enabled port, the host or any host, and a running service`);
        }
        if (array.controls.openSession({ target, initiator, address }) === null) {
          throw new Error(`${target} does not admit ${initiator}: it needs a LUN, a group, memory blocks and a running service`);
        }
        return null;
      }
      case 'session-remove': {
        const { target, initiator } = request;
        const ended = isNqn(initiator) ? array.controls.disconnectHost(target, initiator) : array.controls.closeSessions(initiator, target);
        if (ended === 0) throw new Error(`no session of ${initiator} on ${target}`);
        return null;
      }
      case 'dataset-lock':
        await array.controls.lockDataset(request.dataset, request.locked);
        return null;
      case 'zvol-busy':
        await array.controls.holdZvol(request.zvol, request.busy);
        return null;
      case 'reload-fails':
        array.controls.setReloadFails(request.fails);
        return null;
      case 'sessions':
        return sessions.callers().map((caller) => ({
          id: caller.session,
          origin: `${caller.origin.address}:${caller.origin.port}`,
          subscriptions: [...caller.subscriptions.values()],
          ...(caller.credentials === null ? {} : { credentials: credentialsEntry(caller.credentials, release) }),
        }));
      case 'revoke-key':
        if (!accounts.revokeKey(request.id, 'Revoked by the control socket')) throw new Error(`no API key ${request.id}`);
        return null;
      case 'create-key': {
        const unknown = request.roles.filter((role) => !isRole(role));
        if (unknown.length > 0) throw new Error(`unknown roles: ${unknown.join(', ')}`);
        await accounts.ensureUser(request.username, request.roles);
        const name = request.name ?? `${request.username} ${accounts.keys.length + 1}`;
        const { key, text } = await accounts.createKey(request.username, name);
        return { id: key.id, username: request.username, apiKey: text };
      }
      case 'clock-advance':
        clock.advance(request.ms);
        return { now: clock.now() };
    }
  };
}

/** Names of NVMe hosts; all others are iSCSI initiators. */
function isNqn(name: string): boolean {
  return name.startsWith('nqn.');
}
