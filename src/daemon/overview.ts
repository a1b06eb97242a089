import { withDeadline } from '../core/deadline.ts';
import { asStorageError, StorageError } from '../core/errors.ts';
import type { OpenOperation } from '../core/journal-port.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { faultLine } from '../config/config-invalid.ts';
import { parseFileSection } from '../config/file-section.ts';
import type { StorageSection } from '../config/storage-cfg.ts';
import { withoutSecrets } from '../config/without-secrets.ts';
import { storageParam, type StorageParam } from '../protocol/envelope.ts';
import type { Result } from '../protocol/methods.ts';
import type { StorageContext } from '../volumes/context.ts';
import { type Check, critical, failed, ok, warning } from '../volumes/inspect/check.ts';
import { inspect } from '../volumes/inspect/inspect.ts';
import { portalText } from '../volumes/inspect/portals.ts';
import { preflight } from '../volumes/preflight/preflight.ts';
import type { PreflightRequest } from '../volumes/preflight/run.ts';
import { listVolumes } from '../volumes/read-volumes.ts';
import { reasonText, type StorageState } from '../volumes/storage-state.ts';
import type { StateWatch } from './state-watch.ts';

/** ms per storage, so that one dead array never hides the others */
const STATUS_MS = 2_000;
const LIST_MS = 10_000;
const HEALTH_MS = 10_000;

/** A hint is shown and worries nobody. */
const CHECK_STATE = { error: 'critical', warning: 'warning', hint: 'ok' } as const;

export interface OverviewOptions {
  readonly configured: () => Promise<readonly StorageSection[]>;
  readonly resolve: (param: StorageParam) => Promise<StorageContext>;
  readonly watch: StateWatch;
  /** Operations in the journal that are being settled. */
  readonly openOperations: () => readonly OpenOperation[];
  readonly version: string;
  readonly node: string;
  readonly clock: Clock;
}

type StatusRow = Result<'overview.status'>['storages'][number];
type ListFailure = NonNullable<Result<'overview.list'>['failed']>[number];
type HealthRow = Result<'overview.health'>['storages'][number];

/** What the command line shows: all storages of our type in this node's storage.cfg, all asked at once. */
export class Overview {
  readonly #options: OverviewOptions;

  constructor(options: OverviewOptions) {
    this.#options = options;
  }

