import { describe, expect, it } from 'vitest';
import type { FaultInput } from './fault-model.ts';
import { FaultPlan } from './fault-plan.ts';

function strikes(fault: FaultInput, calls: readonly string[]): boolean[] {
  const plan = new FaultPlan(() => undefined);
  plan.add(fault);
  return calls.map((name) => plan.take(name).length > 0);
}

describe('faults strike the calls they were set for', () => {
  it('at the n-th call only', () =>
    expect(strikes({ method: 'a', fault: 'cut-after', nth: 2 }, ['a', 'b', 'a', 'a'])).toEqual([false, false, true, false]));
  it('from the n-th on, so many times', () =>
    expect(strikes({ method: 'a', fault: 'mute', from: 2, times: 2 }, ['a', 'a', 'a', 'a'])).toEqual([false, true, true, false]));
  it('every method with *', () => expect(strikes({ fault: 'drop-answer' }, ['a', 'b'])).toEqual([true, true]));

  it('reaches HTTP and new connections with * only when mute', () => {
    const plan = new FaultPlan(() => undefined);
    plan.add({ fault: 'cut-before' });
    expect(plan.take('connect', false)).toEqual([]);
    plan.add({ fault: 'mute' });
    expect(plan.take('connect', false)).toHaveLength(1);
  });

  it('fills the pool as long as a pool-full fault stands', () => {
    const seen: boolean[] = [];
    const plan = new FaultPlan((full) => seen.push(full));
    const id = plan.add({ fault: 'pool-full' });
    plan.remove(id);
    expect(seen).toEqual([true, false]);
  });

  it.each([
    { fault: 'x' },
    { fault: 'latency' },
    { fault: 'mute', nth: 0 },
    { fault: 'mute', nth: 1, from: 1 },
    { fault: 'mute', extra: 1 },
  ])('refuses %j', (fault) => expect(() => new FaultPlan(() => undefined).add(fault as FaultInput)).toThrow());
});
