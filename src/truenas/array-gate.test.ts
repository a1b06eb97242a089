import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StorageError } from '../core/errors.ts';
import { ArrayGate, heldBack } from './array-gate.ts';
import { FakeClock } from './testing/fake-clock.ts';

const REFUSED = new StorageError('AUTH_RATE_LIMITED', 'no more');

/** Logs in with so many calls; false when the gate does not let it. */
function login(gate: ArrayGate, calls = 1, purpose: 'connect' | 'renew' = 'connect', error: StorageError | null = null): boolean {
  const ticket = gate.takeLogin(purpose);
  if (ticket === null) return false;
  for (let call = 0; call < calls; call++) ticket.spend();
  ticket.end(error);
  return true;
}

describe('the gate of an array (truenas-api 3.3, F-001)', () => {
  it('lets nine logins through at once, or five of two calls, and then waits for the oldest to be a minute old', () => {
    const clock = new FakeClock();
    const plain = new ArrayGate(clock);
    expect(Array.from({ length: 10 }, () => login(plain))).toEqual([...Array<boolean>(9).fill(true), false]);
    const scram = new ArrayGate(clock);
    expect(Array.from({ length: 6 }, () => login(scram, 2))).toEqual([...Array<boolean>(5).fill(true), false]);
    expect(scram.onLogins()).toEqual({
      until: clock.now() + 60_000,
      reason: "waiting so as not to use up the array's login allowance",
      code: 'AUTH_RATE_LIMITED',
    });
    clock.advance(60_000);
    expect(scram.onLogins()).toBeNull();
  });

  it('never makes more than ten calls in any minute, whatever is asked of it', () => {
    const step = fc.record({ wait: fc.integer({ min: 0, max: 30_000 }), calls: fc.integer({ min: 0, max: 2 }), renew: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const clock = new FakeClock();
        const gate = new ArrayGate(clock);
        const times: number[] = [];
        for (const { wait, calls, renew } of steps) {
          clock.advance(wait);
          const ticket = gate.takeLogin(renew ? 'renew' : 'connect');
          for (let call = 0; ticket !== null && call < calls; call++) {
            ticket.spend();
            times.push(clock.monotonic());
          }
          ticket?.end(null);
        }
        return times.every((from) => times.filter((at) => at >= from && at < from + 60_000).length <= 10);
      }),
    );
  });

  it('leaves a login for a lost session when renewals have taken theirs', () => {
    const clock = new FakeClock();
    const gate = new ArrayGate(clock);
    let renewals = 0;
    while (login(gate, 2, 'renew')) renewals += 1;
    expect(renewals).toBe(3);
    expect([login(gate, 2), login(gate, 2), login(gate, 2)]).toEqual([true, true, false]);
  });

  it('counts a login that is under way, and gives back what was not used of it', () => {
    const gate = new ArrayGate(new FakeClock());
    const tickets = [1, 2, 3, 4, 5].map(() => gate.takeLogin());
    expect(tickets.every((ticket) => ticket !== null)).toBe(true);
    expect(gate.takeLogin()).toBeNull();
    tickets[0]?.end(new StorageError('ARRAY_UNREACHABLE', 'no way'));
    expect(tickets[0]?.used).toBe(false);
    expect(gate.takeLogin()).not.toBeNull();
  });

  it('closes for everybody until the window of the array is over: a minute after it was asked, with jitter', () => {
    const clock = new FakeClock();
    const gate = new ArrayGate(clock, () => 0.5);
    const ticket = gate.takeLogin();
    ticket?.spend();
    clock.advance(9_000); // TrueNAS lets a refused caller wait for up to 10 s
    ticket?.end(REFUSED);
    expect(gate.takeLogin()).toBeNull();
    expect(gate.onLogins()).toMatchObject({
      until: clock.now() - 9_000 + 60_000 + 1_000 + 7_500,
      reason: "waiting for the array's login window",
    });
    expect(gate.onCalls()).toBeNull();
    clock.advance(59_500);
    expect(gate.onLogins()).toBeNull();
  });

  it('spreads further and further when it is refused again, and starts anew after a login', () => {
    const clock = new FakeClock();
    const gate = new ArrayGate(clock, () => 1);
    const waits = [1, 2, 3, 4].map(() => {
      login(gate, 1, 'connect', REFUSED);
      const wait = (gate.onLogins()?.until ?? 0) - clock.now();
      clock.advance(wait);
      return wait;
    });
    expect(waits).toEqual([76_000, 91_000, 121_000, 121_000]);
    login(gate);
    login(gate, 1, 'connect', REFUSED);
    expect((gate.onLogins()?.until ?? 0) - clock.now()).toBe(76_000);
  });

  it('does as Retry-After says', () => {
    const clock = new FakeClock();
    const gate = new ArrayGate(clock, () => 0);
    login(gate, 0, 'connect', new StorageError('RATE_LIMITED', 'HTTP 429', { facts: { retryAfterMs: 12_000 } }));
    expect((gate.onLogins()?.until ?? 0) - clock.now()).toBe(13_000);
  });

  it('closes for calls when a call was refused, and not for an error of another kind', () => {
    const clock = new FakeClock();
    const gate = new ArrayGate(clock, () => 0);
    gate.refusedCall(new StorageError('VOLUME_BUSY', 'busy'), clock.monotonic());
    expect(gate.onCalls()).toBeNull();
    gate.refusedCall(new StorageError('RATE_LIMITED', 'too many'), clock.monotonic());
    expect(gate.onCalls()).toMatchObject({ until: clock.now() + 61_000, code: 'RATE_LIMITED' });
    expect(gate.onLogins()).toBeNull();
  });

  it('tells a caller what is waited for and for how long yet', () => {
    const limit = { until: 41_000, reason: "waiting for the array's login window", code: 'AUTH_RATE_LIMITED' } as const;
    const error = heldBack(limit, 'not logged in to nas:443', 0);
    expect(error.message).toBe("not logged in to nas:443: waiting for the array's login window, 41 s left");
    expect(error).toMatchObject({ code: 'AUTH_RATE_LIMITED', facts: { secondsLeft: 41 } });
  });
});
