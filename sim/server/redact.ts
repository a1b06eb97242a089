const MASK = '********';

/** Names whose values are secrets wherever they stand in arguments or answers. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  'api_key',
  'password',
  'otp_token',
  'token',
  'raw_key',
  'rfc_str',
  'secret',
  'peersecret',
  'dhchap_key',
  'dhchap_ctrl_key',
  'passphrase',
  'keyhash',
  'client_key',
  'stored_key',
  'server_key',
  'salt',
  'reconnect_token',
]);

/** Positions of secrets given without a name. */
const SECRET_POSITIONS: Readonly<Record<string, readonly number[]>> = {
  'auth.login': [1, 2],
  'auth.login_with_api_key': [0],
  'auth.login_with_token': [0],
  'api_key.convert_raw_key': [0],
};

const SECRET_RESULTS: ReadonlySet<string> = new Set(['auth.generate_token', 'auth.generate_onetime_password', 'nvmet.host.generate_key']);

function mask(value: unknown, names: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map((item) => mask(item, names));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      names.has(name) && typeof item === 'string' && item !== '' ? MASK : mask(item, names),
    ]),
  );
}

/** A method's arguments without its secrets; keeps their shape, so that the log still fits the schemas. */
export function redactParams(method: string, params: readonly unknown[]): readonly unknown[] {
  const positions = SECRET_POSITIONS[method] ?? [];
  if (method === 'core.bulk') {
    const [inner, calls, ...rest] = params;
    if (typeof inner === 'string' && Array.isArray(calls)) {
      const masked = calls.map((call: unknown) => (Array.isArray(call) ? redactParams(inner, call) : call));
      return [inner, masked, ...rest];
    }
  }
  return params.map((param, index) => (positions.includes(index) && typeof param === 'string' ? MASK : mask(param, SECRET_NAMES)));
}

const WITH_KEY: ReadonlySet<string> = new Set([...SECRET_NAMES, 'key']);

/** A method's answer without its secrets. `key` is a secret only in answers about API keys. */
export function redactResult(method: string, result: unknown): unknown {
  if (SECRET_RESULTS.has(method)) return MASK;
  return mask(result, method.startsWith('api_key.') ? WITH_KEY : SECRET_NAMES);
}
