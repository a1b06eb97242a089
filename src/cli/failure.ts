import { ERROR_CATALOGUE, type ErrorCode } from '../core/error-catalogue.ts';
import { EXIT, type ExitCode } from './io.ts';

/** What is shown of a failure, on the screen or as JSON. */
export interface FailureFacts {
  readonly code: string;
  readonly kind: string;
  readonly message: string;
  readonly causes: readonly string[];
  readonly hints: readonly string[];
  readonly state?: string;
}

/** A command that could not do its work. */
export class CliFailure extends Error {
  readonly facts: FailureFacts;
  readonly exitCode: ExitCode;

  constructor(facts: FailureFacts) {
    super(facts.message);
    this.name = 'CliFailure';
    this.facts = facts;
    this.exitCode = facts.kind === 'invalid' || facts.kind === 'not-found' ? EXIT.unusable : EXIT.critical;
  }
}

/** A failure found here rather than by the daemon, with the catalogue's advice unless it is given. */
export function failure(
  code: ErrorCode,
  message: string,
  advice: { causes?: readonly string[]; hints?: readonly string[] } = {},
): CliFailure {
  const { kind, causes, hints } = ERROR_CATALOGUE[code];
  return new CliFailure({ code, kind, message, causes: advice.causes ?? causes, hints: advice.hints ?? hints });
}
