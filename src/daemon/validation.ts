import { withDeadline } from '../core/deadline.ts';
import { asStorageError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { hasError } from '../config/config-invalid.ts';
import { parseSection } from '../config/parse-section.ts';
import { settingNamed } from '../config/schema.ts';
import { readerOf, type SectionReader } from '../config/section-reader.ts';
import type { SecretName } from '../config/secrets.ts';
import type { ConfigFault } from '../config/storage-config.ts';
import type { StorageParam } from '../protocol/envelope.ts';
import type { StorageContext } from '../volumes/context.ts';
import type { Check } from '../volumes/inspect/check.ts';
import { inspect } from '../volumes/inspect/inspect.ts';
import { secretFaults } from './secret-faults.ts';
import type { Storages } from './storages.ts';

export interface Occasion {
  /**
   * `add`, `update`: before PVE writes storage.cfg. A fault of the array that no setting is to blame for forbids no change.
   * `probe`: `config check --online` wants to know all.
   */
  readonly action: 'add' | 'update' | 'probe';
  /** Secrets whose line in storage.cfg PVE is about to remove. */
  readonly removed: readonly SecretName[];
}

export interface Judgement {
  /** TrueNAS was asked; not where the settings are wrong already, nor for a disabled storage that is changed. */
  readonly asked: boolean;
  readonly faults: readonly ConfigFault[];
}

/**
 * Judges a section: settings, secrets and, when these are right, the array behind it. Changes nothing on either side, and
 * leaves the session that the storage has. Never fails because of the storage: what cannot be asked is a fault.
 */
export async function judgeStorage(
  storages: Pick<Storages, 'secret' | 'trying'>,
  param: StorageParam,
  { action, removed }: Occasion,
  clock: Clock,
  deadline: Deadline,
): Promise<Judgement> {
  const { config, faults } = parseSection(param.id, param.config);
  const own = [
    ...faults,
    ...(await secretFaults(param, {
      read: (name) => storages.secret(param.id, name, !removed.includes(name)),
      adding: action === 'add',
    })),
  ];
  if (config === null || hasError(own)) return { asked: false, faults: own };
  if (config.disabled && action !== 'probe') return { asked: false, faults: own };
  try {
    const limit = Math.min(config.apiTimeoutMs, Math.max(1, deadline.remaining()));
    const look = (context: StorageContext): Promise<readonly ConfigFault[]> =>
      withDeadline(clock, limit, 'checking the storage', (within) => arrayFaults(context, action, within), deadline.signal);
    return { asked: true, faults: [...own, ...(await storages.trying(param, look))] };
  } catch (thrown) {
    const error = asStorageError(thrown);
    const cure = forStorage(error.hints[0] ?? 'pve-truenas health', param.id);
    return { asked: false, faults: [...own, { setting: 'api_host', severity: 'error', message: error.message, cure }] };
  }
}

async function arrayFaults(context: StorageContext, action: Occasion['action'], deadline: Deadline): Promise<readonly ConfigFault[]> {
  const checks = await inspect(context, deadline);
  const section = readerOf(context.section, []);
  const named = (check: Check): string => {
    const blamed = check.setting ?? (check.name === 'connection' ? 'api_host' : undefined);
    const setting = blamed === undefined ? undefined : settingNamed(blamed);
    return setting === undefined ? check.name : section.nameOf(setting);
  };
  const faults = checks.flatMap((check): ConfigFault[] => {
    if (check.state === 'ok') return [];
    const blamed = check.setting !== undefined || check.name === 'connection';
    const blocks = check.state === 'critical' && (action === 'probe' || blamed);
    return [
      {
        setting: named(check),
        severity: blocks ? 'error' : 'warning',
        message: check.message,
        cure: forStorage(check.cure ?? 'pve-truenas health', context.config.id),
      },
    ];
  });
  return action === 'probe' ? [...faults, ...(await fullAdminHint(context, section, deadline))] : faults;
}

/** A key that may do everything works; one that may only do what is needed does less harm when it is lost. */
async function fullAdminHint(context: StorageContext, section: SectionReader, deadline: Deadline): Promise<readonly ConfigFault[]> {
  const setting = settingNamed('api_key');
  // the checks have told already when the roles could not be read
  const roles = await context.array.roles(deadline).catch((): readonly string[] => []);
  if (setting === undefined || !roles.includes('FULL_ADMIN')) return [];
  return [
    {
      setting: section.nameOf(setting),
      severity: 'hint',
      message: 'the key belongs to a full administrator',
      cure: 'TrueNAS: Credentials > Groups > Privileges: a privilege with only the roles that docs/features/configuration-validation.md lists',
    },
  ];
}

/** Advice with the name of the storage in it, as it can be pasted. */
function forStorage(text: string, id: string): string {
  return text.replace(/\bSTORAGE\b/g, id);
}
