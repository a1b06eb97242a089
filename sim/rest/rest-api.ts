import type { IncomingMessage } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { CallError, ERRNO, PythonError, ValidationErrors, type SimRelease } from '../api/contract.ts';
import type { Accounts } from '../auth/accounts.ts';
import type { Sessions } from '../auth/sessions.ts';
import { Caller, type Origin } from '../server/caller.ts';
import type { Dispatcher } from '../server/dispatcher.ts';
import type { MethodTable } from '../server/method-table.ts';
import { describeException, ScriptedError } from '../server/python-error.ts';
import { restLogin } from './rest-credentials.ts';
import { BadRequest, restBodyArgs, restQueryArgs, restTarget } from './rest-request.ts';

export interface RestParts {
  readonly release: SimRelease;
  readonly table: MethodTable;
  readonly dispatcher: Dispatcher;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  origin(request: IncomingMessage): Origin;
}

interface RestError {
  readonly status: 403 | 404 | 422 | 500;
  readonly body: Readonly<Record<string, unknown>> | null;
}

/** How REST words what a method threw (truenas-api 13). */
export function restError(error: unknown): RestError {
  if (error instanceof ScriptedError) {
    const { data, message } = error.wire;
    return { status: 422, body: { message: data?.reason ?? message, errno: data?.error ?? ERRNO.EFAULT } };
  }
  if (error instanceof CallError) {
    if (error.errname === 'EACCES' && error.text === 'Not authorized') return { status: 403, body: null };
    return { status: 422, body: { message: error.text, errno: ERRNO[error.errname] } };
  }
  if (error instanceof ValidationErrors) {
    const body: Record<string, { message: string; errno: number }[]> = {};
    for (const [attribute, message, errno] of error.items) (body[attribute ?? 'null'] ??= []).push({ message, errno });
    return { status: 422, body };
  }
  if (error instanceof PythonError && error.className === 'MatchNotFound') return { status: 404, body: { message: '' } };
  const described = describeException(error);
  return { status: 500, body: { message: described.reason, traceback: `Traceback (most recent call last):\n${described.repr}\n` } };
}

function parseBody(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BadRequest(`json parse error: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** `/api/v2.0`: the same methods by path and verb. */
export function restRoutes(parts: RestParts): Hono<{ Bindings: { readonly incoming: IncomingMessage } }> {
  const app = new Hono<{ Bindings: { readonly incoming: IncomingMessage } }>();
  app.all('/*', async (context) => {
    const url = new URL(context.req.url);
    const path = url.pathname
      .slice('/api/v2.0/'.length)
      .split('/')
      .filter((part) => part !== '')
      .map((part) => decodeURIComponent(part));
    const target = restTarget(parts.table, context.req.method, path, parts.release);
    if (target === null) return context.text('404: Not Found', 404);
    if (target === 'verb') return context.text('405: Method Not Allowed', 405);

    const origin = parts.origin(context.env.incoming);
    const login = await restLogin(
      context.req.header('authorization'),
      url.searchParams.get('auth_token') ?? undefined,
      origin.address,
      parts.accounts,
      parts.sessions,
    );
    if (login.kind === 'refused') return context.text(login.text, login.status);
    const needsLogin = target.method.access(parts.release) !== 'no-auth';
    if (login.kind === 'none' && needsLogin) return context.text('401: Unauthorized', 401);

    let args: unknown[];
    try {
      const body = parseBody(await context.req.text());
      args =
        context.req.method === 'GET' && target.method.query === true && body === undefined
          ? restQueryArgs(target, url.searchParams)
          : restBodyArgs(target, body, parts.release);
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      return context.json({ message: error.message, errno: ERRNO.EINVAL }, 400);
    }

    const caller = new Caller('rest', origin, null, { notify: () => undefined, close: () => undefined });
    if (login.kind === 'in') caller.credentials = login.credentials;
    const outcome = await parts.dispatcher.call(caller, target.method.name, args, undefined);
    switch (outcome.kind) {
      case 'result':
        return context.body(JSON.stringify(outcome.result ?? null, null, 4), 200, { 'Content-Type': 'application/json' });
      case 'error': {
        const { status, body } = restError(outcome.error);
        return body === null ? context.body(null, status) : context.json(body, status);
      }
      case 'raw':
        return context.body(outcome.text, 200, { 'Content-Type': 'application/json' });
      case 'unknown-method':
        return context.text('404: Not Found', 404);
      case 'cut':
        context.env.incoming.socket.destroy();
        return RESPONSE_ALREADY_SENT;
      case 'silence':
        return RESPONSE_ALREADY_SENT;
    }
  });
  return app;
}