  async status(id: string | undefined, deadline: Deadline): Promise<Result<'overview.status'>> {
    const sections = await this.#sections(id);
    return {
      storages: await Promise.all(sections.map((section) => this.#within(STATUS_MS, deadline, (own) => this.#statusOf(section, own)))),
    };
  }

  async list(id: string | undefined, vmid: number | undefined, deadline: Deadline): Promise<Result<'overview.list'>> {
    const sections = (await this.#sections(id)).filter((section) => this.#unused(section) === null);
    if (id !== undefined) return { volumes: (await Promise.all(sections.map((section) => this.#listOf(section, vmid, deadline)))).flat() };
    // One storage that cannot be asked hides no other; that it is missing is told (law 3).
    const failures: ListFailure[] = [];
    const lists = await Promise.all(
      sections.map((section) =>
        this.#within(LIST_MS, deadline, (own) => this.#listOf(section, vmid, own)).catch((thrown: unknown) => {
          const { code, message, causes, hints } = asStorageError(thrown);
          failures.push({ storage: section.id, code, message, causes: [...causes], hints: [...hints] });
          return [];
        }),
      ),
    );
    return { volumes: lists.flat(), ...(failures.length === 0 ? {} : { failed: failures }) };
  }

  async #listOf(section: StorageSection, vmid: number | undefined, deadline: Deadline): Promise<Result<'overview.list'>['volumes']> {
    const context = await this.#options.resolve(paramOf(section));
    const listed = await listVolumes(context, vmid === undefined ? {} : { vmid }, deadline);
    return listed.map(({ volume, volname, ...row }) => ({
      storage: section.id,
      volid: `${section.id}:${volname}`,
      ...row,
      lun: volume.mapping?.lun ?? null,
      naa: volume.extent?.naa ?? null,
    }));
  }

  async health(id: string | undefined, deadline: Deadline): Promise<Result<'overview.health'>> {
    const sections = (await this.#sections(id)).filter((section) => this.#unused(section) === null);
    const storages = await Promise.all(sections.map((section) => this.#healthOf(section, deadline)));
    const open = this.#options.openOperations().length;
    const worst = worstOf([...storages.map((storage) => storage.state), open > 0 ? 'warning' : 'ok']);
    return { state: worst, daemon: { version: this.#options.version, open_operations: open }, storages };
  }

  /** The checks before an operation, alone, with everything read now. Errors: STORAGE_UNKNOWN. */
  async preflight(id: string, request: PreflightRequest, deadline: Deadline): Promise<Result<'overview.preflight'>> {
    const [section] = await this.#sections(id);
    if (section === undefined) throw new StorageError('STORAGE_UNKNOWN', `no storage '${id}' is configured on this node`);
    const checks = await this.#within(HEALTH_MS, deadline, async (own) => {
      try {
        return await preflight(await this.#options.resolve(paramOf(section)), request, own, true);
      } catch (thrown) {
        return [failed('storage', asStorageError(thrown))]; // its settings or its key are no use
      }
    });
    return {
      storage: section.id,
      operation: request.operation,
      ok: checks.every((check) => check.state !== 'critical'),
      checks: checks.map(({ name, state, message, cure }) => ({ name, state, message, ...(cure === undefined ? {} : { cure }) })),
    };
  }

  async #sections(id: string | undefined): Promise<readonly StorageSection[]> {
    const sections = await this.#options.configured();
    if (id === undefined) return sections;
    const found = sections.filter((section) => section.id === id);
    if (found.length === 0)
      throw new StorageError('STORAGE_UNKNOWN', `no storage '${id}' of type truenasplugin is configured on this node`);
    return found;
  }

  async #statusOf(section: StorageSection, deadline: Deadline): Promise<StatusRow> {
    const { config, faults } = parseFileSection(section);
    const row = {
      id: section.id,
      api: config === null ? '' : `${config.apiScheme}://${portalText({ host: config.apiHost, port: config.apiPort })}`,
      dataset: config?.dataset ?? '',
      total: 0,
      available: 0,
      used: 0,
      volumes: null,
      reasons: [],
    };
    const unused = this.#unused(section);
    if (unused !== null) return { ...row, state: 'unused', reason: unused };
    if (config === null) {
      const errors = faults.filter((fault) => fault.severity === 'error');
      return { ...row, state: 'down', reason: errors.map(faultLine).join('; ') };
    }
    try {
      const context = await this.#options.resolve(paramOf(section));
      const { total, available, used } = await this.#options.watch.status(context, deadline);
      const state = this.#options.watch.state(context);
      const { version } = context.array.connection();
      return {
        ...row,
        state: state.state,
        since: Math.floor(state.since / 1000),
        ...(state.reasons.length === 0 ? {} : { reason: reasonText(state) }),
        reasons: [...state.reasons],
        ...(version === null ? {} : { version }),
        total,
        available,
        used,
        volumes: state.state === 'down' ? null : await countVolumes(context, deadline),
      };
    } catch (error) {
      return { ...row, state: 'down', reason: asStorageError(error).message };
    }
  }

  async #healthOf(section: StorageSection, deadline: Deadline): Promise<HealthRow> {
    const { faults } = parseFileSection(section);
    const checks: Check[] = faults.map((fault) => ({
      name: `setting ${fault.setting}`,
      state: CHECK_STATE[fault.severity],
      message: fault.message,
      cure: fault.cure,
    }));
    if (!checks.some((check) => check.state === 'critical')) {
      try {
        checks.push(...(await this.#look(await this.#options.resolve(paramOf(section)), deadline)));
      } catch (thrown) {
        const error = asStorageError(thrown);
        const cure = error.hints[0];
        checks.push({ name: 'storage', state: 'critical', message: error.message, ...(cure === undefined ? {} : { cure }) });
      }
    }
    checks.push(...this.#journalChecks(section.id));
    return {
      id: section.id,
      state: worstOf(checks.map((check) => check.state)),
      checks: checks.map(({ name, state, message, cure }) => ({ name, state, message, ...(cure === undefined ? {} : { cure }) })),
    };
  }

  /** The state that the watch knows, and what a look at everything finds now. One that is down is not waited for again. */
  async #look(context: StorageContext, deadline: Deadline): Promise<readonly Check[]> {
    const { watch } = this.#options;
    await this.#within(STATUS_MS, deadline, (own) => watch.status(context, own));
    const ms = context.array.connection().state === 'ready' ? HEALTH_MS : STATUS_MS;
    const checks = await this.#within(ms, deadline, (own) => inspect(context, own));
    return [stateCheck(watch.state(context)), ...checks];
  }

  #journalChecks(storage: string): readonly Check[] {
    return this.#options
      .openOperations()
      .filter((operation) => operation.storage === storage)
      .map(({ kind, zvol, begun }) =>
        warning('journal', `the operation '${kind}' on ${zvol}, begun ${timeText(begun)}, is still being settled`, {
          cure: 'it is settled as soon as TrueNAS can be asked: journalctl -u pve-truenasd',
        }),
      );
  }

  /** Why PVE does not use the storage on this node; null when it does. */
  #unused(section: StorageSection): string | null {
    const { config } = parseFileSection(section);
    if (config?.disabled ?? isDisabled(section)) return 'disabled in storage.cfg';
    const nodes = config?.nodes ?? null;
    return nodes === null || nodes.includes(this.#options.node) ? null : `not for this node (nodes ${nodes.join(',')})`;
  }

  #within<T>(ms: number, deadline: Deadline, work: (own: Deadline) => Promise<T>): Promise<T> {
    return withDeadline(this.#options.clock, Math.min(ms, Math.max(1, deadline.remaining())), 'asking the array', work, deadline.signal);
  }
}

/** How many volumes there are; null when they could not be read in time. */
async function countVolumes(context: StorageContext, deadline: Deadline): Promise<number | null> {
  try {
    return (await listVolumes(context, {}, deadline)).length;
  } catch {
    return null;
  }
}

function stateCheck(state: StorageState): Check {
  const since = timeText(state.since);
  switch (state.state) {
    case 'healthy':
      return ok('state', `healthy since ${since}`);
    case 'degraded':
      return warning('state', `degraded since ${since}: ${reasonText(state)}`, {});
    case 'down':
      return critical('state', `down since ${since}: ${reasonText(state)}`, {});
  }
}

/** ms since the epoch as UTC, to the second. */
function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A section as the socket's calls carry it, without secrets. */
export function paramOf(section: StorageSection): StorageParam {
  return storageParam.parse({ id: section.id, config: withoutSecrets(section.properties) });
}

/** Whether the section is switched off. */
export function isDisabled(section: StorageSection): boolean {
  // of a boolean PVE takes 1 alone, or the name alone (file-section.ts names what it passes over)
  const value = section.properties['disable'];
  return value === null || value === '1';
}

function worstOf(states: readonly ('ok' | 'warning' | 'critical')[]): 'ok' | 'warning' | 'critical' {
  if (states.includes('critical')) return 'critical';
  return states.includes('warning') ? 'warning' : 'ok';
}
