import { faultModel, type Fault, type FaultInput } from './fault-model.ts';

export interface PlannedFault {
  readonly id: number;
  readonly rule: Fault;
  /** matching calls since it was added */
  readonly seen: number;
  /** how often it struck */
  readonly struck: number;
}

interface Entry {
  readonly id: number;
  readonly rule: Fault;
  seen: number;
  struck: number;
}

/** The faults in force; every call takes the ones that strike it. */
export class FaultPlan {
  readonly #entries = new Map<number, Entry>();
  readonly #onPoolFull: (full: boolean) => void;
  #nextId = 1;

  constructor(onPoolFull: (full: boolean) => void) {
    this.#onPoolFull = onPoolFull;
  }

  /** Adds a fault and answers its id. Errors: ZodError for an unusable one. */
  add(input: FaultInput): number {
    const rule = faultModel.parse(input);
    const id = this.#nextId++;
    this.#entries.set(id, { id, rule, seen: 0, struck: 0 });
    this.#pool();
    return id;
  }

  remove(id: number): boolean {
    const known = this.#entries.delete(id);
    this.#pool();
    return known;
  }

  clear(): void {
    this.#entries.clear();
    this.#pool();
  }

  list(): readonly PlannedFault[] {
    return [...this.#entries.values()].map((entry) => ({ ...entry }));
  }

  /** The faults that strike this call of `method`; counts it. `*` covers API methods, and HTTP and `connect` for `mute` only. */
  take(method: string, isApiCall = true): readonly Fault[] {
    const hits: Fault[] = [];
    for (const entry of this.#entries.values()) {
      const { rule } = entry;
      const matches = rule.method === method || (rule.method === '*' && (isApiCall || rule.fault === 'mute'));
      if (!matches) continue;
      entry.seen += 1;
      if (rule.nth !== undefined && entry.seen !== rule.nth) continue;
      if (rule.from !== undefined && entry.seen < rule.from) continue;
      if (rule.times !== undefined && entry.struck >= rule.times) continue;
      entry.struck += 1;
      hits.push(rule);
    }
    return hits;
  }

  /** A pool-full fault without a method or a count holds by itself, so that `available` shows it, too. */
  #pool(): void {
    const standing = [...this.#entries.values()].some(
      ({ rule }) => rule.fault === 'pool-full' && rule.method === '*' && (rule.nth ?? rule.from ?? rule.times) === undefined,
    );
    this.#onPoolFull(standing);
  }

  poolFullStands(): boolean {
    return [...this.#entries.values()].some(({ rule }) => rule.fault === 'pool-full' && rule.method === '*');
  }
}
