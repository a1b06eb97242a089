import { randomUUID } from 'node:crypto';
import type { EventMessage, SimRelease } from '../api/contract.ts';
import type { Caller } from './caller.ts';

/** Collections whose rows carry no `fields` on 25.04 (truenas-api 6). */
const ID_ONLY_25_04 = /^(?:iscsi|nvmet)\..+\.query$/;

/** `collection_update` as it goes over the wire: `fields` only on added and changed, 25.04's CRUD events id only. */
export function wireEvent(event: EventMessage, release: SimRelease): Record<string, unknown> {
  const bare = event.msg === 'removed' || (release === '25.04' && ID_ONLY_25_04.test(event.collection));
  return {
    msg: event.msg,
    collection: event.collection,
    ...(event.id === undefined ? {} : { id: event.id }),
    ...(bare || event.fields === undefined ? {} : { fields: event.fields }),
    ...(event.extra === undefined ? {} : { extra: event.extra }),
  };
}

/** Who listens to what. */
export class EventHub {
  readonly #release: SimRelease;
  readonly #callers = new Set<Caller>();

  constructor(release: SimRelease) {
    this.#release = release;
  }

  subscribe(caller: Caller, collection: string, ident: string = randomUUID()): string {
    caller.subscriptions.set(ident, collection);
    this.#callers.add(caller);
    return ident;
  }

  unsubscribe(caller: Caller, ident: string): void {
    caller.subscriptions.delete(ident);
    if (caller.subscriptions.size === 0) this.#callers.delete(caller);
  }

  forget(caller: Caller): void {
    caller.subscriptions.clear();
    this.#callers.delete(caller);
  }

  /** Sends to all who subscribed to the collection or to `*`, once each, where `allowed` lets them. */
  emit(event: EventMessage, allowed: (caller: Caller) => boolean = () => true): void {
    const message = wireEvent(event, this.#release);
    for (const caller of this.#callers) {
      if (caller.credentials === null || !allowed(caller)) continue;
      const names = [...caller.subscriptions.values()];
      if (names.includes(event.collection) || names.includes('*')) caller.outlet.notify(message);
    }
  }
}
