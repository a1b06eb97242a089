import { describe, expect, it } from 'vitest';
import { countClosingLine, countStatus, countTap, countVitest, type Ended, judge } from './counts.ts';

function ended(part: Partial<Ended>): Ended {
  return { status: 0, output: '', report: null, ...part };
}

function report(part: object): string {
  return JSON.stringify({ numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [], ...part });
}

describe('judge', () => {
  it('passes a good run on as it is', () => {
    expect(judge(countVitest, ended({ report: report({ numPassedTests: 7 }) }))).toEqual({
      passed: 7,
      failed: 0,
      leftOut: 0,
      problem: null,
    });
  });

  it('counts a runner that ran nothing as failed, also with exit status 0', () => {
    expect(judge(countVitest, ended({ report: report({}) }))).toMatchObject({ failed: 1, problem: 'not one test ran (exit status 0)' });
    expect(judge(countTap, ended({ output: 'Result: NOTESTS' }))).toMatchObject({ failed: 1 });
  });

  it('counts a suite whose tests were all skipped as failed', () => {
    expect(judge(countVitest, ended({ report: report({ numPendingTests: 9 }) }))).toMatchObject({ passed: 0, failed: 1, leftOut: 9 });
  });

  it('counts a crash without a report, a cut report and a kill as failed', () => {
    expect(judge(countVitest, ended({ status: 134 }))).toMatchObject({ failed: 1, problem: 'the runner left no report (exit status 134)' });
    expect(judge(countVitest, ended({ status: 1, report: '{"numPassedTests": 3,' }))).toMatchObject({ passed: 0, failed: 1 });
    expect(judge(countVitest, ended({ status: null }))).toMatchObject({ problem: 'the runner left no report (killed)' });
  });

  it('does not believe tests that all passed when the runner itself failed (an unhandled rejection)', () => {
    expect(judge(countVitest, ended({ status: 1, report: report({ numPassedTests: 5 }) }))).toMatchObject({
      passed: 5,
      failed: 1,
      problem: 'no test failed, but the runner did (exit status 1)',
    });
  });
});

describe('countVitest', () => {
  it('counts failures, skips, and files that broke before their first test', () => {
    const text = report({
      numPassedTests: 2,
      numFailedTests: 1,
      numPendingTests: 1,
      numTodoTests: 2,
      testResults: [
        { status: 'failed', assertionResults: [{}] },
        { status: 'failed', assertionResults: [] },
        { status: 'passed', assertionResults: [] },
      ],
    });
    expect(countVitest(ended({ report: text }))).toEqual({ passed: 2, failed: 2, leftOut: 3 });
  });

  it('gives no counts for negative or missing numbers', () => {
    expect(countVitest(ended({ report: report({ numPassedTests: -1 }) }))).toBeNull();
    expect(countVitest(ended({ report: '[]' }))).toBeNull();
  });
});

describe('countTap', () => {
  it('counts top-level lines only, and skips apart', () => {
    const output = [
      'perl/t/a.t .. ',
      '    ok 1 - inside a subtest',
      '    not ok 2 - inside a subtest',
      'ok 1 - subtest',
      'not ok 2 - broken',
      'ok 3 # skip no root',
      'not ok 4 # TODO later',
      'ok',
      'okay 5',
      'All tests successful.',
    ].join('\n');
    expect(countTap(ended({ output }))).toEqual({ passed: 1, failed: 1, leftOut: 2 });
  });
});

describe('countClosingLine', () => {
  it('takes the last closing line', () => {
    expect(countClosingLine(ended({ output: '1 passed, 2 failed\nnoise\n13 passed, 0 failed\n' }))).toEqual({
      passed: 13,
      failed: 0,
      leftOut: 0,
    });
  });

  it('gives no counts when there is none, or it is only part of a line', () => {
    expect(countClosingLine(ended({ output: 'so far 3 passed, 0 failed' }))).toBeNull();
  });
});

describe('countStatus', () => {
  it('is right only for exit status 0', () => {
    expect(countStatus(ended({}))).toMatchObject({ passed: 1, failed: 0 });
    expect(countStatus(ended({ status: 2 }))).toMatchObject({ passed: 0, failed: 1 });
    expect(countStatus(ended({ status: null }))).toMatchObject({ passed: 0, failed: 1 });
  });
});
