import * as z from 'zod';
import {
  CallError,
  ERRNO,
  validationError,
  ValidationErrors,
  type Access,
  type CallContext,
  type EventMessage,
  type SimMethod,
} from '../api/contract.ts';
import type { Accounts, ApiKey } from './accounts.ts';
import { splitKey } from './accounts.ts';
import { deriveSecret } from './scram.ts';

const name = z.string().min(1).max(200);
const expires = z.strictObject({ $date: z.int() }).nullable();
const createModel = z.strictObject({ name, username: z.string().min(1), expires_at: expires.default(null) });
const updateModel = z.strictObject({ name: name.optional(), expires_at: expires.optional(), reset: z.boolean().optional() });
const id = z.int();

const write: Access = { roles: ['READONLY_ADMIN', 'API_KEY_WRITE'] };
const read: Access = { roles: ['API_KEY_READ'] };

/** What is told of the stored secret: one hash, and on 26.0 its SCRAM parts; masked for all but administrators. */
function hashes(key: ApiKey, context: CallContext): Record<string, unknown> {
  const shown = (text: string): string => (context.hasRole() ? text : '********');
  const { iterations, salt, storedKey, serverKey } = key.secret;
  return context.release === '26.0'
    ? { iterations, salt: shown(salt), stored_key: shown(storedKey), server_key: shown(serverKey) }
    : { keyhash: shown(`$pbkdf2-sha512$${iterations}$${salt}$${storedKey}`) };
}

/** api_key.*: keys of the simulated users (truenas-api 3). */
export function keyMethods(accounts: Accounts, emit: (event: EventMessage) => void): readonly SimMethod[] {
  const entry = (key: ApiKey, context: CallContext): Record<string, unknown> => {
    const user = accounts.user(key.username);
    return {
      id: key.id,
      name: key.name,
      username: key.username,
      user_identifier: user?.uid ?? 'LOCAL',
      ...hashes(key, context),
      created_at: { $date: Math.floor(key.createdAt / 1000) * 1000 },
      expires_at: key.expiresAt === null ? null : { $date: key.expiresAt },
      local: true,
      revoked: key.revoked,
      ...(context.release === '25.04' ? {} : { revoked_reason: key.revokedReason }),
    };
  };
  const existing = (wanted: number): ApiKey => {
    const key = accounts.key(wanted);
    if (key === undefined) throw new ValidationErrors([[null, `ApiKey ${wanted} does not exist`, ERRNO.ENOENT]]);
    return key;
  };
  // Without API_KEY_WRITE a user may only touch his own keys.
  const mine = (username: string, context: CallContext): void => {
    if (!context.hasRole('API_KEY_WRITE') && username !== context.username) throw new CallError('Not authorized', 'EACCES');
  };
  const unique = (attribute: string, wanted: string, own: number | null): void => {
    if (accounts.keys.some((key) => key.name === wanted && key.id !== own)) {
      throw validationError(attribute, 'name must be unique', 'EEXIST');
    }
  };
  const secrets = (made: { key: ApiKey; text: string; clientKey: string }, release: string): Record<string, unknown> => ({
    key: made.text,
    ...(release === '26.0'
      ? {
          client_key: made.clientKey,
        }
      : {}),
  });

  return [
    {
      name: 'api_key.query',
      access: () => read,
      query: true,
      params: () => [],
      run: (_args, context) => accounts.keys.map((key) => entry(key, context)),
    },
    {
      name: 'api_key.get_instance',
      access: () => read,
      params: () => [
        { name: 'id', schema: id },
        { name: 'options', schema: z.looseObject({}), fallback: {} },
      ],
      run: (args, context) => entry(existing(id.parse(args[0])), context),
    },
    {
      name: 'api_key.my_keys',
      access: () => ({ roles: ['READONLY_ADMIN', 'API_KEY_READ'] }),
      params: () => [],
      run: (_args, context) => accounts.keys.filter((key) => key.username === context.username).map((key) => entry(key, context)),
    },
    {
      name: 'api_key.create',
      access: () => write,
      params: () => [{ name: 'api_key_create', schema: createModel }],
      run: async (args, context) => {
        const data = createModel.parse(args[0]);
        mine(data.username, context);
        if (accounts.user(data.username) === undefined) {
          throw validationError('api_key_create.username', `${data.username}: User does not exist.`, 'ENOENT');
        }
        const owner = accounts.user(data.username);
        if (owner !== undefined && accounts.rolesOf(owner).size === 0) {
          throw validationError('api_key_create', 'User lacks privilege role membership.');
        }
        unique('api_key_create.name', data.name, null);
        const made = await accounts.createKey(data.username, data.name, data.expires_at?.$date ?? null);
        const row = entry(made.key, context);
        emit({ msg: 'added', collection: 'api_key.query', id: made.key.id, fields: row });
        return { ...row, ...secrets(made, context.release) };
      },
    },
    {
      name: 'api_key.update',
      access: () => write,
      params: () => [
        { name: 'id', schema: id },
        { name: 'api_key_update', schema: updateModel },
      ],
      run: async (args, context) => {
        const key = existing(id.parse(args[0]));
        const data = updateModel.parse(args[1]);
        mine(key.username, context);
        if (data.name !== undefined) {
          unique('api_key_update.name', data.name, key.id);
          key.name = data.name;
        }
        if (data.expires_at !== undefined) key.expiresAt = data.expires_at?.$date ?? null;
        accounts.touch();
        if (data.reset !== true) {
          emit({ msg: 'changed', collection: 'api_key.query', id: key.id, fields: entry(key, context) });
          return entry(key, context);
        }
        const made = await accounts.resetKey(key);
        emit({ msg: 'changed', collection: 'api_key.query', id: key.id, fields: entry(key, context) });
        return { ...entry(key, context), ...secrets(made, context.release) };
      },
    },
    {
      name: 'api_key.delete',
      access: () => write,
      params: () => [{ name: 'id', schema: id }],
      run: (args, context) => {
        const key = existing(id.parse(args[0]));
        mine(key.username, context);
        accounts.keys = accounts.keys.filter((other) => other !== key);
        accounts.touch();
        emit({ msg: 'removed', collection: 'api_key.query', id: key.id });
        return true;
      },
    },
    {
      name: 'api_key.convert_raw_key',
      releases: ['26.0'],
      access: () => read,
      params: () => [{ name: 'raw_key', schema: z.string() }],
      run: async (args) => {
        const parts = splitKey(z.string().parse(args[0]));
        const key = parts === null ? undefined : accounts.key(parts.id);
        if (parts === null || key === undefined) throw validationError('raw_key', 'Invalid API key format');
        const derived = await deriveSecret(parts.material, key.secret);
        return {
          api_key_id: key.id,
          iterations: derived.iterations,
          salt: derived.salt,
          client_key: derived.clientKey,
          stored_key: derived.storedKey,
          server_key: derived.serverKey,
        };
      },
    },
  ];
}
