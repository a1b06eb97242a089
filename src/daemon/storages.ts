import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { asStorageError, StorageError } from '../core/errors.ts';
import type { HostPort } from '../core/host-port.ts';
import type { Journal } from '../core/journal-port.ts';
import { KeyedLock } from '../core/keyed-lock.ts';
import type { Meter } from '../core/metrics.ts';
import type { Clock, Log } from '../core/ports.ts';
import { configInvalid } from '../config/config-invalid.ts';
import { parseFileSection } from '../config/file-section.ts';
import { parseSection } from '../config/parse-section.ts';
import { readSecret, type Secret, type SecretName } from '../config/secrets.ts';
import type { ConfigFault, StorageConfig } from '../config/storage-config.ts';
import { parseStorageCfg, type StorageSection } from '../config/storage-cfg.ts';
import { probePortal } from '../host/portal-probe.ts';
import { Inventory } from '../inventory/inventory.ts';
import type { StorageParam } from '../protocol/envelope.ts';
import { createArray, type TrueNasArray } from '../truenas/array.ts';
import { ArrayGate } from '../truenas/array-gate.ts';
import { arrayKey, TUNING } from '../truenas/array-key.ts';
import { authority } from '../truenas/tls.ts';
import type { StorageContext } from '../volumes/context.ts';
import { LunAllocator } from '../volumes/lun-allocator.ts';
import type { LunRestFile } from './lun-rest-file.ts';

export const STORAGE_TYPE = 'truenasplugin';

/** ms for which a session is kept that only a check needed */
const KEPT_MS = 30_000;

export interface StoragesOptions {
  readonly storageCfg: string;
  readonly privDir: string;
  readonly node: string;
  readonly hosts: { readonly kernel: HostPort; readonly direct: HostPort };
  readonly journal: Journal;
  readonly lunRests: LunRestFile;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
}

/** One array with one credential: its session, its inventory and the LUN numbers promised on it. */
interface ArrayEntry {
  readonly key: string;
  readonly array: TrueNasArray;
  readonly inventory: Inventory;
  readonly luns: LunAllocator;
  readonly users: Set<string>;
}

/** The storages that were asked for and the arrays behind them: one session for all storages of one array and key (law 9, F-052). */
export class Storages {
  readonly #options: StoragesOptions;
  readonly #arrays = new Map<string, ArrayEntry>();
  readonly #gates = new Map<string, ArrayGate>();
  readonly #keyOfStorage = new Map<string, string>();
  /** What each storage was when it was last asked for. */
  readonly #known = new Map<string, StorageContext>();
  /** storage.cfg as it was read last. */
  #cfg: { readonly text: string; readonly sections: readonly StorageSection[] } = { text: '', sections: [] };
  readonly #fileErrors = new WeakMap<StorageSection, readonly ConfigFault[]>();
  readonly #locks = new KeyedLock();
  readonly #reservedNames = new Set<string>();

  constructor(options: StoragesOptions) {
    this.#options = options;
  }

  /** The context of a storage as the caller describes it. Errors: CONFIG_INVALID (all faults in one), SECRET_MISSING. */
  async resolve(param: StorageParam): Promise<StorageContext> {
    const { entry, context } = await this.#open(param);
    this.#use(param.id, entry);
    this.#tune(param.id, context.config, entry);
    this.#known.set(param.id, context);
    return context;
  }

  /**
   * Runs `work` on a storage as the caller describes it without taking that description over: the storage's own session and
   * what runs on it stay. A session that only this needed is kept for a moment: PVE calls next, or the user tries again, and
   * each login counts (truenas-api 3.3). Errors: those of resolve.
   */
  async trying<T>(param: StorageParam, work: (context: StorageContext) => Promise<T>): Promise<T> {
    const { entry, context } = await this.#open(param);
    const user = randomUUID();
    entry.users.add(user);
    const letGo = (): void => {
      entry.users.delete(user);
      if (entry.users.size === 0) this.#dropLater(entry);
    };
    try {
      // settings or key are being changed: a session that was refused before deserves another attempt
      entry.array.credentialChanged();
      return await work(context);
    } finally {
      if (entry.array.connection().state === 'ready') this.#options.clock.after(KEPT_MS, letGo);
      else letGo();
    }
  }

