import picocolors from 'picocolors';
import { callsBetween } from './array-client.ts';

export interface Step {
  readonly title: string;
  readonly result: string;
  readonly ms: number;
  readonly state: 'right' | 'wrong' | 'left out';
  /** API calls that the array counted meanwhile; null where it was not asked. */
  readonly calls: readonly [string, number][] | null;
}

type CallCounts = Readonly<Record<string, number>>;

/** Prints each step when it is done, and all of them in short at the end. Colours only on a terminal. */
export class Report {
  private readonly steps: Step[] = [];
  private readonly out: (line: string) => void;
  private readonly colours: ReturnType<typeof picocolors.createColors>;
  private countCalls: (() => Promise<CallCounts>) | null = null;

  private readonly signal: AbortSignal;

  constructor(out: (line: string) => void, colour: boolean, signal: AbortSignal) {
    this.out = out;
    this.signal = signal;
    this.colours = picocolors.createColors(colour);
  }

  /** From now on each step also tells how many API calls it cost. */
  countBy(countCalls: () => Promise<CallCounts>): void {
    this.countCalls = countCalls;
  }

  title(text: string): void {
    this.out(`\n${this.colours.bold(text)}`);
  }

  /** Runs one step; `work` gives its value and a short text about the result. What it throws ends the demo. */
  async step<T>(title: string, work: () => Promise<{ value: T; result: string }>): Promise<T> {
    const before = await this.countCalls?.();
    const start = performance.now();
    try {
      const { value, result } = await work();
      const ms = performance.now() - start;
      const after = await this.countCalls?.();
      const calls = before === undefined || after === undefined ? null : callsBetween(before, after);
      this.add({ title, result, ms, state: 'right', calls });
      return value;
    } catch (error) {
      // Interrupted is not wrong.
      if (this.signal.aborted) throw error;
      const result = error instanceof Error ? error.message : String(error);
      this.add({ title, result, ms: performance.now() - start, state: 'wrong', calls: null });
      throw error;
    }
  }

  leaveOut(title: string, why: string): void {
    this.add({ title, result: why, ms: 0, state: 'left out', calls: null });
  }

  private add(step: Step): void {
    this.steps.push(step);
    const { green, red, yellow, dim } = this.colours;
    const time = step.state === 'left out' ? ''.padStart(9) : `${Math.round(step.ms)} ms`.padStart(9);
    const mark = { right: green('ok   '), wrong: red('WRONG'), 'left out': yellow('-    ') }[step.state];
    const [first = '', ...rest] = step.result.split('\n');
    this.out(`  ${mark} ${dim(time)}  ${step.title.padEnd(34)} ${first}`);
    for (const line of rest) this.out(`${''.padStart(20)}${line}`);
  }

  /** Steps, time and the array's API calls for each step that made any. */
  summary(): void {
    const done = this.steps.filter((step) => step.state !== 'left out');
    const wrong = done.filter((step) => step.state === 'wrong').length;
    const leftOut = this.steps.length - done.length;
    const counted = this.steps.filter((step) => step.calls !== null);
    if (counted.length > 0) {
      this.title('API calls by step');
      for (const { title, calls } of counted) {
        const total = (calls ?? []).reduce((sum, [, n]) => sum + n, 0);
        const list = (calls ?? []).map(([method, n]) => (n === 1 ? method : `${n} ${method}`)).join(', ');
        this.out(`  ${title.padEnd(34)} ${String(total).padStart(3)}  ${this.colours.dim(list)}`.trimEnd());
      }
    }
    const seconds = this.steps.reduce((sum, step) => sum + step.ms, 0) / 1000;
    const parts = [
      `${done.length - wrong} steps right`,
      ...(wrong > 0 ? [`${wrong} wrong`] : []),
      ...(leftOut > 0 ? [`${leftOut} left out`] : []),
    ];
    this.out(`\n${parts.join(', ')}, ${seconds.toFixed(1)} s`);
  }
}
