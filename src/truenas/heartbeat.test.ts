import { describe, expect, it } from 'vitest';
import { Heartbeat } from './heartbeat.ts';
import { FakeClock } from './testing/fake-clock.ts';

interface Peer {
  readonly clock: FakeClock;
  readonly heartbeat: Heartbeat;
  pings: number;
  bytes: number;
  waiting: boolean;
  answers: boolean;
  readonly dead: number[];
}

function peer(): Peer {
  const clock = new FakeClock();
  const made: Peer = {
    clock,
    pings: 0,
    bytes: 0,
    waiting: false,
    answers: true,
    dead: [],
    heartbeat: new Heartbeat({
      clock,
      ping: () => {
        made.pings += 1;
        if (made.answers) made.heartbeat.alive();
      },
      received: () => made.bytes,
      waiting: () => made.waiting,
      onDead: (silent) => made.dead.push(clock.monotonic(), silent),
    }),
  };
  made.heartbeat.start();
  return made;
}

describe('the heartbeat of a connection (F-041)', () => {
  it('pings an idle peer every twelve seconds, often enough for the nginx of 25.x', () => {
    const it = peer();
    it.clock.advance(120_000);
    expect(it.pings).toBeGreaterThanOrEqual(7);
    expect(it.pings).toBeLessThanOrEqual(10);
    expect(it.dead).toEqual([]);
  });

  it('notices a dead peer within seven seconds of a call', () => {
    const it = peer();
    it.clock.advance(11_000);
    it.answers = false;
    it.waiting = true;
    it.heartbeat.expect();
    it.clock.advance(60_000);
    expect(it.dead[0]).toBe(11_000 + 7_000);
    expect(it.pings).toBe(1);
  });

  it('notices a dead peer within sixteen seconds when nothing is asked', () => {
    const it = peer();
    it.answers = false;
    it.clock.advance(60_000);
    expect(it.dead).toEqual([16_000, 16_000]);
  });

  it('takes no short silence for death: a ping that is answered late is answered', () => {
    const it = peer();
    it.waiting = true;
    it.answers = false;
    it.heartbeat.expect();
    it.clock.advance(6_900);
    it.heartbeat.alive();
    it.clock.advance(3_900);
    expect([it.pings, it.dead]).toEqual([2, []]);
  });

  it('takes bytes of a long answer on a slow way for a sign of life', () => {
    const it = peer();
    it.waiting = true;
    it.answers = false;
    it.heartbeat.expect();
    for (let second = 0; second < 60; second++) {
      it.bytes += 1000;
      it.clock.advance(1_000);
    }
    expect(it.dead).toEqual([]);
  });

  it('outlives a suspend: the peer gets the chance to answer', () => {
    const it = peer();
    it.clock.jump(86_400_000);
    expect([it.pings, it.dead]).toEqual([1, []]);
  });

  it('pings no more when it is stopped', () => {
    const it = peer();
    it.heartbeat.stop();
    it.heartbeat.expect();
    it.clock.advance(60_000);
    expect([it.pings, it.clock.next]).toEqual([0, null]);
  });
});
