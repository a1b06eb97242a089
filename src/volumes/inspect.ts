import { withDeadline } from '../core/deadline.ts';
import { asStorageError, type StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { formatBytes } from '../core/sizes.ts';
import type { StorageContext } from './context.ts';
import { findTarget } from './lookup.ts';

/** One thing looked at. `setting` is the storage.cfg setting to blame, where there is one. */
export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'critical';
  readonly message: string;
  readonly setting?: string;
  readonly cure?: string;
}

/** Which setting a failure to connect points at. */
const BLAME: Readonly<Record<string, string>> = {
  ARRAY_UNREACHABLE: 'api_host',
  ARRAY_PROTOCOL: 'api_port',
  TLS_UNTRUSTED: 'fingerprint',
  INSECURE_TRANSPORT: 'api_scheme',
  AUTH_FAILED: 'api_key',
  AUTH_RATE_LIMITED: 'api_key',
  SECRET_MISSING: 'api_key',
  NOT_AUTHORIZED: 'api_key',
  RELEASE_UNSUPPORTED: 'api_host',
};

/** ms for one portal to accept a connection */
const PORTAL_MS = 3_000;

/**
 * Looks at everything a storage needs: session, dataset, target, service, portals. Changes nothing on either side.
 * Used by `health` and, as errors, before a storage is added or changed.
 */
export async function inspect(context: StorageContext, deadline: Deadline): Promise<readonly Check[]> {
  const session = await inspectSession(context, deadline);
  if (session.state === 'critical') return [session];
  const results = await Promise.all([
    inspectDataset(context, deadline),
    inspectTarget(context, deadline),
    inspectService(context, deadline),
    ...context.config.portals.map((_portal, index) => inspectPortal(context, index, deadline)),
  ]);
  return [session, ...results.flat(), ...inspectLuns(context)];
}

async function inspectSession(context: StorageContext, deadline: Deadline): Promise<Check> {
  const { array, config } = context;
  const at = `${config.apiHost}:${config.apiPort}`;
  try {
    const { version } = await array.ready(deadline);
    await array.ping(deadline);
    return { name: 'connection', state: 'ok', message: `logged in to ${version} at ${at}` };
  } catch (thrown) {
    const error = asStorageError(thrown);
    // A caller's deadline says nothing; what the session waits for does.
    const why = error.code === 'DEADLINE' ? (array.connection().error ?? error) : error;
    return failed('connection', why, BLAME[why.code]);
  }
}

async function inspectDataset(context: StorageContext, deadline: Deadline): Promise<Check> {
  const { config, inventory } = context;
  const name = 'dataset';
  try {
    const info = await inventory.refreshDataset(config.dataset, deadline);
    if (info.type !== 'FILESYSTEM')
      return bad(name, `'${config.dataset}' is a zvol, not a dataset`, 'dataset', 'name a dataset (file system) that holds the volumes');
    if (info.readonly) return bad(name, `dataset '${config.dataset}' is read-only`, 'dataset', 'TrueNAS: Datasets > Edit > Read-only: Off');
    if (info.locked) return bad(name, `dataset '${config.dataset}' is locked`, 'dataset', 'TrueNAS: Datasets > Unlock');
    const total = info.used + info.available;
    const share = total === 0 ? 1 : info.used / total;
    const message = `${config.dataset}: ${formatBytes(info.available)} of ${formatBytes(total)} available`;
    return share > 0.9
      ? { name, state: 'warning', message, setting: 'dataset', cure: 'free space, or enlarge the pool or quota' }
      : { name, state: 'ok', message };
  } catch (thrown) {
    return failed(name, asStorageError(thrown), 'dataset');
  }
}