  /** A secret of a storage, from its file or, unless PVE is about to remove that line, from storage.cfg. Errors: as readSecret. */
  async secret(id: string, name: SecretName, fromCfg = true): Promise<Secret | null> {
    const inline = fromCfg ? (await this.configured().catch(() => [])).find((section) => section.id === id)?.properties : {};
    return readSecret(this.#options.privDir, id, name, inline);
  }

  /** Errors in storage.cfg that PVE passed over when it read the section for the caller, and secrets that stand there. */
  async passedOver(param: StorageParam): Promise<readonly ConfigFault[]> {
    const section = (await this.configured().catch(() => [])).find((one) => one.id === param.id);
    if (section === undefined) return [];
    const errors = this.#fileErrors.get(section) ?? parseFileSection(section).faults.filter((fault) => fault.severity === 'error');
    this.#fileErrors.set(section, errors);
    return errors.filter(({ setting }) => Object.hasOwn(section.properties, setting) && !Object.hasOwn(param.config, setting));
  }

  async #open(param: StorageParam): Promise<{ readonly entry: ArrayEntry; readonly context: StorageContext }> {
    const config = checkedConfig(param);
    const apiKey = (await this.secret(param.id, 'api_key'))?.value ?? null;
    if (apiKey === null) {
      throw new StorageError(
        'SECRET_MISSING',
        `storage '${param.id}' has no API key: neither ${this.#options.privDir}/${param.id}.api_key nor a key in ${this.#options.storageCfg}`,
        {
          hints: [`pvesm set ${param.id} --api_key KEY`],
        },
      );
    }
    const entry = this.#arrayFor(config, apiKey);
    const { hosts, journal, clock, log, meter, node } = this.#options;
    const context: StorageContext = {
      config,
      section: param.config,
      array: entry.array,
      inventory: entry.inventory,
      host: config.initiator === 'qemu' ? hosts.direct : hosts.kernel,
      kernel: hosts.kernel,
      journal,
      locks: this.#locks,
      luns: entry.luns,
      reservedNames: this.#reservedNames,
      chap: async () => {
        if (config.chapUser === null) return null;
        const password = (await this.secret(param.id, 'chap_password'))?.value;
        if (password === undefined) throw new StorageError('SECRET_MISSING', `storage '${param.id}' has chap_user but no chap_password`);
        return { user: config.chapUser, password };
      },
      clock,
      log: log.child({ storage: param.id }),
      meter,
      node,
      newOwner: randomUUID,
      probePortal,
    };
    return { entry, context };
  }

