import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { countClosingLine, countStatus, countVitest } from './counts.ts';
import { outcomeLine, type Outcome, runSuite, runSuites } from './run-suites.ts';
import { choose, LOGS, type Suite, suites } from './suite-list.ts';

function script(name: string, code: string, part: Partial<Suite> = {}): Suite {
  return {
    name: `test-of-suites-${name}`,
    group: 'x',
    argv: ['sh', '-c', code],
    count: countStatus,
    limit: 60,
    stage: 'alone',
    ...part,
  };
}

describe('suites', () => {
  let folder = '';
  beforeEach(async () => {
    await mkdir(LOGS, { recursive: true });
    folder = await mkdtemp(join(tmpdir(), 'suites-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('adds up what all suites report, and leaves out those that cannot run', async () => {
    const shown: Outcome[] = [];
    const totals = await runSuites(
      [
        script('good', 'true', { stage: 'computing' }),
        script('bad', 'exit 4', { stage: 'computing' }),
        script('many', 'echo 10 passed, 2 failed; exit 1', { count: countClosingLine }),
        script('out', 'exit 1', { leftOut: 'not here' }),
      ],
      (outcome) => shown.push(outcome),
    );
    expect(totals).toEqual({ passed: 11, failed: 3 });
    expect(shown.map((outcome) => outcome.suite.name.slice(15)).sort()).toEqual(['bad', 'good', 'many']);
  });

  it('runs suites of one stage beside each other, but for those that want to be alone, and stage after stage', async () => {
    // Each of the two waits for the other's file, which it gets only when both run.
    const meet = (mine: string, other: string): string =>
      `touch ${folder}/${mine}; for i in $(seq 600); do [ -e ${folder}/${other} ] && exit 0; sleep 0.05; done; exit 1`;
    const lonely = `[ ! -e ${folder}/a ] && mkdir ${folder}/lock && rmdir ${folder}/lock`;
    const totals = await runSuites(
      [
        script('a', meet('a', 'b'), { stage: 'waiting' }),
        script('b', meet('b', 'a'), { stage: 'waiting' }),
        script('c', lonely),
        script('d', lonely),
      ],
      () => undefined,
    );
    expect(totals).toEqual({ passed: 4, failed: 0 });
  });

  it('counts a suite whose program is missing as failed', async () => {
    const outcome = await runSuite(
      script('absent', '', { argv: [join(folder, 'absent')], count: countVitest, report: join(folder, 'r.json') }),
    );
    expect(outcome).toMatchObject({ passed: 0, failed: 1, problem: 'the runner left no report (killed)' });
    expect(outcomeLine(outcome)).toMatch(/^ {2}FAIL test-of-suites-absent +0 passed, 1 failed/);
  });

  it('does not take the report of an earlier run for this one', async () => {
    const report = join(folder, 'report.json');
    const old = { numPassedTests: 99, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] };
    await writeFile(report, JSON.stringify(old));
    expect(await runSuite(script('stale', 'true', { count: countVitest, report }))).toMatchObject({ passed: 0, failed: 1 });
  });
});

describe('choose', () => {
  const all = suites('', false);
  it('takes all by default, a group, or one by name', () => {
    expect(choose(all, [])).toHaveLength(all.length);
    expect(choose(all, ['lint']).map((suite) => suite.name)).toContain('lint:arrows');
    expect(choose(all, ['perl-taint']).map((suite) => suite.name)).toEqual(['perl-taint']);
  });

  it('refuses a name that does not exist', () => {
    expect(() => choose(all, ['unti'])).toThrow(/no suite is called unti; there are: contract, lint,/);
  });

  it('leaves the tests in VMs to their own entry', () => {
    expect(choose(all, ['lab'])[0]?.leftOut).toContain('make test-lab');
    expect(choose(suites('', true), ['lab'])[0]?.leftOut).toBeUndefined();
  });

  it('leaves the suite with real PVE out unless its sources are named', () => {
    expect(choose(all, ['pve'])[0]?.leftOut).toContain('PVE_SRC');
    expect(choose(suites('/sources', false), ['pve'])[0]?.leftOut).toBeUndefined();
  });
});
