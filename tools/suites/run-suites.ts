import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { judge, type Verdict } from './counts.ts';
import { runCommand } from './run-command.ts';
import { LOGS, type Suite } from './suite-list.ts';

export interface Outcome extends Verdict {
  readonly suite: Suite;
  readonly seconds: number;
  readonly output: string;
  readonly logFile: string;
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
}

/** Runs one suite. A report that an earlier run left behind is removed first, so that it cannot speak for this one. */
export async function runSuite(suite: Suite): Promise<Outcome> {
  const logFile = join(LOGS, `${suite.name.replaceAll(':', '-')}.log`);
  if (suite.report !== undefined) await rm(suite.report, { force: true });
  const start = performance.now();
  const { status, output } = await runCommand({
    argv: suite.argv,
    ...(suite.env === undefined ? {} : { env: suite.env }),
    limit: AbortSignal.timeout(suite.limit * 1000),
    logFile,
  });
  const seconds = (performance.now() - start) / 1000;
  const report = suite.report === undefined ? null : await readFile(suite.report, 'utf8').catch(() => null);
  return { suite, seconds, output, logFile, ...judge(suite.count, { status, output, report }) };
}

/** Runs all suites, `show` gets each outcome when it is there: first those that may run side by side, two at a time. */
export async function runSuites(all: readonly Suite[], show: (outcome: Outcome) => void): Promise<Totals> {
  const able = all.filter((suite) => suite.leftOut === undefined);
  const queue = able.filter((suite) => suite.besideOthers);
  const outcomes: Outcome[] = [];
  const take = async (suite: Suite): Promise<void> => {
    const outcome = await runSuite(suite);
    outcomes.push(outcome);
    show(outcome);
  };
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await take(next);
  };
  await Promise.all([lane(), lane()]);
  for (const suite of able.filter((entry) => !entry.besideOthers)) await take(suite);
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  return { passed: sum((outcome) => outcome.passed), failed: sum((outcome) => outcome.failed) };
}

/** One line about a suite: verdict, name, counts, time. */
export function outcomeLine(outcome: Outcome): string {
  const counts = [`${outcome.passed} passed`];
  if (outcome.failed > 0) counts.push(`${outcome.failed} failed`);
  if (outcome.leftOut > 0) counts.push(`${outcome.leftOut} left out`);
  const verdict = outcome.failed > 0 ? 'FAIL' : 'ok';
  return `  ${verdict.padEnd(5)}${outcome.suite.name.padEnd(24)}${counts.join(', ').padEnd(32)}${outcome.seconds.toFixed(1).padStart(7)} s`;
}
