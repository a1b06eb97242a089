/** Limits on messages to the server, in characters (truenas-api 2). */
export const ANONYMOUS_LIMIT = 8192;
export const AUTHENTICATED_LIMIT = 65_536;
const EXTENDED_LIMIT = 2_097_152;
const EXTENDED_METHODS = ['filesystem.file_receive', 'failover.datastore.sql'];
const INVALID_TEXT = 1007;
const MESSAGE_TOO_BIG = 1009;

/** The connection is to be closed with this code. */
export class TooLong extends Error {
  readonly closeCode: number;
  constructor(authenticated: boolean) {
    super(authenticated ? 'Max message length is 64 kB' : 'Anonymous connection max message length is 8 kB');
    this.closeCode = authenticated ? MESSAGE_TOO_BIG : INVALID_TEXT;
  }
}

/** Parses a message. Errors: TooLong; Error with the text of the -32700 answer. */
export function checkSize(text: string, authenticated: boolean): unknown {
  if (!authenticated && text.length > ANONYMOUS_LIMIT) throw new TooLong(false);
  if (text.length > EXTENDED_LIMIT) throw new TooLong(true);
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    throw new Error(pythonJsonError(text));
  }
  if (Array.isArray(message)) throw new Error('Batch messages are not supported at this time');
  if (typeof message !== 'object' || message === null) throw new Error('Invalid Message Format');
  const method: unknown = (message as Readonly<Record<string, unknown>>)['method'];
  const extended = typeof method === 'string' && EXTENDED_METHODS.includes(method);
  if (text.length > AUTHENTICATED_LIMIT && !extended) throw new TooLong(true);
  return message;
}

/** Python's wording for text that is no JSON; the position is where a reader would start to look. */
function pythonJsonError(text: string): string {
  const start = text.search(/\S/);
  return `Expecting value: line 1 column ${Math.max(0, start) + 1} (char ${Math.max(0, start)})`;
}
