import * as z from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from '../core/error-catalogue.ts';
import { EXIT, type ExitCode } from './io.ts';

/** What is shown of a failure, on the screen or as JSON. */
export const failureFacts = z.object({
  code: z.string(),
  kind: z.string(),
  message: z.string(),
  causes: z.array(z.string()).readonly().describe('likely reasons, most likely first'),
  hints: z.array(z.string()).readonly().describe('what to check'),
  state: z.string().optional().describe('what was left behind'),
});
export type FailureFacts = Readonly<z.infer<typeof failureFacts>>;

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
