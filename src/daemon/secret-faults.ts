import { FABRIC } from '../config/active-settings.ts';
import { apiKeyFault, chapSecretFault } from '../config/secret-rules.ts';
import type { Secret, SecretName } from '../config/secrets.ts';
import type { Setting } from '../config/setting.ts';
import type { ConfigFault } from '../config/storage-config.ts';
import { asStorageError } from '../core/errors.ts';
import type { StorageParam } from '../protocol/envelope.ts';

export interface SecretSource {
  /** Errors: those of readSecret. */
  readonly read: (name: SecretName) => Promise<Secret | null>;
  /** A storage is being added: what is no use is refused instead of warned about. */
  readonly adding: boolean;
}

/** Judges the secrets of a storage where they are: whether they are there, and their form. Nothing of them gets into a fault. */
export async function secretFaults(param: StorageParam, source: SecretSource): Promise<readonly ConfigFault[]> {
  return [...(await apiKeyFaults(param, source)), ...(await chapFaults(param, source))];
}

async function apiKeyFaults({ id }: StorageParam, { read }: SecretSource): Promise<readonly ConfigFault[]> {
  const cure = `pvesm set ${id} --api_key KEY; TrueNAS: Credentials > Users > API Keys`;
  try {
    const key = await read('api_key');
    if (key === null) return [{ setting: 'api_key', severity: 'error', message: `storage '${id}' has no API key`, cure }];
    const strange = apiKeyFault(key.value);
    return strange === null ? [] : [{ setting: 'api_key', severity: 'warning', message: strange, cure }];
  } catch (thrown) {
    return [unreadable('api_key', thrown, cure)];
  }
}

async function chapFaults({ id, config }: StorageParam, { read, adding }: SecretSource): Promise<readonly ConfigFault[]> {
  const setting = 'chap_password';
  const cure = `pvesm set ${id} --chap_password SECRET (12 to 16 characters, the same as on TrueNAS)`;
  const user = isSet(config, FABRIC.chapUser);
  try {
    const secret = await read('chap_password');
    if (secret === null) {
      return user
        ? [{ setting, severity: 'error', message: 'is missing, and chap_user needs it', cure: `${cure}, or --delete chap_user` }]
        : [];
    }
    if (!user) {
      const useless = 'is kept, and without chap_user it has no effect';
      const clear = `set chap_user, or pvesm set ${id} --delete chap_password`;
      return [{ setting, severity: adding ? 'error' : 'warning', message: useless, cure: clear }];
    }
    const wrong = chapSecretFault(secret.value, secret.padded);
    return wrong === null ? [] : [{ setting, severity: 'error', message: wrong, cure }];
  } catch (thrown) {
    return user ? [unreadable(setting, thrown, cure)] : [];
  }
}

function unreadable(setting: string, thrown: unknown, cure: string): ConfigFault {
  const error = asStorageError(thrown);
  return { setting, severity: 'error', message: error.message, cure: error.code === 'CONFIG_INVALID' ? (error.hints[0] ?? cure) : cure };
}

function isSet(config: Readonly<Record<string, unknown>>, setting: Setting): boolean {
  return [setting.name, ...setting.aliases].some((name) => config[name] !== undefined && config[name] !== null && config[name] !== '');
}
