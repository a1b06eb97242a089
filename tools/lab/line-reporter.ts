import type { SerializedError } from 'vitest';
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';

/** One line a test as soon as it has ended, with its time; under a failed one what it said. */
export default class LineReporter implements Reporter {
  onTestCaseResult(test: TestCase): void {
    const { state, errors } = test.result();
    if (state === 'skipped' || state === 'pending') return;
    const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(1);
    print(
      `${state === 'passed' ? 'ok  ' : 'FAIL'} ${seconds.padStart(6)} s  ${shortName(test.module)}: ${test.fullName.replaceAll(' > ', ', ')}`,
    );
    printErrors(errors);
  }

  onTestSuiteResult(suite: TestSuite): void {
    broken(suite.module, suite.errors());
  }

  onTestModuleEnd(module: TestModule): void {
    broken(module, module.errors());
  }

  onTestRunEnd(_modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    if (errors.length > 0) print('FAIL outside of any test');
    printErrors(errors);
  }
}

/** Errors that no test has: a broken import, or a hook for a whole file. */
function broken(module: TestModule, errors: readonly SerializedError[]): void {
  if (errors.length > 0) print(`FAIL           ${shortName(module)}: before or after its tests`);
  printErrors(errors);
}

function printErrors(errors: readonly SerializedError[] | undefined): void {
  for (const { message, stack } of errors ?? []) {
    const place =
      stack === undefined
        ? []
        : stack
            .split('\n')
            .filter((line) => /^ +at .*\/(test|sim|src)\//.test(line))
            .slice(0, 4);
    print([message, ...place].join('\n').replace(/^/gm, '     | '));
  }
}

function shortName(module: TestModule): string {
  return module.relativeModuleId.replace(/^test\/lab\//, '').replace(/\.test\.ts$/, '');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
