import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { judge, type Verdict } from './counts.ts';
import { runCommand } from './run-command.ts';
import { LOGS, STAGES, type Stage, type Suite } from './suite-list.ts';

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
    ...(suite.killAfterMs === undefined ? {} : { killAfterMs: suite.killAfterMs }),
    ...(suite.live === undefined ? {} : { onOutput: (text: string) => void process.stdout.write(text) }),
    logFile,
  });
  const seconds = (performance.now() - start) / 1000;
  const report = suite.report === undefined ? null : await readFile(suite.report, 'utf8').catch(() => null);
  return { suite, seconds, output, logFile, ...judge(suite.count, { status, output, report }) };
}

const LANES: Readonly<Record<Stage, number>> = { computing: 3, alone: 1, waiting: 2 };

/** Runs all suites, stage after stage; `show` gets each outcome when it is there. */
export async function runSuites(all: readonly Suite[], show: (outcome: Outcome) => void): Promise<Totals> {
  const able = all.filter((suite) => suite.leftOut === undefined);
  const outcomes: Outcome[] = [];
  for (const stage of STAGES) {
    const queue = able.filter((suite) => suite.stage === stage);
    const lane = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const outcome = await runSuite(next);
        outcomes.push(outcome);
        show(outcome);
      }
    };
    await Promise.all(Array.from({ length: LANES[stage] }, lane));
  }
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
