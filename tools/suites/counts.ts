import * as z from 'zod';

/** What a suite's runner reported. `leftOut`: tests that were skipped. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly leftOut: number;
}

/** How a runner ended: its exit status (null: killed by a signal) and what it wrote. */
export interface Ended {
  readonly status: number | null;
  readonly output: string;
  /** Text of the report file, where the runner writes one; null when it is not there. */
  readonly report: string | null;
}

/** A suite's verdict. `problem` says why it counts as failed although its runner named no failing test. */
export interface Verdict extends Counts {
  readonly problem: string | null;
}

export type Count = (ended: Ended) => Counts | null;

/** A check that is right or wrong as a whole (a linter): counts one. */
export const countStatus: Count = ({ status }) => ({ passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, leftOut: 0 });

const vitestReport = z.object({
  numPassedTests: z.int().min(0),
  numFailedTests: z.int().min(0),
  numPendingTests: z.int().min(0),
  numTodoTests: z.int().min(0),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.unknown()) })),
});

/** Vitest's JSON report. A test file that failed before its first test (a broken import) counts one failure. */
export const countVitest: Count = ({ report }) => {
  const parsed = vitestReport.safeParse(parseJson(report));
  if (!parsed.success) return null;
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = parsed.data;
  const brokenFiles = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
  return { passed: numPassedTests, failed: numFailedTests + brokenFiles, leftOut: numPendingTests + numTodoTests };
};

/** TAP as `prove -v` prints it: top-level `ok` and `not ok` lines; indented ones belong to a subtest. */
export const countTap: Count = ({ output }) => {
  const counts = { passed: 0, failed: 0, leftOut: 0 };
  for (const line of output.split('\n')) {
    const match = /^(not )?ok\b(.*)$/.exec(line);
    if (match === null) continue;
    const [, not, rest = ''] = match;
    // `t/file.t .. ok`-like lines of prove do not begin with ok; a plain `ok` without a number is prove's own.
    if (!/^ \d+/.test(rest)) continue;
    if (/# *(skip|todo)\b/i.test(rest)) counts.leftOut += 1;
    else if (not === undefined) counts.passed += 1;
    else counts.failed += 1;
  }
  return counts;
};

/** A script that ends with `N passed, N failed`; the last such line holds. */
export const countClosingLine: Count = ({ output }) => {
  const lines = [...output.matchAll(/^(\d+) passed, (\d+) failed\s*$/gm)];
  const last = lines[lines.length - 1];
  return last === undefined ? null : { passed: Number(last[1]), failed: Number(last[2]), leftOut: 0 };
};

/**
 * Turns a runner's end into a verdict that cannot be green by accident: a runner that crashed, ran nothing, left no
 * report or failed without naming a test counts one failure.
 */
export function judge(count: Count, ended: Ended): Verdict {
  const counts = count(ended);
  if (counts === null) return { passed: 0, failed: 1, leftOut: 0, problem: `the runner left no report (${ending(ended)})` };
  if (counts.passed + counts.failed === 0) return { ...counts, failed: 1, problem: `not one test ran (${ending(ended)})` };
  if (ended.status !== 0 && counts.failed === 0) {
    return { ...counts, failed: 1, problem: `no test failed, but the runner did (${ending(ended)})` };
  }
  return { ...counts, problem: null };
}

function ending({ status }: Ended): string {
  return status === null ? 'killed' : `exit status ${status}`;
}

function parseJson(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
