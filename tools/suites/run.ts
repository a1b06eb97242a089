/**
 * Runs the test suites and ends with one line `N passed, N failed`; exit status 0 only when something passed and nothing
 * failed. Arguments: names or groups of suites; none means all.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { signalAll } from './run-command.ts';
import { outcomeLine, type Outcome, runSuites } from './run-suites.ts';
import { choose, LOGS, REPORTS, suites } from './suite-list.ts';

function show(outcome: Outcome): void {
  console.log(outcomeLine(outcome));
  if (outcome.failed === 0) return;
  if (outcome.problem !== null) console.log(`        ${outcome.problem}`);
  console.log(`        ${outcome.suite.argv.join(' ')}   (log: ${outcome.logFile})`);
  if (outcome.suite.live === undefined) console.log(outcome.output.replace(/^/gm, '        | ').trimEnd());
}

async function main(names: readonly string[]): Promise<number> {
  const chosen = choose(suites(process.env['PVE_SRC'] ?? '', names.includes('lab')), names);
  await mkdir(LOGS, { recursive: true });
  await mkdir(REPORTS, { recursive: true });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      signalAll(signal);
      process.exitCode = 130;
      console.log(`stopped by ${signal}`);
    });
  }
  const totals = await runSuites(chosen, show);
  for (const suite of chosen) {
    if (suite.leftOut !== undefined) console.log(`  -    ${suite.name.padEnd(24)}left out: ${suite.leftOut}`);
  }
  const closing = `${totals.passed} passed, ${totals.failed} failed`;
  await writeFile(join(REPORTS, 'summary'), `${closing}\n`);
  console.log(`\n${closing}`);
  return totals.failed === 0 && totals.passed > 0 ? 0 : 1;
}

try {
  const status = await main(process.argv.slice(2));
  process.exitCode ??= status;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  console.log('\n0 passed, 1 failed');
  process.exitCode = 1;
}
