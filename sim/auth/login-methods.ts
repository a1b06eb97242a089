import * as z from 'zod';
import type { Clock } from '../../src/core/ports.ts';
import { CallError, PythonError, type Access, type SimMethod, type SimRelease } from '../api/contract.ts';
import { callerOf } from '../server/call-context.ts';
import type { Caller } from '../server/caller.ts';
import type { Accounts, KeyCheck } from './accounts.ts';
import type { Credentials } from './credentials.ts';
import { parseClientFirst, ScramExchange } from './scram.ts';
import type { Sessions } from './sessions.ts';
import { userInfo } from './user-info.ts';

export interface LoginParts {
  readonly release: SimRelease;
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly delays: boolean;
  readonly stop: AbortSignal;
  /** SHA-256 of the server's certificate: SCRAM's channel binding (tls-server-end-point). */
  readonly certificateHash: Buffer;
}

const noAuth = (): Access => 'no-auth';
const word = z.string();

function loginModel(release: SimRelease): z.ZodType {
  const options = z.strictObject({
    user_info: z.boolean().default(true),
    ...(release === '26.0' ? { reconnect_token: z.boolean().default(false) } : {}),
  });
  const login_options = options.prefault({});
  return z.discriminatedUnion('mechanism', [
    z.strictObject({ mechanism: z.literal('API_KEY_PLAIN'), username: word, api_key: word, login_options }),
    z.strictObject({ mechanism: z.literal('PASSWORD_PLAIN'), username: word, password: word, login_options }),
    z.strictObject({ mechanism: z.literal('TOKEN_PLAIN'), token: word, login_options }),
    z.strictObject({ mechanism: z.literal('OTP_TOKEN'), otp_token: word, login_options }),
    ...(release === '26.0'
      ? [
          z.strictObject({
            mechanism: z.literal('SCRAM'),
            scram_type: z.enum(['CLIENT_FIRST_MESSAGE', 'CLIENT_FINAL_MESSAGE']),
            rfc_str: word,
            login_options,
          }),
        ]
      : []),
  ]);
}

const loginData = z.object({
  mechanism: z.string(),
  username: word.default(''),
  api_key: word.default(''),
  password: word.default(''),
  token: word.default(''),
  scram_type: word.default(''),
  rfc_str: word.default(''),
  login_options: z.object({ user_info: z.boolean(), reconnect_token: z.boolean().optional() }).default({ user_info: true }),
});
type LoginData = z.infer<typeof loginData>;

type Answer = Readonly<Record<string, unknown>> & { readonly response_type: string };

/** How someone gets in: auth.login_ex and its older siblings (truenas-api 3). */
export class LoginService {
  readonly #parts: LoginParts;

  constructor(parts: LoginParts) {
    this.#parts = parts;
  }

  async login(caller: Caller, data: LoginData): Promise<Answer> {
    if (data.mechanism !== 'SCRAM') caller.scram = null;
    switch (data.mechanism) {
      case 'API_KEY_PLAIN':
        return this.#withKey(caller, await this.#parts.accounts.checkKey(data.api_key, data.username), data);
      case 'PASSWORD_PLAIN': {
        const user = await this.#parts.accounts.checkPassword(data.username, data.password);
        if (user === null) return this.#failed('AUTH_ERR');
        return this.#enter(caller, this.#parts.sessions.credentials('LOGIN_PASSWORD', user), data);
      }
      case 'TOKEN_PLAIN':
        return this.#withToken(caller, data);
      case 'SCRAM':
        return data.scram_type === 'CLIENT_FIRST_MESSAGE' ? this.#scramFirst(caller, data) : this.#scramFinal(caller, data);
      default:
        throw new CallError(`${data.mechanism}: no authentication in progress`, 'EINVAL');
    }
  }

  /** auth.login_with_api_key: the key alone names its owner. */
  async loginWithKey(caller: Caller, text: string): Promise<boolean> {
    const check = await this.#parts.accounts.checkKey(text, null);
    const answer = await this.#withKey(caller, check, loginData.parse({ mechanism: 'API_KEY_PLAIN' }));
    return answer.response_type === 'SUCCESS';
  }

