import { NotSentError, OutcomeUnknownError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import type { Connection } from './connection.ts';
import type { ApiRequest } from './wire/request.ts';

/**
 * One call on one connection, its answer held against the request's schema. An answer that is not understood leaves the outcome
 * of a change unknown and makes a read fail with ARRAY_PROTOCOL. Errors: as Connection.call.
 */
export async function callOn<T>(connection: Connection, request: ApiRequest<T>, deadline: Deadline): Promise<T> {
  return understood(request, await connection.call(request, deadline));
}

/** The answer in the shape that the request promises. Errors: ARRAY_PROTOCOL, OUTCOME_UNKNOWN. */
export function understood<T>(request: ApiRequest<T>, result: unknown): T {
  const parsed = request.answer.safeParse(result);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.map(String).join('.')}`;
  const message = `${request.what}: the answer of TrueNAS to ${request.method} is not understood${where}`;
  const details = { cause: parsed.error, facts: { method: request.method } };
  if (request.effect === 'change') throw new OutcomeUnknownError('OUTCOME_UNKNOWN', message, details);
  throw new NotSentError('ARRAY_PROTOCOL', message, details);
}
