import * as z from 'zod';
import { CallError, type Access, type SimMethod } from '../api/contract.ts';
import { callerOf } from '../server/call-context.ts';
import type { Caller } from '../server/caller.ts';
import type { Accounts } from './accounts.ts';
import type { Credentials } from './credentials.ts';
import type { Sessions } from './sessions.ts';
import { userInfo } from './user-info.ts';

const anyLogin = (): Access => 'any-login';
const tokenArgs = z.tuple([z.int().nullable(), z.record(z.string(), z.unknown()), z.boolean(), z.boolean()]);

function credentialsOf(caller: Caller): Credentials {
  if (caller.credentials === null) throw new CallError('Not authenticated', 'ENOTAUTHENTICATED');
  return caller.credentials;
}

/** Methods about the session one is in: me, token, list, end (truenas-api 3). */
export function sessionMethods(sessions: Sessions, accounts: Accounts): readonly SimMethod[] {
  const end = (session: string): boolean => {
    const caller = sessions.caller(session);
    if (caller === undefined) return false;
    sessions.tokens.sessionEnded(session);
    caller.outlet.close(1000, '');
    return true;
  };
  return [
    {
      name: 'auth.me',
      access: anyLogin,
      params: () => [],
      run: (_args, context) => userInfo(credentialsOf(callerOf(context)), accounts),
    },
    {
      name: 'auth.logout',
      access: anyLogin,
      params: () => [],
      run: (_args, context) => {
        sessions.logout(callerOf(context));
        return true;
      },
    },
    {
      name: 'auth.generate_token',
      access: anyLogin,
      params: () => [
        { name: 'ttl', schema: z.int().nullable(), fallback: 600 },
        { name: 'attrs', schema: z.record(z.string(), z.unknown()), fallback: {} },
        { name: 'match_origin', schema: z.boolean(), fallback: true },
        { name: 'single_use', schema: z.boolean(), fallback: false },
      ],
      run: (args, context) => {
        const [ttl, attributes, matchOrigin, singleUse] = tokenArgs.parse(args);
        const caller = callerOf(context);
        const parent = credentialsOf(caller);
        if (parent.kind === 'TOKEN') {
          throw new CallError(
            'TokenSessionManagerCredentials: the current session type does not support creation of authentication tokens.',
            'EOPNOTSUPP',
          );
        }
        return sessions.tokens.create({
          ttlMs: (ttl ?? 600) * 1000,
          attributes,
          address: matchOrigin ? caller.origin.address : null,
          singleUse,
          parent,
          session: caller.session,
        });
      },
    },
    {
      name: 'auth.sessions',
      access: () => ({ roles: ['AUTH_SESSIONS_READ'] }),
      query: true,
      params: () => [],
      run: (_args, context) => sessions.rows(callerOf(context)),
    },
    {
      name: 'auth.terminate_session',
      access: () => ({ roles: ['AUTH_SESSIONS_WRITE'] }),
      params: () => [{ name: 'id', schema: z.string() }],
      run: (args) => end(z.string().parse(args[0])),
    },
    {
      name: 'auth.terminate_other_sessions',
      access: () => ({ roles: ['AUTH_SESSIONS_WRITE'] }),
      params: () => [],
      run: (_args, context) => {
        const own = callerOf(context);
        for (const caller of sessions.callers()) if (caller !== own) end(caller.session);
        return true;
      },
    },
  ];
}
