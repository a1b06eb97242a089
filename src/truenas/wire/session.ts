import * as z from 'zod';
import { type ApiRequest, read } from './request.ts';

/** Answers of auth.login_ex (truenas-api 3); wrong credentials are an answer, not an error. */
const loginAnswer = z.union([
  z.looseObject({
    response_type: z.literal('SUCCESS'),
    authenticator: z.string().optional(),
    user_info: z.looseObject({ pw_name: z.string() }).nullish(),
  }),
  z.looseObject({
    response_type: z.literal('SCRAM_RESPONSE'),
    scram_type: z.string(),
    rfc_str: z.string().max(4096),
    user_info: z.looseObject({ pw_name: z.string() }).nullish(),
  }),
  z.looseObject({ response_type: z.literal('REDIRECT'), urls: z.array(z.string()).catch([]) }),
  z.looseObject({ response_type: z.enum(['AUTH_ERR', 'EXPIRED', 'OTP_REQUIRED', 'DENIED']) }),
]);
export type LoginAnswer = z.output<typeof loginAnswer>;

/** Plain login with a key. Logging in twice is harmless, so it counts as a read; it is never repeated all the same. */
export function loginPlain(username: string, apiKey: string): ApiRequest<LoginAnswer> {
  const params = { mechanism: 'API_KEY_PLAIN', username, api_key: apiKey, login_options: { user_info: true } };
  return read('auth.login_ex', [params], 'log in', loginAnswer);
}

/** Plain login with a password. */
export function loginPassword(username: string, password: string): ApiRequest<LoginAnswer> {
  const params = { mechanism: 'PASSWORD_PLAIN', username, password, login_options: { user_info: true } };
  return read('auth.login_ex', [params], 'log in', loginAnswer);
}

/** One of the two steps of a SCRAM login (26.0 on). */
export function loginScram(type: 'CLIENT_FIRST_MESSAGE' | 'CLIENT_FINAL_MESSAGE', message: string): ApiRequest<LoginAnswer> {
  return read('auth.login_ex', [{ mechanism: 'SCRAM', scram_type: type, rfc_str: message }], 'log in', loginAnswer);
}

/** Login without knowing the key's owner. */
export function loginByKeyAlone(apiKey: string): ApiRequest<boolean> {
  return read('auth.login_with_api_key', [apiKey], 'log in', z.boolean());
}

/** Who is logged in. */
export function whoAmI(): ApiRequest<string> {
  const me = z.looseObject({ pw_name: z.string() }).transform((entry) => entry.pw_name);
  return read('auth.me', [], 'read who is logged in', me);
}

const roleSet = z.union([z.looseObject({ $set: z.array(z.string()) }).transform((set) => set.$set), z.array(z.string())]);

/** Roles of the logged-in user, as auth.me tells them (truenas-api 4); a Python set on the wire (truenas-api 2.1). */
export function rolesOfUser(): ApiRequest<readonly string[]> {
  const me = z.looseObject({ privilege: z.looseObject({ roles: roleSet }) }).transform((entry) => entry.privilege.roles);
  return read('auth.me', [], 'read the roles of the API key', me);
}

/** `TrueNAS-25.10.6`; every logged-in user may ask, nobody else: so it also proves that the session works (F-002, F-053). */
export function systemVersion(): ApiRequest<string> {
  return read('system.version', [], 'read the version of TrueNAS', z.string().min(1).max(200));
}

/** Asks for the events of one collection (truenas-api 6). */
export function subscribe(collection: string): ApiRequest<unknown> {
  return read('core.subscribe', [collection], `subscribe to ${collection}`, z.unknown());
}

/** From 25.10 on: job calls of this connection answer with the job's result instead of its id (truenas-api 5). */
export function answerJobsWithResults(): ApiRequest<unknown> {
  return read('core.set_options', [{ legacy_jobs: false }], 'set the options of the connection', z.unknown());
}

const job = z.looseObject({
  id: z.number().int(),
  state: z.enum(['WAITING', 'RUNNING', 'SUCCESS', 'FAILED', 'ABORTED']),
  result: z.unknown().optional(),
  error: z.string().nullish(),
  exc_info: z.looseObject({ type: z.string().nullish(), errno: z.number().int().nullish(), extra: z.unknown().optional() }).nullish(),
});
export type JobRow = z.output<typeof job>;

/** The job of this id; raw_result, since results of other users' jobs are redacted otherwise (truenas-api 5). */
export function jobQuery(id: number): ApiRequest<readonly JobRow[]> {
  return read('core.get_jobs', [[['id', '=', id]], { extra: { raw_result: true } }], `look at job ${id}`, z.array(job));
}

/** Whether a service runs; its name is unique. */
export function serviceQuery(service: string): ApiRequest<boolean> {
  const rows = z
    .array(z.looseObject({ service: z.string(), state: z.string() }))
    .length(1)
    .transform((all) => all[0]?.state === 'RUNNING');
  return read(
    'service.query',
    [[['service', '=', service]], { select: ['service', 'state'] }],
    `read the state of service ${service}`,
    rows,
    { roles: ['SERVICE_READ'] },
  );
}
