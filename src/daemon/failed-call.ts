import * as z from 'zod';
import type { StorageError } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import type { MethodName } from '../protocol/methods.ts';
import { isChanging } from '../volumes/left-state.ts';

/** characters of an error's message in the log */
const LOGGED_MESSAGE = 300;

/** What a call is about; of a malformed call as much as can be read. */
const subjectOf = z
  .object({
    storage: z
      .object({ id: z.string().max(100).optional().catch(undefined) })
      .optional()
      .catch(undefined),
    volume: z.string().max(300).optional().catch(undefined),
    caller: z.string().max(256).optional().catch(undefined),
  })
  .catch({});

/**
 * The line of a failed call for syslog: what was tried on what, why not, its code, who asked. Changes are warnings; what is merely
 * asked, again and again, is information.
 */
export function logFailure(log: Log, method: MethodName, raw: unknown, error: StorageError, ms: number): void {
  const { storage, volume, caller } = subjectOf.parse(raw);
  const subject = [volume, storage?.id === undefined ? undefined : `on storage '${storage.id}'`].filter((part) => part !== undefined);
  const message = `${oneLine([method, ...subject].join(' '))} failed: ${oneLine(error.message)} (${error.code})`;
  const fields = { kind: error.kind, caller, state: error.state, ms };
  if (error.kind === 'bug') log.error(message, { ...fields, stack: innermostStack(error) });
  else if (isChanging(method)) log.warn(message, fields);
  else log.info(message, fields);
}

function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\s]+/gu, ' ').trim();
  return line.length > LOGGED_MESSAGE ? `${line.slice(0, LOGGED_MESSAGE)}...` : line;
}

/** Where a fault of this program came from: the first error of the chain. */
function innermostStack(error: Error): string | undefined {
  return error.cause instanceof Error ? innermostStack(error.cause) : error.stack;
}