  async #withKey(caller: Caller, check: KeyCheck, data: LoginData): Promise<Answer> {
    const { accounts, sessions } = this.#parts;
    if (check.kind !== 'valid') return this.#failed(check.kind === 'expired' ? 'EXPIRED' : 'AUTH_ERR');
    if (!caller.origin.secure) {
      // A valid key that came unencrypted is burnt; a wrong one is not (truenas-api 3.1).
      accounts.revokeKey(check.key.id, 'Attempt to use over an insecure transport');
      return this.#failed('EXPIRED');
    }
    return this.#enter(caller, sessions.credentials('API_KEY', check.user, check.key), data);
  }

  async #withToken(caller: Caller, data: LoginData): Promise<Answer> {
    const { sessions } = this.#parts;
    const token = sessions.tokens.use(data.token, caller.origin.address);
    if (token === undefined || Object.keys(token.attributes).length > 0) return this.#failed('AUTH_ERR');
    const credentials = sessions.credentials('TOKEN', token.parent.user, null, token.parent, token.text);
    if (token.singleUse) {
      sessions.tokens.destroy(token.text);
      sessions.keepWithoutToken(credentials);
    }
    return this.#enter(caller, credentials, data);
  }

  async #scramFirst(caller: Caller, data: LoginData): Promise<Answer> {
    const { accounts, clock, certificateHash } = this.#parts;
    const first = parseClientFirst(data.rfc_str);
    if (first === null) return this.#failed('AUTH_ERR');
    const key = accounts.key(first.keyId);
    const user = accounts.user(first.username);
    const secret = first.keyId === 0 ? user?.password : key?.secret;
    const unusable = first.keyId !== 0 && (key === undefined || key.revoked || key.username !== first.username);
    if (secret == null || unusable) return this.#failed('AUTH_ERR');
    if (key !== undefined && key.expiresAt !== null && key.expiresAt <= clock.now()) return this.#failed('EXPIRED');
    caller.scram = { exchange: new ScramExchange(first, secret, certificateHash), keyId: first.keyId };
    return {
      response_type: 'SCRAM_RESPONSE',
      scram_type: 'SERVER_FIRST_RESPONSE',
      rfc_str: caller.scram.exchange.serverFirst,
      user_info: null,
    };
  }

  async #scramFinal(caller: Caller, data: LoginData): Promise<Answer> {
    const { accounts, sessions } = this.#parts;
    const running = caller.scram;
    caller.scram = null;
    if (running === null) throw new CallError('SCRAM authentication is not in progress', 'EFAULT');
    const proof = running.exchange.finish(data.rfc_str);
    const user = accounts.user(running.exchange.client.username);
    if (proof === null || user === undefined) return this.#failed('AUTH_ERR');
    const key = running.keyId === 0 ? null : (accounts.key(running.keyId) ?? null);
    const credentials = sessions.credentials(key === null ? 'LOGIN_PASSWORD' : 'API_KEY', user, key);
    const entered = await this.#enter(caller, credentials, data);
    if (entered.response_type !== 'SUCCESS') return entered;
    return {
      response_type: 'SCRAM_RESPONSE',
      scram_type: 'SERVER_FINAL_RESPONSE',
      rfc_str: proof,
      user_info: entered['user_info'] ?? null,
    };
  }

  async #enter(caller: Caller, credentials: Credentials, data: LoginData): Promise<Answer> {
    const { release, sessions, accounts } = this.#parts;
    // A user without any API privilege: 26.0 says so, 25.x calls it a failed login.
    if (credentials.roles.size === 0) return this.#failed(release === '26.0' ? 'DENIED' : 'AUTH_ERR');
    sessions.login(caller, credentials);
    const answer = {
      response_type: 'SUCCESS',
      user_info: data.login_options.user_info ? userInfo(credentials, accounts) : null,
      authenticator: 'LEVEL_1',
    };
    if (release !== '26.0') return answer;
    return { ...answer, reconnect_token: data.login_options.reconnect_token === true ? this.#token(caller, credentials) : null };
  }

  #token(caller: Caller, credentials: Credentials): string {
    return this.#parts.sessions.tokens.create({
      ttlMs: 600_000,
      attributes: {},
      address: caller.origin.address,
      singleUse: true,
      parent: credentials,
      session: caller.session,
    });
  }

  /** Wrong credentials are a successful call with AUTH_ERR, a second or two later (truenas-api 3). */
  async #failed(response: 'AUTH_ERR' | 'EXPIRED' | 'DENIED'): Promise<Answer> {
    const { clock, delays, stop } = this.#parts;
    if (delays) await clock.sleep(1000 + Math.random() * 1000, stop);
    return { response_type: response };
  }
}

/** The methods that need no login. */
export function loginMethods(parts: LoginParts): readonly SimMethod[] {
  const service = new LoginService(parts);
  const login: SimMethod['run'] = (args, context) => service.login(callerOf(context), loginData.parse(args[0]));
  return [
    {
      name: 'auth.login_ex',
      access: noAuth,
      params: (release) => [{ name: 'login_data', schema: loginModel(release) }],
      run: login,
    },
    {
      name: 'auth.login_ex_continue',
      access: noAuth,
      params: () => [
        {
          name: 'login_data',
          schema: z.strictObject({ mechanism: z.literal('OTP_TOKEN'), otp_token: word, login_options: z.looseObject({}).optional() }),
        },
      ],
      run: () => {
        throw new CallError('OTP_TOKEN: no authentication in progress', 'EINVAL');
      },
    },
    {
      name: 'auth.login_with_api_key',
      access: noAuth,
      params: () => [{ name: 'api_key', schema: word }],
      run: (args, context) => service.loginWithKey(callerOf(context), word.parse(args[0])),
    },
    {
      name: 'auth.login',
      access: noAuth,
      params: () => [
        { name: 'username', schema: word },
        { name: 'password', schema: word },
        { name: 'otp_token', schema: word.nullable(), fallback: null },
      ],
      run: async ([username, password], context) => {
        const data = loginData.parse({ mechanism: 'PASSWORD_PLAIN', username, password });
        return (await service.login(callerOf(context), data)).response_type === 'SUCCESS';
      },
    },
    {
      name: 'auth.login_with_token',
      access: noAuth,
      params: () => [{ name: 'token', schema: word }],
      run: async ([token], context) => {
        const data = loginData.parse({ mechanism: 'TOKEN_PLAIN', token });
        return (await service.login(callerOf(context), data)).response_type === 'SUCCESS';
      },
    },
    {
      name: 'auth.mechanism_choices',
      access: noAuth,
      params: () => [],
      run: (_args, context) => {
        const credentials = callerOf(context).credentials;
        // 25.x stumbles over its own check before a login; clients know this text.
        if (credentials === null && parts.release !== '26.0') {
          throw new PythonError('AttributeError', "'NoneType' object has no attribute 'may_create_auth_token'");
        }
        const all = ['API_KEY_PLAIN', 'TOKEN_PLAIN', 'PASSWORD_PLAIN', ...(parts.release === '26.0' ? ['SCRAM'] : [])];
        return credentials?.kind === 'TOKEN' ? all.filter((name) => name !== 'TOKEN_PLAIN') : all;
      },
    },
  ];
}