async function inspectTarget(context: StorageContext, deadline: Deadline): Promise<Check> {
  const { config, inventory } = context;
  try {
    await Promise.all([inventory.targets.reload(deadline), inventory.portals.reload(deadline)]);
    const target = findTarget(context);
    if (target.groups.length === 0) {
      return bad(
        'target',
        `target '${target.iqn}' has no portal group and admits nobody`,
        'target_iqn',
        'TrueNAS: Shares > Block (iSCSI) Shares Targets > Targets > Edit: add a group',
      );
    }
    const wantsChap = target.groups.every((group) => group.authmethod !== 'NONE');
    if (wantsChap && config.chapUser === null) {
      return bad(
        'target',
        `target '${target.iqn}' demands CHAP, and no chap_user is set`,
        'chap_user',
        'pvesm set STORAGE --chap_user USER --chap_password SECRET',
      );
    }
    return { name: 'target', state: 'ok', message: target.iqn };
  } catch (thrown) {
    return failed('target', asStorageError(thrown), 'target_iqn');
  }
}

async function inspectService(context: StorageContext, deadline: Deadline): Promise<Check> {
  try {
    if (await context.inventory.refreshService(deadline)) return { name: 'service', state: 'ok', message: 'the iSCSI service is running' };
    return bad(
      'service',
      `the iSCSI service on ${context.config.apiHost} is not running`,
      'transport_mode',
      'TrueNAS: System > Services > iSCSI: start it and enable Start Automatically',
    );
  } catch (thrown) {
    return failed('service', asStorageError(thrown), undefined);
  }
}

async function inspectPortal(context: StorageContext, index: number, deadline: Deadline): Promise<Check> {
  const portal = context.config.portals[index];
  const setting = index === 0 ? 'discovery_portal' : 'portals';
  if (portal === undefined) return bad('portal', 'no portal is set', setting, 'set discovery_portal to ADDRESS[:PORT]');
  const shown = portal.host.includes(':') ? `[${portal.host}]:${portal.port}` : `${portal.host}:${portal.port}`;
  try {
    await withinPortal(context, deadline, (own) => context.probePortal(portal, own));
    return { name: `portal ${shown}`, state: 'ok', message: 'accepts connections' };
  } catch (thrown) {
    const listen = [...context.inventory.portals.entries.values()].flatMap((one) =>
      one.listen.map((address) => `${address.ip}:${address.port}`),
    );
    const known = listen.length === 0 ? '' : `; TrueNAS listens on ${listen.join(', ')}`;
    return bad(
      `portal ${shown}`,
      `nobody answers at ${shown} (${thrown instanceof Error ? thrown.message : String(thrown)})${known}`,
      setting,
      'TrueNAS: Shares > Block (iSCSI) Shares Targets > Portals',
    );
  }
}

async function withinPortal(context: StorageContext, deadline: Deadline, work: (deadline: Deadline) => Promise<void>): Promise<void> {
  await withDeadline(
    context.clock,
    Math.min(PORTAL_MS, Math.max(1, deadline.remaining())),
    'connecting to the portal',
    work,
    deadline.signal,
  );
}

/** Two mappings at one LUN of the target: one of the volumes is served as the other (F-103). */
function inspectLuns(context: StorageContext): readonly Check[] {
  const seen = new Map<number, number>();
  let target: number;
  try {
    target = findTarget(context).id;
  } catch {
    return [];
  }
  const checks: Check[] = [];
  for (const mapping of context.inventory.mappings.entries.values()) {
    if (mapping.target !== target) continue;
    const other = seen.get(mapping.lun);
    if (other !== undefined) {
      checks.push(
        bad(
          'LUN',
          `LUN ${mapping.lun} is mapped twice (mappings ${other} and ${mapping.id})`,
          'target_iqn',
          'TrueNAS: Shares > Block (iSCSI) Shares Targets > Associated Targets: remove the wrong one',
        ),
      );
    }
    seen.set(mapping.lun, mapping.id);
  }
  return checks;
}

function bad(name: string, message: string, setting: string, cure: string): Check {
  return { name, state: 'critical', message, setting, cure };
}

function failed(name: string, error: StorageError, setting: string | undefined): Check {
  const cure = error.hints[0];
  return {
    name,
    state: 'critical',
    message: error.message,
    ...(setting === undefined ? {} : { setting }),
    ...(cure === undefined ? {} : { cure }),
  };
}
