import type { Release } from '../../src/core/array-port.ts';
import { type Budget, NAMES } from './budgets.ts';
import type { Calls, Measured } from './node-under-test.ts';

/** Share of a bound that must be used, or the bound would let something grow unseen. */
const TIGHT = 0.9;

export interface ArrayUnderTest {
  readonly release: Release;
  /** how many there are already */
  readonly volumes: number;
}

/** Where a measurement is not what its budget says, in words; empty: it is kept. */
export function violations(budget: Budget, measured: Measured, on: ArrayUnderTest): readonly string[] {
  return [
    ...differences(named(budget.calls, on.release), measured.calls),
    ...size('sent', budget.sent, measured.sent, on),
    ...size('received', budget.received + (budget.perVolume ?? 0) * on.volumes, measured.received, on),
  ];
}

function size(what: string, allowed: number, found: number, { release }: ArrayUnderTest): readonly string[] {
  if (found > allowed) return [`${found} bytes ${what}, the budget is ${allowed}`];
  // Other releases say the same in fewer words here and there; on the one that the table is of, the bounds stay tight.
  if (release === '25.10' && found < allowed * TIGHT) return [`only ${found} bytes ${what}: the budget of ${allowed} can be lowered`];
  return [];
}

function named(calls: Calls, release: Release): Calls {
  return Object.fromEntries(Object.entries(calls).map(([method, count]) => [NAMES[release][method] ?? method, count]));
}

function differences(wanted: Calls, made: Calls): readonly string[] {
  return [...new Set([...Object.keys(wanted), ...Object.keys(made)])].sort().flatMap((method) => {
    const [allowed, found] = [wanted[method] ?? 0, made[method] ?? 0];
    return allowed === found ? [] : [`${method}: ${found} calls, the budget is ${allowed}`];
  });
}