  /** The storages that were asked for and not forgotten, as they were then; asks nobody. */
  known(): readonly StorageContext[] {
    return [...this.#known.values()];
  }

  /** Forgets a storage; the session of its array ends when no other storage uses it. */
  async forget(id: string): Promise<void> {
    const key = this.#keyOfStorage.get(id);
    if (key === undefined) return;
    this.#keyOfStorage.delete(id);
    this.#known.delete(id);
    const entry = this.#arrays.get(key);
    entry?.users.delete(id);
    if (entry !== undefined && entry.users.size === 0) await this.#drop(entry);
  }

  /**
   * Forgets a storage that is not in storage.cfg any more: PVE runs the removal's hook on one node only, so the session of every
   * other node would stay (pve-storage-api 3.5). A file that cannot be read proves nothing. Never rejects.
   */
  async forgetUnconfigured(id: string): Promise<void> {
    try {
      if ((await this.configured()).some((section) => section.id === id)) return;
      await this.forget(id);
    } catch (error) {
      this.#options.log.warn('a storage that nobody asks for was kept', { storage: id, error: asStorageError(error).message });
    }
  }

  /** Sections of our type in storage.cfg. Errors: CONFIG_INVALID when the file cannot be read. */
  async configured(): Promise<readonly StorageSection[]> {
    return (await this.sections()).filter((section) => section.type === STORAGE_TYPE);
  }

  /** All sections of storage.cfg, of whatever type. Errors: CONFIG_INVALID when the file cannot be read. */
  async sections(): Promise<readonly StorageSection[]> {
    let text: string;
    try {
      text = await readFile(this.#options.storageCfg, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw new StorageError('CONFIG_INVALID', `cannot read ${this.#options.storageCfg}: ${String(error)}`, { cause: error });
    }
    // the same text gives the same sections: PVE asks often, and the file changes seldom
    if (text !== this.#cfg.text) this.#cfg = { text, sections: parseStorageCfg(text) };
    return this.#cfg.sections;
  }

  /** Has every array logged in to anew, with the certificate authority as its file is now; calls under way are not disturbed. */
  renew(): void {
    for (const { array } of this.#arrays.values()) array.renew();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#arrays.values()].map((entry) => this.#drop(entry)));
  }

  #arrayFor(config: StorageConfig, apiKey: string): ArrayEntry {
    const key = arrayKey(config, createHash('sha256').update(apiKey).digest('hex'));
    let entry = this.#arrays.get(key);
    if (entry === undefined) {
      const { clock, log, lunRests, meter } = this.#options;
      const arrayLog = log.child({ array: `${config.apiHost}:${config.apiPort}` });
      const gate = this.#gateOf(config);
      const array = createArray({ config, apiKey: () => Promise.resolve(apiKey), clock, log: arrayLog, meter, gate });
      const inventory = new Inventory(array, clock, arrayLog);
      const luns = new LunAllocator(clock, Math.random, lunRests.of(`${config.apiHost}:${config.apiPort}`));
      // Numbers that other nodes free rest, too.
      inventory.onLunFreed((target, lun) => void luns.rest(target, lun));
      entry = { key, array, inventory, luns, users: new Set() };
      this.#arrays.set(key, entry);
    }
    return entry;
  }

  /** Logins and limits are counted per array, whatever keys its storages use. */
  #gateOf(config: StorageConfig): ArrayGate {
    const at = authority(config).toLowerCase();
    const gate = this.#gates.get(at) ?? new ArrayGate(this.#options.clock);
    this.#gates.set(at, gate);
    return gate;
  }

  /** Has the session take over what was changed in the storage's settings since its last call. */
  #tune(id: string, config: StorageConfig, entry: ArrayEntry): void {
    const before = this.#known.get(id)?.config;
    if (before !== undefined && TUNING.some((name) => before[name] !== config[name])) entry.array.tune(config);
  }

  /** Remembers which array a storage uses; one whose last storage moved on (new host, rotated key) is closed. */
  #use(id: string, entry: ArrayEntry): void {
    const before = this.#keyOfStorage.get(id);
    if (before === entry.key) return;
    this.#keyOfStorage.set(id, entry.key);
    entry.users.add(id);
    const old = before === undefined ? undefined : this.#arrays.get(before);
    old?.users.delete(id);
    if (old !== undefined && old.users.size === 0) this.#dropLater(old);
  }

  #dropLater(entry: ArrayEntry): void {
    this.#drop(entry).catch((error: unknown) => this.#options.log.warn('closing a session failed', { error: String(error) }));
  }

  async #drop(entry: ArrayEntry): Promise<void> {
    if (this.#arrays.get(entry.key) === entry) this.#arrays.delete(entry.key);
    entry.inventory.close();
    await entry.array.close();
  }
}

/** Errors: CONFIG_INVALID with every fault, each naming its setting. */
export function checkedConfig(param: StorageParam): StorageConfig {
  const { config, faults } = parseSection(param.id, param.config);
  if (config !== null) return config;
  throw configInvalid(param.id, faults);
}
